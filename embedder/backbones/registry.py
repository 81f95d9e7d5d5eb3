"""Backbones by the name that a model card gives."""

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from ..errors import BundleError
from .dlib_resnet import DlibResNet


class Backbone(Protocol):
    """A torch module from (n, 3, height, width) to (n, out_channels, 1, 1)."""

    out_channels: int

    def __call__(self, pictures: Tensor) -> Tensor:
        """Run it."""


BACKBONES: Mapping[str, Callable[[], DlibResNet]] = {"dlib_resnet": DlibResNet}


def build_backbone(name: str) -> DlibResNet:
    """Build the backbone of that name, untrained; raises BundleError for a name not known here."""
    if name not in BACKBONES:
        raise BundleError(f"backbone {name!r} is not known here; known are {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]()
