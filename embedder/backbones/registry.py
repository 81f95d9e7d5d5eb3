"""Backbones by their name in a model card. Each is imported when it is first built, so the names need no torch."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import BundleError

if TYPE_CHECKING:
    from .backbone import Backbone

# name -> module, class or function in it
BACKBONES: Mapping[str, tuple[str, str]] = {
    "dlib_resnet": (".dlib_resnet", "DlibResNet"),
    "sface": (".sface", "SFace"),
    "small": (".small", "Small"),
    "patches": (".patches", "Patches"),
    "mobilenet_v3_small": (".torchvision_nets", "MobileNetV3Small"),
    "efficientnet_b0": (".torchvision_nets", "EfficientNetB0"),
    "resnet18": (".torchvision_nets", "ResNet18"),
    "resnet34": (".torchvision_nets", "ResNet34"),
    "inception_resnet_v1": (".inception_resnet", "InceptionResNetV1"),
}

IMPORTED = "onnx"  # in cards of networks from ONNX files of others, which torch cannot build


def build_backbone(name: str) -> "Backbone":
    """Build an untrained backbone by name. Raises BundleError if it is unknown or its library is not installed."""
    backbone: Backbone = backbone_class(name)()
    return backbone


def default_input_size_px(name: str) -> int:
    """Return the default side of a backbone's input. Raises BundleError as `build_backbone` does."""
    return backbone_class(name).default_input_size_px


def backbone_class(name: str) -> "type[Backbone]":
    """Import the class of a backbone. Raises BundleError as `build_backbone` does."""
    if name == IMPORTED:
        raise BundleError(
            "the network was imported from an ONNX file, and torch has none for it: it runs with openvino on the CPU "
            "alone, and training, gradients and export are not available"
        )
    if name not in BACKBONES:
        raise BundleError(f"unknown backbone {name!r}; use one of {', '.join(sorted(BACKBONES))}")
    module, attribute = BACKBONES[name]
    try:
        found: type[Backbone] = getattr(import_module(module, __package__), attribute)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        raise BundleError(
            f"backbone {name} needs {library}, which is not installed; run: pip install 'visavis[train]'"
        ) from error
    return found
