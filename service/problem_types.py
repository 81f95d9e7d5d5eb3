"""The table of problems: error class -> status, title, cause and remedy. `problems.py` makes the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from embedder import (
    FORMATS_IN_WORDS,
    BundleError,
    DeadlineExceeded,
    DigestMismatch,
    DlibFileError,
    FaceCovered,
    FaceError,
    ImageError,
    ImageTooLarge,
    ImageTooSlow,
    ImageUnreadable,
    LowQuality,
    ModelError,
    NoFace,
    NoSuchFace,
    NotAnImage,
    OperatingPointUnavailable,
    OutOfMemory,
    RuntimeUnavailable,
    SampleError,
    SeveralFaces,
    SFaceFileError,
    TooManyFaces,
    UnknownLayer,
    VisavisError,
)
from gallery import (
    AlreadyEnrolled,
    AlreadyExists,
    AnotherPerson,
    ClaimUnavailable,
    EnrolmentRefused,
    GalleryError,
    GalleryTooLarge,
    IdempotencyConflict,
    InvalidValue,
    NoSuchGallery,
    NoSuchPerson,
    NoSuchTemplate,
    SchemaMismatch,
    StoreUnavailable,
    VersionConflict,
)

from .errors import (
    AuditUnavailable,
    BodyTooLarge,
    BodyTooSlow,
    Busy,
    CrossSiteRequest,
    Forbidden,
    GalleriesOff,
    InternalError,
    MalformedRequest,
    MemoryFull,
    MethodNotAllowed,
    NotFound,
    NotReady,
    RateLimited,
    ServiceError,
    Stopping,
    Unauthorized,
    Unavailable,
    UnknownHost,
    UnsupportedMediaType,
)

KnownError: TypeAlias = type[VisavisError] | type[ServiceError]


@dataclass(frozen=True, slots=True)
class ProblemType:
    """The fields that all problems of one error class share."""

    status: int
    title: str
    cause: str
    remedy: str


_FAILED = "The service failed to process a valid request."
_REPORT = "Retry once; if it fails again, look up the request_id in the service's log."
_IMAGE = "Save the image again as JPEG or PNG with an image program, and send that file."

TABLE: Mapping[KnownError, ProblemType] = {
    ServiceError: ProblemType(400, "Request refused", "The service cannot accept the request.", "The detail says why."),
    MalformedRequest: ProblemType(
        400,
        "Malformed request",
        "A part, field or query option is missing, unknown, duplicated or has an invalid value, or the body does not "
        "match its Content-Type.",
        "The detail names it and the values it accepts.",
    ),
    InvalidValue: ProblemType(
        400,
        "Invalid value",
        "A gallery cannot store this name, id or fact about a person.",
        "The detail says what is wrong with it.",
    ),
    Unauthorized: ProblemType(
        401,
        "Key needed",
        "The key is missing, unknown, expired or revoked. The answer does not say which.",
        "Send a valid key as the header Authorization: Bearer KEY. The operator makes keys: visavis keys create.",
    ),
    Forbidden: ProblemType(
        403, "Scope needed", "The key lacks the scope of the route.", "Ask the operator for a key with this scope."
    ),
    CrossSiteRequest: ProblemType(
        403,
        "Cross-site request",
        "A browser sent the request for a page of another origin.",
        "Use the service's own page, or let the operator allow the origin: VISAVIS_ORIGINS.",
    ),
    NotFound: ProblemType(404, "No such address", "The route does not exist.", "See /docs for the list of routes."),
    GalleriesOff: ProblemType(
        404,
        "No galleries here",
        "This service keeps no galleries: its operator has not turned them on.",
        "The operator names a store: visavis serve --gallery sqlite:////var/lib/visavis/gallery.db (VISAVIS_GALLERY).",
    ),
    NoSuchGallery: ProblemType(
        404, "No such gallery", "There is no gallery of that name.", "Create it: PUT /v1/galleries/NAME."
    ),
    NoSuchPerson: ProblemType(
        404,
        "No such person",
        "The gallery has no person with that id, or the time to forget the person has come.",
        "GET /v1/galleries/NAME/people lists the ids.",
    ),
    NoSuchTemplate: ProblemType(
        404,
        "No such template",
        "The person has no template with that id.",
        "GET /v1/galleries/NAME/people/ID lists the ids of the templates.",
    ),
    MethodNotAllowed: ProblemType(
        405, "Method not allowed", "The route does not support this method.", "Use a method from the Allow header."
    ),
    BodyTooSlow: ProblemType(
        408,
        "Body too slow",
        "The request did not arrive in time or came too slowly, or its body is shorter than its Content-Length.",
        "Send a smaller body or use a faster connection. The operator sets the limits: VISAVIS_BODY_TIMEOUT_S, "
        "VISAVIS_HEADER_TIMEOUT_S and VISAVIS_MIN_BODY_RATE.",
    ),
    DigestMismatch: ProblemType(
        409,
        "Embeddings of another model",
        "The embeddings come from another model or another precision, so they cannot be compared.",
        "Embed the photos again with the model and precision that GET /v1/model returns.",
    ),
    AlreadyExists: ProblemType(
        412,
        "Already there",
        "The request has If-None-Match: *, and there is a gallery or person of that name.",
        "Read it with GET; send the request without If-None-Match to write to what is there.",
    ),
    VersionConflict: ProblemType(
        412,
        "Changed meanwhile",
        "The request has If-Match, and the gallery or person has another version by now.",
        "Read it again with GET, and send the request with the ETag of that answer, if it is still wanted.",
    ),
    BodyTooLarge: ProblemType(
        413,
        "Body too large",
        "The body is larger than this route's images may be in total.",
        "Send smaller images. The operator sets the maximum size of an image: VISAVIS_MAX_IMAGE_BYTES.",
    ),
    ImageTooLarge: ProblemType(
        413,
        "Image too large",
        "An image has more bytes than allowed, or its header states more pixels than may be decoded.",
        "Scale it down. The operator sets the limits: VISAVIS_MAX_IMAGE_BYTES and VISAVIS_MAX_PIXELS.",
    ),
    UnsupportedMediaType: ProblemType(
        415,
        "Unsupported kind of body",
        "Content-Type is missing or not supported by this route, or the body is compressed.",
        "Send multipart/form-data or application/json, uncompressed.",
    ),
    NotAnImage: ProblemType(
        415,
        "Not an image",
        "The bytes are not in a supported image format.",
        f"Send a {FORMATS_IN_WORDS} file, or HEIC where the operator has installed 'visavis[heif]'. "
        "The detail names the format of the file, if it is known, and what to do.",
    ),
    UnknownHost: ProblemType(
        421,
        "Unknown host name",
        "The Host header does not name this service.",
        "Use the address that the service prints at its start, or let the operator allow the name: VISAVIS_HOSTS.",
    ),
    SampleError: ProblemType(422, "Image cannot be used", "An image cannot be used.", "Send another one."),
    ImageError: ProblemType(422, "Image cannot be read", "The bytes of an image cannot be used.", _IMAGE),
    ImageUnreadable: ProblemType(
        422,
        "Image unreadable",
        "The format is supported, but the file is broken, truncated or of an unusual kind.",
        _IMAGE,
    ),
    ImageTooSlow: ProblemType(
        422,
        "Image too slow",
        "Decoding the image takes more time or memory than ordinary images of its size do.",
        "Save it as an ordinary JPEG or PNG and send that.",
    ),
    FaceError: ProblemType(
        422, "Faces do not fit", "The faces in an image do not match the request.", "Send another one."
    ),
    NoFace: ProblemType(
        422,
        "No face found",
        "No face was found in an image.",
        "Send a photo in which one face is upright and large enough to see.",
    ),
    SeveralFaces: ProblemType(
        422,
        "Several faces found",
        "An image shows more faces than the face rule allows; n_faces is their number.",
        "Send a crop with one face, or choose face=largest or face=center.",
    ),
    NoSuchFace: ProblemType(
        422,
        "No such face",
        "No face contains the given point, or has the given index; n_faces is the number of faces found.",
        "POST /v1/faces returns all faces with their boxes, in the order of their indices.",
    ),
    TooManyFaces: ProblemType(
        422,
        "Too many faces",
        "The images of a request show more than 256 faces; n_faces is the number in the image that is over the limit.",
        "Send fewer images in one request, or a crop of the picture.",
    ),
    LowQuality: ProblemType(
        422,
        "Photo too poor",
        "The photo of a face is poorer than nearly all photos that the model's penalty for poor photos was measured "
        "on; measure, value and limit give the measure, its value and the minimum.",
        "Send a better photo, as the detail says. With quality=ignore it is compared anyway, with more errors.",
    ),
    FaceCovered: ProblemType(
        422,
        "Face covered",
        "The same part of both faces is covered, as by masks or dark glasses; part says which.",
        "Send a photo of either person without the cover. With quality=ignore they are compared anyway, with more "
        "errors.",
    ),
    OperatingPointUnavailable: ProblemType(
        422,
        "Operating point unavailable",
        "The model card has no such operating point, or none that strict.",
        "Use a point from available, or set a threshold.",
    ),
    UnknownLayer: ProblemType(
        422,
        "Unknown layer",
        "The network has no layer of that name.",
        "Use a layer from available; GET /v1/layers describes them.",
    ),
    EnrolmentRefused: ProblemType(
        422,
        "Not enrolled",
        "Photos cannot be enrolled, so none of the request was; refusals says which and why.",
        "Send the request again with better photos, or without these.",
    ),
    AlreadyEnrolled: ProblemType(
        422,
        "Already enrolled",
        "A photo shows somebody who is enrolled in this gallery as another person, whom refusals names; nothing was "
        "enrolled.",
        "Enrol the photo for that person. If these are two people who look alike, send allow_duplicate=true.",
    ),
    AnotherPerson: ProblemType(
        422,
        "Not the same person",
        "A photo does not show the person of the other photos, of the request or enrolled before; nothing was "
        "enrolled.",
        "Send photos of one person only.",
    ),
    ClaimUnavailable: ProblemType(
        422,
        "FPIR not supported by evidence",
        "The model's measurements do not support that FPIR for that many templates.",
        "Ask for an FPIR that the detail names, or keep fewer templates in one gallery.",
    ),
    IdempotencyConflict: ProblemType(
        422,
        "Idempotency key used before",
        "The Idempotency-Key was sent with another request before.",
        "Send a new key with each new request; repeat a key only to repeat its request.",
    ),
    RateLimited: ProblemType(
        429,
        "Too many requests",
        "The key or the address sent more requests than its limit allows.",
        "Wait as long as Retry-After says. The operator sets the limits of keys and addresses.",
    ),
    VisavisError: ProblemType(500, "Service failed", _FAILED, _REPORT),
    ModelError: ProblemType(500, "Model failed", "The model cannot be used with these settings.", _REPORT),
    BundleError: ProblemType(500, "Model bundle unusable", "The model bundle is missing, broken or altered.", _REPORT),
    DlibFileError: ProblemType(500, "Model file unusable", "The file is not a known dlib file.", _REPORT),
    SFaceFileError: ProblemType(500, "Model file unusable", "The file is not a known SFace file.", _REPORT),
    RuntimeUnavailable: ProblemType(
        500, "Runtime unavailable", "The runtime of the model is not available on this machine.", _REPORT
    ),
    GalleryError: ProblemType(500, "Gallery failed", "The gallery cannot be used.", _REPORT),
    SchemaMismatch: ProblemType(
        500,
        "Store of another version",
        "The store of the galleries was made by another version of visavis.",
        "The operator upgrades the store, or the service: see the service's log.",
    ),
    InternalError: ProblemType(500, "Service failed", _FAILED, _REPORT),
    Unavailable: ProblemType(
        503, "Unavailable", "The service cannot accept requests now.", "Wait as long as Retry-After says."
    ),
    Busy: ProblemType(
        503,
        "Busy",
        "The service has reached its maximum number of requests.",
        "Wait as long as Retry-After says. The operator sets the limits: VISAVIS_MAX_CONCURRENT and "
        "VISAVIS_MAX_WAITING.",
    ),
    MemoryFull: ProblemType(
        503,
        "Memory full",
        "The requests in progress hold all the memory that they may.",
        "Wait as long as Retry-After says. The operator sets the limit: VISAVIS_MEMORY_BYTES.",
    ),
    DeadlineExceeded: ProblemType(
        503,
        "Took too long",
        "The request took longer than the operator allows, and was stopped.",
        "Send fewer or smaller images. The operator sets the limit: VISAVIS_REQUEST_TIMEOUT_S.",
    ),
    OutOfMemory: ProblemType(
        503, "Out of memory", "The machine has too little memory left.", "Send the request again later."
    ),
    Stopping: ProblemType(
        503, "Stopping", "The service is being stopped.", "Send the request to another instance, or again later."
    ),
    AuditUnavailable: ProblemType(
        503,
        "Audit log unavailable",
        "The audit log cannot be written, so nothing is answered.",
        "The operator finds the reason in the service's log.",
    ),
    StoreUnavailable: ProblemType(
        503,
        "Store unavailable",
        "The store of the galleries cannot be read or written now.",
        "Wait as long as Retry-After says; the detail says if a write may be stored. If it lasts, the operator finds "
        "the reason in the service's log.",
    ),
    GalleryTooLarge: ProblemType(
        503,
        "Gallery too large",
        "The memory that is left does not hold the templates of the gallery.",
        "The operator adds memory, or lets PostgreSQL search: VISAVIS_GALLERY_SEARCH=pgvector.",
    ),
    NotReady: ProblemType(
        503,
        "Not ready",
        "The model has not completed its first inference, or it failed.",
        "Wait as long as Retry-After says; if it lasts, see the service's log.",
    ),
}


def problem_type_of(error_type: KnownError) -> ProblemType:
    """Return the problem type of an error class, or of its nearest base class in the table."""
    return next(TABLE[above] for above in error_type.__mro__ if above in TABLE)
