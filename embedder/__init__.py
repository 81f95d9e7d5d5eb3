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
        LowQuality,
        ModelError,
        NoFace,
        NotAnImage,
        OperatingPointUnavailable,
        SampleError,
        SeveralFaces,
        VisavisError,
    )
    from .image import Limits
    from .loading import load
    from .neighbourhood import Neighbourhoods, Places, features
    from .pipeline import FaceEmbedder
    from .points import chosen_point
    from .quality import MEASURES
    from .types import (
        Box,
        Chip,
        Embedding,
        Face,
        FaceChoice,
        Grade,
        ModelIdentity,
        Pixels,
        Quality,
        QualityChoice,
        Sample,
        Timings,
    )
    from .weights.bundle import copy_bundle, require_new_folder, serialize_tensors, sha256_of
    from .weights.card import Calibration, ModelCard, ScoreKind
    from .weights.own_threshold import Cohort, OwnThreshold, PenaltyCurve, QualityRule
    from .weights.parts import CalibrationData, LogLikelihoodRatio, OperatingPoint

__all__ = [
    "MEASURES",
    "Box",
    "BundleError",
    "Calibration",
    "CalibrationData",
    "Chip",
    "Cohort",
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
    "Grade",
    "ImageError",
    "ImageTooLarge",
    "ImageUnreadable",
    "Judgement",
    "Limits",
    "LogLikelihoodRatio",
    "LowQuality",
    "ModelCard",
    "ModelError",
    "ModelIdentity",
    "Neighbourhoods",
    "NoFace",
    "NotAnImage",
    "OperatingPoint",
    "OperatingPointUnavailable",
    "OwnThreshold",
    "PenaltyCurve",
    "Pixels",
    "Places",
    "Quality",
    "QualityChoice",
    "QualityRule",
    "Sample",
    "SampleError",
    "ScoreKind",
    "SeveralFaces",
    "Timings",
    "VisavisError",
    "chosen_point",
    "copy_bundle",
    "features",
    "load",
    "percent",
    "require_new_folder",
    "serialize_tensors",
    "sha256_of",
]

_CARD = ("Calibration", "ModelCard", "ScoreKind")
_COMPARISON = ("Comparison", "ComparisonBatch", "Distances", "Judgement")
_OWN = ("Cohort", "OwnThreshold", "PenaltyCurve", "QualityRule")
_PARTS = ("CalibrationData", "LogLikelihoodRatio", "OperatingPoint")
_BUNDLE = ("copy_bundle", "require_new_folder", "serialize_tensors", "sha256_of")
_TYPES = (
    "Box",
    "Chip",
    "Embedding",
    "Face",
    "FaceChoice",
    "Grade",
    "ModelIdentity",
    "Pixels",
    "Quality",
    "QualityChoice",
    "Sample",
    "Timings",
)
_ROOMS = {
    "FaceEmbedder": ".pipeline",
    "Limits": ".image",
    "MEASURES": ".quality",
    "chosen_point": ".points",
    "load": ".loading",
    "percent": ".commands.rates",
    **dict.fromkeys(("Neighbourhoods", "Places", "features"), ".neighbourhood"),
    **dict.fromkeys(_BUNDLE, ".weights.bundle"),
    **dict.fromkeys(_CARD, ".weights.card"),
    **dict.fromkeys(_COMPARISON, ".comparison"),
    **dict.fromkeys(_OWN, ".weights.own_threshold"),
    **dict.fromkeys(_PARTS, ".weights.parts"),
    **dict.fromkeys(_TYPES, ".types"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS.get(name, ".errors"), __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
