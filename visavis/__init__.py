"""visavis: face verification. The public names of `embedder` and `service.client`.

Importing it loads neither torch nor the model: each name is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedder import (
        BundleError,
        Comparison,
        ComparisonBatch,
        DigestMismatch,
        Distances,
        Embedding,
        EmbeddingBatch,
        Face,
        FaceCovered,
        FaceEmbedder,
        FaceError,
        ImageError,
        ImageTooLarge,
        ImageTooSlow,
        ImageUnreadable,
        LowQuality,
        ModelError,
        NoFace,
        NotAnImage,
        OperatingPointUnavailable,
        RuntimeUnavailable,
        SampleError,
        SeveralFaces,
        TooManyFaces,
        VisavisError,
        load,
    )
    from embedder.explain import Explainer
    from service.client import AsyncFaceClient, ClientError, FaceClient, Retry

_ELSEWHERE = {
    "Explainer": "embedder.explain",
    **dict.fromkeys(("AsyncFaceClient", "ClientError", "FaceClient", "Retry"), "service.client"),
}

__all__ = [
    "AsyncFaceClient",
    "BundleError",
    "ClientError",
    "Comparison",
    "ComparisonBatch",
    "DigestMismatch",
    "Distances",
    "Embedding",
    "EmbeddingBatch",
    "Explainer",
    "Face",
    "FaceClient",
    "FaceCovered",
    "FaceEmbedder",
    "FaceError",
    "ImageError",
    "ImageTooLarge",
    "ImageTooSlow",
    "ImageUnreadable",
    "LowQuality",
    "ModelError",
    "NoFace",
    "NotAnImage",
    "OperatingPointUnavailable",
    "Retry",
    "RuntimeUnavailable",
    "SampleError",
    "SeveralFaces",
    "TooManyFaces",
    "VisavisError",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "embedder")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
