"""Backbones by the name that a model card gives. Each is imported when it is first built; the names need no torch."""

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


def build_backbone(name: str) -> "Backbone":
    """Build the backbone of that name, untrained. Raises BundleError for one that is not known or not installed."""
    backbone: Backbone = backbone_class(name)()
    return backbone


def default_input_size_px(name: str) -> int:
    """The side of the pictures that it is meant for. Raises BundleError as `build_backbone`."""
    return backbone_class(name).default_input_size_px


def backbone_class(name: str) -> "type[Backbone]":
    """Import it. Raises BundleError as `build_backbone`."""
    if name not in BACKBONES:
        raise BundleError(f"backbone {name!r} is not known here; known are {', '.join(sorted(BACKBONES))}")
    module, attribute = BACKBONES[name]
    try:
        found: type[Backbone] = getattr(import_module(module, __package__), attribute)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        raise BundleError(
            f"backbone {name} needs {library}, which is not installed; run: pip install 'visavis[train]'"
        ) from error
    return found
