"""The door of the Python client: ask the service, get typed answers and errors. No torch, no server, no embedder."""

from ..wire import (
    CompareResponse,
    EmbeddingResponse,
    ExplainResponse,
    FaceChoice,
    FacesResponse,
    Problem,
    QualityChoice,
    VerifyManyResponse,
    VerifyResponse,
)
from .async_client import AsyncFaceClient
from .card import ModelResponse
from .embeddings import EmbeddingInput
from .errors import (
    BusyError,
    ClientError,
    DigestMismatchError,
    FaceRejected,
    ImageRejected,
    ImageTooLargeError,
    ImageUnreadableError,
    LowQualityError,
    NoFaceError,
    NotAnImageError,
    OperatingPointUnavailableError,
    RequestRejected,
    SampleRejected,
    ServerError,
    ServiceFailed,
    SeveralFacesError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
    from_problem,
)
from .images import ImageInput
from .retry import Retry
from .sync_client import FaceClient

__all__ = [
    "AsyncFaceClient",
    "BusyError",
    "ClientError",
    "CompareResponse",
    "DigestMismatchError",
    "EmbeddingInput",
    "EmbeddingResponse",
    "ExplainResponse",
    "FaceChoice",
    "FaceClient",
    "FaceRejected",
    "FacesResponse",
    "ImageInput",
    "ImageRejected",
    "ImageTooLargeError",
    "ImageUnreadableError",
    "LowQualityError",
    "ModelResponse",
    "NoFaceError",
    "NotAnImageError",
    "OperatingPointUnavailableError",
    "Problem",
    "QualityChoice",
    "RequestRejected",
    "Retry",
    "SampleRejected",
    "ServerError",
    "ServiceFailed",
    "SeveralFacesError",
    "TimedOut",
    "UnexpectedAnswer",
    "Unreachable",
    "VerifyManyResponse",
    "VerifyResponse",
    "from_problem",
]
