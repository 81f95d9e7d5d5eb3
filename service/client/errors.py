"""The errors of a call to the service.

ClientError                     carries status, code, request_id, image, n_faces, available, measure, value, limit,
                                part, refusals, largest_n, strictest_fpir, retry_after_s, or None
├── Unreachable                 no answer arrived
│   └── TimedOut                no answer arrived in time
├── UnexpectedAnswer            an answer that is not the service's: a proxy's page, another program on the port
├── DigestMismatchError         embeddings of different models; found here before sending, or by the service
└── ServerError                 the service refused the request or failed
    ├── AccessDenied            401 or 403: the key is missing or invalid, or lacks the scope
    ├── RateLimitedError        429: too many requests; `retry_after_s` says when to send the next
    ├── RequestRejected         the request as a whole; also any 4xx whose code is unknown here
    │   ├── OperatingPointUnavailableError  the model has no such point; `available` lists those it has
    │   ├── NotThereError       no such gallery, person or template
    │   ├── VersionConflictError  a write with `if_match` came too late
    │   ├── AlreadyExistsError  a write with `must_be_new` found one
    │   ├── ClaimUnavailableError  no evidence for that FPIR; see `largest_n` and `strictest_fpir`
    │   └── EnrolmentRefusedError  photos were not enrolled; `refusals` says why
    │       ├── AlreadyEnrolledError  one shows somebody who is enrolled as another person
    │       └── AnotherPersonError    one does not show the person of the others
    ├── SampleRejected          one image of the request; `image` says which, if there are two
    │   ├── ImageRejected       its bytes
    │   │   ├── ImageTooLargeError
    │   │   ├── NotAnImageError
    │   │   ├── ImageUnreadableError
    │   │   └── ImageTooSlowError
    │   ├── FaceRejected        its faces
    │   │   ├── NoFaceError
    │   │   ├── SeveralFacesError
    │   │   ├── TooManyFacesError
    │   │   └── NoSuchFaceError
    │   ├── LowQualityError     the photo is too poor; see `measure`, `value` and `limit`
    │   └── FaceCoveredError    the same part of both faces is covered; see `part`
    ├── BusyError               503: busy, or not ready yet; `retry_after_s` if the service gave a time
    └── ServiceFailed           the service failed; also any other status whose code is unknown here

Not in the tree, because no service is involved: ValueError and TypeError for wrong arguments, and the system's OSError
for a file that cannot be read, which contains the path.
No error of the tree contains an image, an embedding or a file name.
"""

from dataclasses import dataclass
from http import HTTPStatus

from ..wire import ImageProblem, PhotoRefusal, Problem


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """The attributes of a failed call; None = unknown."""

    status: int | None = None  # HTTP status
    code: str | None = None  # the problem's stable, machine-readable name
    request_id: str | None = None  # as in the service's log
    image: str | int | None = None  # "probe" or "reference", or the place of one of several images, from 0
    n_faces: int | None = None  # number of faces found in that image
    available: tuple[str, ...] | None = None  # names of the available operating points
    measure: str | None = None  # the quality measure that is too low
    value: float | None = None  # the measured value
    limit: float | None = None  # the minimum
    part: str | None = None  # that is covered in both photos: eyes or mouth
    refusals: tuple[PhotoRefusal, ...] | None = None  # why photos were not enrolled
    largest_n: int | None = None  # the most templates for which the FPIR can be claimed
    strictest_fpir: float | None = None  # the strictest FPIR that can be claimed for that many templates
    retry_after_s: float | None = None  # the service's Retry-After


NOTHING_KNOWN = ErrorFacts()


class ClientError(Exception):
    """The base class of all errors of a call."""

    def __init__(self, message: str, facts: ErrorFacts = NOTHING_KNOWN) -> None:
        super().__init__(message)
        self.status = facts.status
        self.code = facts.code
        self.request_id = facts.request_id
        self.image = facts.image
        self.n_faces = facts.n_faces
        self.available = facts.available
        self.measure = facts.measure
        self.value = facts.value
        self.limit = facts.limit
        self.part = facts.part
        self.refusals = facts.refusals
        self.largest_n, self.strictest_fpir = facts.largest_n, facts.strictest_fpir
        self.retry_after_s = facts.retry_after_s

    def __str__(self) -> str:
        known = {"image": self.image, "code": self.code, "status": self.status, "request_id": self.request_id}
        suffix = ", ".join(f"{name}={value}" for name, value in known.items() if value is not None)
        return f"{self.args[0]} [{suffix}]" if suffix else str(self.args[0])


class Unreachable(ClientError):
    """No answer arrived: nothing listens at the address, or the connection was lost, at every attempt."""


class TimedOut(Unreachable):
    """No answer arrived in time. It is not retried, because the service may still compute the first request."""


class UnexpectedAnswer(ClientError):
    """The answer is not one of this service."""


class DigestMismatchError(ClientError):
    """The embeddings come from different models, so they cannot be compared; embed the photos again."""


class ServerError(ClientError):
    """The service answered with a problem."""


class AccessDenied(ServerError):
    """The key is missing, unknown, expired or revoked, or lacks the scope of the method; see `api_key`."""


class RateLimitedError(ServerError):
    """The key or the address has sent too many requests, at each of the attempts; see `retry_after_s`."""


class RequestRejected(ServerError):
    """The service refused the request as a whole."""


class OperatingPointUnavailableError(RequestRejected):
    """The model card has no such operating point, or none that strict; `available` lists those it has."""


class NotThereError(RequestRejected):
    """There is no such gallery, person or template."""


class VersionConflictError(RequestRejected):
    """The gallery or person has changed since the answer with that `etag`, so nothing was written."""


