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
    ├── GalleryTooLarge       the memory that is left does not hold the gallery's templates
    ├── IdempotencyConflict   the idempotency key was used for another request
    ├── InvalidValue          a name, an id or a fact that no gallery takes, or a URL that names no store
    ├── SchemaMismatch        the store's schema is older or newer than the code
    └── StoreUnavailable      the store cannot be read or written now
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class PhotoRefusal:
    """Why a photo cannot be enrolled."""

    photo: int  # its place in the request, from 0
    code: str  # that of the SampleError, or face_covered, face_turned, another_person, already_enrolled
    detail: str  # what is wrong, and what to do
    person: str | None = None  # whom the photo shows, if that is somebody who is enrolled; the caller's id


class EnrolmentRefused(GalleryError):
    """Photos cannot be enrolled, so nothing of the request was. `refusals` are in the order of the photos.

    `photo` is the place of the first one in the request, from 0. Its refusal determines the class of the error.
    """

    code = "enrolment_refused"

    def __init__(self, refusals: Sequence[PhotoRefusal]) -> None:
        first, n_more = refusals[0], len({each.photo for each in refusals}) - 1
        more = f"; refused as well: {n_more} more of the photos" if n_more else ""
        super().__init__(f"photos[{first.photo}]: {first.detail}{more}")
        self.photo, self.refusals = first.photo, tuple(refusals)


class AlreadyEnrolled(EnrolmentRefused):
    """A photo shows somebody who is enrolled as another person; the first of `refusals` names who."""

    code = "already_enrolled"


class AnotherPerson(EnrolmentRefused):
    """A photo does not show the person of the other photos."""

    code = "another_person"


class ClaimUnavailable(GalleryError):
    """The card's evidence does not carry the FPIR that was asked for, with that many templates.

    `largest` is the largest number of templates for that FPIR (0 = none), `strictest` the strictest FPIR for that many
    templates (None = none).
    """

    code = "claim_unavailable"

    def __init__(self, fpir: float, n_templates: int, *, largest: int, strictest: float | None) -> None:
        super().__init__(
            f"the model's card carries an FPIR of {fpir:g} for at most {largest:,} templates, and there are "
            f"{n_templates:,}; {_remedy(largest, strictest)}"
        )
        self.fpir, self.n_templates, self.largest, self.strictest = fpir, n_templates, largest, strictest


class GalleryTooLarge(GalleryError):
    """The memory that is left does not hold the templates of a gallery, so they are not loaded."""

    code = "gallery_too_large"

    def __init__(self, n_templates: int, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"the gallery's {n_templates:,} templates need {needed_bytes / 2**20:,.0f} MiB of memory, and "
            f"{free_bytes / 2**20:,.0f} MiB are left; add memory, divide the people among several machines, or let "
            "PostgreSQL search (VISAVIS_GALLERY_SEARCH=pgvector)"
        )
        self.n_templates, self.needed_bytes, self.free_bytes = n_templates, needed_bytes, free_bytes


class IdempotencyConflict(GalleryError):
    """The idempotency key was used for another request."""

    code = "idempotency_conflict"


class InvalidValue(GalleryError, ValueError):
    """A name, an id or a fact about a person that no gallery takes, or a URL that names no store."""

    code = "invalid_value"


class SchemaMismatch(GalleryError):
    """The store's schema is older or newer than this version of visavis."""

    code = "schema_mismatch"


class StoreUnavailable(GalleryError):
    """The store cannot be read or written now."""

    code = "store_unavailable"


def _remedy(largest: int, strictest: float | None) -> str:
    remedies = [] if strictest is None else [f"ask for an FPIR of {strictest:g} or more"]
    if largest:
        remedies.append("use galleries with fewer templates")
    if strictest is None:
        remedies.append("measure more operating points with visavis calibrate")
    return ", or ".join(remedies)
