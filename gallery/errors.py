"""The errors of galleries. Each message states the problem and the remedy; none contains biometric data.

VisavisError
└── GalleryError
    ├── NoSuchGallery         no gallery of that name
    ├── NoSuchPerson          no person with that id, or one to be forgotten by now
    ├── NoSuchTemplate        no template with that id
    ├── AlreadyExists         a gallery or person of that name exists, and the caller asked that it must not
    ├── VersionConflict       a conditional write found another version
    ├── EnrolmentRefused      a photo cannot be enrolled; `photo` is its place in the request
    │   ├── AlreadyEnrolled   it shows somebody who is enrolled as another person
    │   └── AnotherPerson     it does not show the person of the other photos
    ├── ClaimUnavailable      the card's evidence does not carry the FPIR for that many templates
    ├── IdempotencyConflict   the idempotency key was used for another request
    ├── GroupingError         faces cannot be grouped as asked
    ├── SchemaMismatch        the store's schema is older or newer than the code
    └── StoreUnavailable      the store cannot be read or written now
"""

from embedder import VisavisError


class GalleryError(VisavisError):
    """The base class of the errors of galleries."""

    code = "gallery_error"


class NoSuchGallery(GalleryError):
    """There is no gallery of that name."""

    code = "no_such_gallery"


class NoSuchPerson(GalleryError):
    """There is no person with that id in the gallery, or the time to forget the person has come."""

    code = "no_such_person"


class NoSuchTemplate(GalleryError):
    """The person has no template with that id."""

    code = "no_such_template"


class AlreadyExists(GalleryError):
    """There is a gallery or a person of that name, and the caller asked that there must be none."""

    code = "already_exists"


class VersionConflict(GalleryError):
    """A conditional write names another version than the one in the store."""

    code = "version_conflict"


class EnrolmentRefused(GalleryError):
    """A photo cannot be enrolled, so nothing of the request was. `photo` is its place in the request, from 0."""

    code = "enrolment_refused"
    photo: int | None = None


class AlreadyEnrolled(EnrolmentRefused):
    """A photo shows somebody who is enrolled as another person."""

    code = "already_enrolled"


class AnotherPerson(EnrolmentRefused):
    """A photo does not show the person of the other photos."""

    code = "another_person"


class ClaimUnavailable(GalleryError):
    """The card's evidence does not carry the FPIR that was asked for, with that many templates."""

    code = "claim_unavailable"


class IdempotencyConflict(GalleryError):
    """The idempotency key was used for another request."""

    code = "idempotency_conflict"


class GroupingError(GalleryError):
    """Faces cannot be grouped as asked; the message says what to do."""

    code = "grouping_error"


class SchemaMismatch(GalleryError):
    """The store's schema is older or newer than this version of visavis."""

    code = "schema_mismatch"


class StoreUnavailable(GalleryError):
    """The store cannot be read or written now."""

    code = "store_unavailable"