class AlreadyExistsError(RequestRejected):
    """There is a gallery or person of that name already, so nothing was written."""


class ClaimUnavailableError(RequestRejected):
    """The model's measurements do not support that FPIR for so many templates: see `largest_n`, `strictest_fpir`."""


class EnrolmentRefusedError(RequestRejected):
    """Photos cannot be enrolled, so none of the request was; `refusals` says why."""


class AlreadyEnrolledError(EnrolmentRefusedError):
    """A photo shows somebody who is enrolled as another person; the first of `refusals` names who."""


class AnotherPersonError(EnrolmentRefusedError):
    """A photo does not show the person of the other photos."""


class SampleRejected(ServerError):
    """One image cannot be used."""


class ImageRejected(SampleRejected):
    """The bytes of an image cannot be used."""


class ImageTooLargeError(ImageRejected):
    """An image has more bytes or pixels than the service allows."""


class NotAnImageError(ImageRejected):
    """The bytes are not in a supported image format."""


class ImageTooSlowError(ImageRejected):
    """Decoding the image takes more time or memory than ordinary images of its size do."""


class ImageUnreadableError(ImageRejected):
    """The format is supported, but the file cannot be decoded."""


class FaceRejected(SampleRejected):
    """The faces in an image do not match the request."""


class NoFaceError(FaceRejected):
    """No face was found."""


class SeveralFacesError(FaceRejected):
    """More faces were found than the face rule allows; `n_faces` is their number."""


class NoSuchFaceError(FaceRejected):
    """No face at the given point or with the given index; `n_faces` is the number of faces found."""


class TooManyFacesError(FaceRejected):
    """The images of one request show more faces than the service embeds at once; `n_faces` is that of this image."""


class LowQualityError(SampleRejected):
    """The photo of a face is too poor: `measure` is `value`, the minimum is `limit`. See the option `quality`."""


class FaceCoveredError(SampleRejected):
    """The same part of both faces is covered: `part` is "eyes" or "mouth". See the option `quality`."""


class BusyError(ServerError):
    """The service runs but could not accept the request at any of the attempts."""


class ServiceFailed(ServerError):
    """The service failed to process a valid request."""


KINDS: dict[str, type[ClientError]] = {
    "sample_error": SampleRejected,
    "image_error": ImageRejected,
    "image_too_large": ImageTooLargeError,
    "not_an_image": NotAnImageError,
    "image_unreadable": ImageUnreadableError,
    "image_too_slow": ImageTooSlowError,
    "face_error": FaceRejected,
    "no_face": NoFaceError,
    "several_faces": SeveralFacesError,
    "no_such_face": NoSuchFaceError,
    "too_many_faces": TooManyFacesError,
    "low_quality": LowQualityError,
    "face_covered": FaceCoveredError,
    "digest_mismatch": DigestMismatchError,
    "unauthorized": AccessDenied,
    "forbidden": AccessDenied,
    "rate_limited": RateLimitedError,
    "operating_point_unavailable": OperatingPointUnavailableError,
    "no_such_gallery": NotThereError,
    "no_such_person": NotThereError,
    "no_such_template": NotThereError,
    "version_conflict": VersionConflictError,
    "already_exists": AlreadyExistsError,
    "claim_unavailable": ClaimUnavailableError,
    "enrolment_refused": EnrolmentRefusedError,
    "already_enrolled": AlreadyEnrolledError,
    "another_person": AnotherPersonError,
}


MAX_NAME, MAX_DETAIL = 100, 2000  # characters of a name and of a detail that an error keeps
MAX_AVAILABLE = 100
MAX_REFUSALS = 64  # several of each photo


def printable(text: str, longest: int = 500) -> str:
    """Return text from a server as one line: characters that do not print escaped, and cut."""
    shown = text if len(text) <= longest else text[:longest] + "..."
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)


def from_problem(
    problem: Problem | ImageProblem, *, status: int | None = None, retry_after_s: float | None = None
) -> ClientError:
    """Return the error for a problem, to be raised; also for one in an answer of `verify_many` or `embed_all`.

    `status` is that of the answer, if the problem was one. Texts are made printable and cut.
    """
    of_answer = problem.status if status is None else status
    kind = KINDS.get(problem.code) or _kind_of_status(of_answer)
    facts = ErrorFacts(
        status=of_answer,
        code=_name(problem.code),
        request_id=_name_if_any(problem.request_id),
        image=problem.image if isinstance(problem.image, int) else _name_if_any(problem.image),
        n_faces=problem.n_faces,
        available=None if problem.available is None else tuple(map(_name, problem.available[:MAX_AVAILABLE])),
        measure=_name_if_any(problem.measure),
        value=problem.value,
        limit=problem.limit,
        part=_name_if_any(problem.part),
        refusals=None if problem.refusals is None else tuple(map(_refusal, problem.refusals[:MAX_REFUSALS])),
        largest_n=problem.largest_n,
        strictest_fpir=problem.strictest_fpir,
        retry_after_s=retry_after_s,
    )
    return kind(printable(problem.detail, MAX_DETAIL), facts)


def _refusal(given: PhotoRefusal) -> PhotoRefusal:
    return PhotoRefusal(
        photo=given.photo,
        code=_name(given.code),
        detail=printable(given.detail, MAX_DETAIL),
        person=None if given.person is None else printable(given.person),
    )


def _name(text: str) -> str:
    return printable(text, MAX_NAME)


def _name_if_any(text: str | None) -> str | None:
    return None if text is None else _name(text)


def _kind_of_status(status: int) -> type[ServerError]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return BusyError
    return RequestRejected if HTTPStatus(400) <= status < HTTPStatus(500) else ServiceFailed
