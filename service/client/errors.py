"""What can go wrong between asking the service and having its answer.

ClientError                     carries status, code, request_id, image, n_faces, available, measure, value, limit,
                                retry_after_s, or None
├── Unreachable                 no answer came
│   └── TimedOut                none came in time
├── UnexpectedAnswer            an answer that is not this service's: a proxy's page, another program on the port
├── DigestMismatchError         embeddings that different models made; seen here before sending, or by the service
└── ServerError                 the service says no
    ├── RequestRejected         the request as a whole; also any 4xx whose code is not known here
    │   └── OperatingPointUnavailableError  the model has no such point; `available` names those it has
    ├── SampleRejected          one image of the request; `image` says which, where there are two
    │   ├── ImageRejected       its bytes
    │   │   ├── ImageTooLargeError
    │   │   ├── NotAnImageError
    │   │   └── ImageUnreadableError
    │   ├── FaceRejected        its faces
    │   │   ├── NoFaceError
    │   │   └── SeveralFacesError
    │   └── LowQualityError     its face is too poor to be told from others; `measure`, `value` and `limit` say in what
    ├── BusyError               503: no free place, or not ready yet; `retry_after_s` if the service named a time
    └── ServiceFailed           the service failed; also any other status whose code is not known here

Not in the tree, as no service is involved: ValueError and TypeError for mistakes of the calling programmer, and the
OSError of a file on this machine that cannot be read, which is the system's own and names the path.
No error of the tree holds an image, an embedding or the name of a file.
"""

from dataclasses import dataclass
from http import HTTPStatus

from ..wire import Problem


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What is known about a failed call."""

    status: int | None = None  # HTTP status
    code: str | None = None  # the problem's stable, machine-readable name
    request_id: str | None = None  # as in the service's log
    image: str | None = None  # "probe" or "reference"
    n_faces: int | None = None  # found in that image
    available: tuple[str, ...] | None = None  # names of the operating points that there are
    measure: str | None = None  # which measure of quality makes that image too poor
    value: float | None = None  # what was measured
    limit: float | None = None  # what it takes
    retry_after_s: float | None = None  # how long the service asked to be left alone


NOTHING_KNOWN = ErrorFacts()


class ClientError(Exception):
    """The root of everything that a call of the service can raise."""

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
        self.retry_after_s = facts.retry_after_s

    def __str__(self) -> str:
        known = {"image": self.image, "code": self.code, "status": self.status, "request_id": self.request_id}
        suffix = ", ".join(f"{name}={value}" for name, value in known.items() if value is not None)
        return f"{self.args[0]} [{suffix}]" if suffix else str(self.args[0])


class Unreachable(ClientError):
    """No answer came: nothing listens there, or the connection was lost, at every attempt."""


class TimedOut(Unreachable):
    """No answer came in time; not tried again, since the service may still be at work on the first."""


class UnexpectedAnswer(ClientError):
    """An answer came that this client cannot read as the service's."""


class DigestMismatchError(ClientError):
    """Embeddings were made by different models, so their distance means nothing; embed the photos again."""


class ServerError(ClientError):
    """The service answered with a problem."""


class RequestRejected(ServerError):
    """The request as a whole was refused."""


class OperatingPointUnavailableError(RequestRejected):
    """The model card has no such operating point, or none as strict; `available` names those it has."""


class SampleRejected(ServerError):
    """One image cannot be used."""


class ImageRejected(SampleRejected):
    """The bytes of an image cannot be used."""


class ImageTooLargeError(ImageRejected):
    """An image has more bytes or pixels than the service allows."""


class NotAnImageError(ImageRejected):
    """The bytes are in no format that the service reads."""


class ImageUnreadableError(ImageRejected):
    """The format is known, but the pixels cannot be had from it."""


class FaceRejected(SampleRejected):
    """The faces in an image do not fit what was asked."""


class NoFaceError(FaceRejected):
    """No face was found."""


class SeveralFacesError(FaceRejected):
    """More faces than the choice allows; `n_faces` were found."""


class LowQualityError(SampleRejected):
    """The photo of a face is too poor: `measure` is `value`, `limit` is what it takes. `quality` overrules it."""


class BusyError(ServerError):
    """The service is there but cannot take the request now, at any of the attempts."""


class ServiceFailed(ServerError):
    """The service failed at a request that it should have answered."""


KINDS: dict[str, type[ClientError]] = {
    "sample_error": SampleRejected,
    "image_error": ImageRejected,
    "image_too_large": ImageTooLargeError,
    "not_an_image": NotAnImageError,
    "image_unreadable": ImageUnreadableError,
    "face_error": FaceRejected,
    "no_face": NoFaceError,
    "several_faces": SeveralFacesError,
    "low_quality": LowQualityError,
    "digest_mismatch": DigestMismatchError,
    "operating_point_unavailable": OperatingPointUnavailableError,
}


def from_problem(problem: Problem, *, retry_after_s: float | None = None) -> ClientError:
    """Turn a problem into the error of its kind, to be raised; also one found in a result of `verify_many`."""
    kind = KINDS.get(problem.code) or _kind_of_status(problem.status)
    facts = ErrorFacts(
        status=problem.status,
        code=problem.code,
        request_id=problem.request_id,
        image=problem.image,
        n_faces=problem.n_faces,
        available=None if problem.available is None else tuple(problem.available),
        measure=problem.measure,
        value=problem.value,
        limit=problem.limit,
        retry_after_s=retry_after_s,
    )
    return kind(problem.detail, facts)


def _kind_of_status(status: int) -> type[ServerError]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return BusyError
    return RequestRejected if HTTPStatus(400) <= status < HTTPStatus(500) else ServiceFailed
