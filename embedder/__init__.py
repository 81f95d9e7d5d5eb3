"""The door of the embedder: a face image in, 128 channels out.

Lazy (PEP 562): naming the package loads no torch; a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparison import Distances
    from .errors import (
        BundleError,
        DigestMismatch,
        DlibFileError,
        FaceError,
        ImageError,
        ImageTooLarge,
        ImageUnreadable,
        ModelError,
        NoFace,
        NotAnImage,
        SampleError,
        SeveralFaces,
        VisavisError,
    )
    from .image import Limits
    from .pipeline import FaceEmbedder, load
    from .types import (
        Box,
        Comparison,
        ComparisonBatch,
        Embedding,
        Face,
        FaceChoice,
        ModelIdentity,
        Sample,
        Timings,
    )
    from .weights.card import ModelCard, OperatingPoint

__all__ = [
    "Box",
    "BundleError",
    "Comparison",
    "ComparisonBatch",
    "DigestMismatch",
    "Distances",
    "DlibFileError",
    "Embedding",
    "Face",
    "FaceChoice",
    "FaceEmbedder",
    "FaceError",
    "ImageError",
    "ImageTooLarge",
    "ImageUnreadable",
    "Limits",
    "ModelCard",
    "ModelError",
    "ModelIdentity",
    "NoFace",
    "NotAnImage",
    "OperatingPoint",
    "Sample",
    "SampleError",
    "SeveralFaces",
    "Timings",
    "VisavisError",
    "load",
]

_ROOMS = {"Distances": ".comparison", "FaceEmbedder": ".pipeline", "Limits": ".image", "load": ".pipeline"}
_CARD = ("ModelCard", "OperatingPoint")
_TYPES = (
    "Box",
    "Comparison",
    "ComparisonBatch",
    "Embedding",
    "Face",
    "FaceChoice",
    "ModelIdentity",
    "Sample",
    "Timings",
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = _ROOMS.get(name) or (".types" if name in _TYPES else ".weights.card" if name in _CARD else ".errors")
    return getattr(import_module(room, __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
