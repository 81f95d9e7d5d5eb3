"""The door of the embedder: a face image in, 128 channels out.

Lazy (PEP 562): naming the package loads no torch; a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .commands.rates import percent
    from .comparison import Comparison, ComparisonBatch, Distances, Judgement
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
        OperatingPointUnavailable,
        SampleError,
        SeveralFaces,
        VisavisError,
    )
    from .image import Limits
    from .pipeline import FaceEmbedder, load
    from .points import chosen_point
    from .types import (
        Box,
        Chip,
        Embedding,
        Face,
        FaceChoice,
        ModelIdentity,
        Pixels,
        Sample,
        Timings,
    )
    from .weights.bundle import copy_bundle, require_new_folder
    from .weights.card import Calibration, CalibrationData, LogLikelihoodRatio, ModelCard, OperatingPoint

__all__ = [
    "Box",
    "BundleError",
    "Calibration",
    "CalibrationData",
    "Chip",
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
    "Judgement",
    "Limits",
    "LogLikelihoodRatio",
    "ModelCard",
    "ModelError",
    "ModelIdentity",
    "NoFace",
    "NotAnImage",
    "OperatingPoint",
    "OperatingPointUnavailable",
    "Pixels",
    "Sample",
    "SampleError",
    "SeveralFaces",
    "Timings",
    "VisavisError",
    "chosen_point",
    "copy_bundle",
    "load",
    "percent",
    "require_new_folder",
]

_CARD = ("Calibration", "CalibrationData", "LogLikelihoodRatio", "ModelCard", "OperatingPoint")
_COMPARISON = ("Comparison", "ComparisonBatch", "Distances", "Judgement")
_TYPES = ("Box", "Chip", "Embedding", "Face", "FaceChoice", "ModelIdentity", "Pixels", "Sample", "Timings")
_ROOMS = {
    "FaceEmbedder": ".pipeline",
    "Limits": ".image",
    "chosen_point": ".points",
    "copy_bundle": ".weights.bundle",
    "load": ".pipeline",
    "percent": ".commands.rates",
    "require_new_folder": ".weights.bundle",
    **dict.fromkeys(_CARD, ".weights.card"),
    **dict.fromkeys(_COMPARISON, ".comparison"),
    **dict.fromkeys(_TYPES, ".types"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS.get(name, ".errors"), __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
