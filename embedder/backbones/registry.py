"""Backbones by the name that a model card gives."""

from collections.abc import Callable, Mapping

from ..errors import BundleError
from .dlib_resnet import DlibResNet

BACKBONES: Mapping[str, Callable[[], DlibResNet]] = {"dlib_resnet": DlibResNet}


def build_backbone(name: str) -> DlibResNet:
    """Build the backbone of that name, untrained; raises BundleError for a name not known here."""
    if name not in BACKBONES:
        raise BundleError(f"backbone {name!r} is not known here; known are {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]()
