"""The door of the embedder: a face image in, 128 channels out.

Lazy (PEP 562): naming the package loads no torch; a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backbones.registry import BACKBONES, default_input_size_px
    from .cli import missing_module
    from .commands.options import running_options
    from .commands.rates import percent
    from .comparison import Comparison, ComparisonBatch, Distances, Judgement
    from .cores import n_cores
    from .detection.graphs import built_in_detector
    from .encoded import data_uri, jpeg, png
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
        RuntimeUnavailable,
        SampleError,
        SeveralFaces,
        SFaceFileError,
        UnknownLayer,
        VisavisError,
    )
    from .explain.explanation import Both, ChannelShare, Explanation, RegionShare, Saliency, Side
    from .explain.layers import Description, Layer
    from .explain.maps import FeatureMaps, Response
    from .explain.sentences import atlas_json_of
    from .explain.sheet import Drawing, drawn
    from .image import IMAGE_SUFFIXES, Limits, image_file, is_named_as_photo
    from .loading import load
    from .network import EmbeddingNet, build_network, fold, new_network, tensors_of
    from .pipeline import FaceEmbedder
    from .points import chosen_point
    from .private_files import PrivateFiles, replace_file, replacing, unfinished
    from .quality import MEASURES
    from .runtime.choice import Running, RuntimeName
    from .runtime.graph import embedding_graph
    from .runtime.torch import computes_in_bf16
    from .types import (
        Box,
        Chip,
        Chips,
        Embedding,
        Face,
        FaceChoice,
        Grade,
        ModelIdentity,
        Pixels,
        Precision,
        Quality,
        QualityChoice,
        Sample,
        Timings,
    )
    from .weights.bundle import (
        BUILT_IN,
        BUILT_IN_MODELS,
        Bundle,
        bundle_folder,
        copy_bundle,
        read_bundle,
        require_new_folder,
        serialize_tensors,
        sha256_of,
        write_bundle,
    )
    from .weights.card import (
        Alignment,
        Architecture,
        Calibration,
        DetectorFacts,
        ModelCard,
        Preprocessing,
        Provenance,
        ScoreKind,
    )
    from .weights.new_card import new_card
    from .weights.parts import CalibrationData, LogLikelihoodRatio, OperatingPoint
    from .weights.quality_penalty import QualityPenalty
    from .weights.training import TrainingRecord

__all__ = [
    "BACKBONES",
    "BUILT_IN",
    "BUILT_IN_MODELS",
    "IMAGE_SUFFIXES",
    "MEASURES",
    "Alignment",
    "Architecture",
    "Both",
    "Box",
    "Bundle",
    "BundleError",
    "Calibration",
    "CalibrationData",
    "ChannelShare",
    "Chip",
    "Chips",
    "Comparison",
    "ComparisonBatch",
    "Description",
    "DetectorFacts",
    "DigestMismatch",
    "Distances",
    "DlibFileError",
    "Drawing",
    "Embedding",
    "EmbeddingNet",
    "Explanation",
    "Face",
    "FaceChoice",
    "FaceEmbedder",
    "FaceError",
    "FeatureMaps",
    "Grade",
    "ImageError",
    "ImageTooLarge",
    "ImageUnreadable",
    "Judgement",
    "Layer",
    "Limits",
    "LogLikelihoodRatio",
    "LowQuality",
    "ModelCard",
    "ModelError",
    "ModelIdentity",
    "NoFace",
    "NotAnImage",
    "OperatingPoint",
    "OperatingPointUnavailable",
    "Pixels",
    "Precision",
    "Preprocessing",
    "PrivateFiles",
    "Provenance",
    "Quality",
    "QualityChoice",
    "QualityPenalty",
    "RegionShare",
    "Response",
    "Running",
    "RuntimeName",
    "RuntimeUnavailable",
    "SFaceFileError",
    "Saliency",
    "Sample",
    "SampleError",
    "ScoreKind",
    "SeveralFaces",
    "Side",
    "Timings",
    "TrainingRecord",
    "UnknownLayer",
    "VisavisError",
    "atlas_json_of",
    "build_network",
    "built_in_detector",
    "bundle_folder",
    "chosen_point",
    "computes_in_bf16",
    "copy_bundle",
    "data_uri",
    "default_input_size_px",
    "drawn",
    "embedding_graph",
    "fold",
    "image_file",
    "is_named_as_photo",
    "jpeg",
    "load",
    "missing_module",
    "n_cores",
    "new_card",
    "new_network",
    "percent",
    "png",
    "read_bundle",
    "replace_file",
    "replacing",
    "require_new_folder",
    "running_options",
    "serialize_tensors",
    "sha256_of",
    "tensors_of",
    "unfinished",
    "write_bundle",
]

_CARD = (
    "Alignment",
    "Architecture",
    "Calibration",
    "DetectorFacts",
    "ModelCard",
    "Preprocessing",
    "Provenance",
    "ScoreKind",
)
_COMPARISON = ("Comparison", "ComparisonBatch", "Distances", "Judgement")
_PARTS = ("CalibrationData", "LogLikelihoodRatio", "OperatingPoint")
_BUNDLE = (
    "BUILT_IN",
    "BUILT_IN_MODELS",
    "bundle_folder",
    "Bundle",
    "copy_bundle",
    "read_bundle",
    "require_new_folder",
    "serialize_tensors",
    "sha256_of",
    "write_bundle",
)
_EXPLANATION = ("Both", "ChannelShare", "Explanation", "RegionShare", "Saliency", "Side")
_NETWORK = ("EmbeddingNet", "build_network", "fold", "new_network", "tensors_of")
_TYPES = (
    "Box",
    "Chip",
    "Chips",
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
    **dict.fromkeys(("IMAGE_SUFFIXES", "Limits", "image_file", "is_named_as_photo"), ".image"),
    "MEASURES": ".quality",
    "built_in_detector": ".detection.graphs",
    "Precision": ".types",
    "TrainingRecord": ".weights.training",
    "atlas_json_of": ".explain.sentences",
    "chosen_point": ".points",
    "computes_in_bf16": ".runtime.torch",
    "embedding_graph": ".runtime.graph",
    "load": ".loading",
    "missing_module": ".cli",
    "n_cores": ".cores",
    **dict.fromkeys(("Description", "Layer"), ".explain.layers"),
    **dict.fromkeys(("FeatureMaps", "Response"), ".explain.maps"),
    **dict.fromkeys(_EXPLANATION, ".explain.explanation"),
    **dict.fromkeys(("Drawing", "drawn"), ".explain.sheet"),
    **dict.fromkeys(("data_uri", "jpeg", "png"), ".encoded"),
    **dict.fromkeys(("PrivateFiles", "replace_file", "replacing", "unfinished"), ".private_files"),
    "new_card": ".weights.new_card",
    "percent": ".commands.rates",
    "running_options": ".commands.options",
    "QualityPenalty": ".weights.quality_penalty",
    **dict.fromkeys(("Running", "RuntimeName"), ".runtime.choice"),
    **dict.fromkeys(("BACKBONES", "default_input_size_px"), ".backbones.registry"),
    **dict.fromkeys(_BUNDLE, ".weights.bundle"),
    **dict.fromkeys(_CARD, ".weights.card"),
    **dict.fromkeys(_COMPARISON, ".comparison"),
    **dict.fromkeys(_NETWORK, ".network"),
    **dict.fromkeys(_PARTS, ".weights.parts"),
    **dict.fromkeys(_TYPES, ".types"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS.get(name, ".errors"), __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
