"""Backbones from torchvision's classifiers, without their last layers. Untrained: nothing is downloaded."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models import efficientnet_b0, mobilenet_v3_small, resnet18, resnet34

from .backbone import Backbone, Pool


class Trunk(Backbone):
    """A sequence of named stages, then the pool."""

    default_input_size_px: ClassVar[int] = 112

    def __init__(self, stages: Mapping[str, nn.Module], out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        for name, stage in stages.items():
            setattr(self, name, stage)
        self.pool = Pool(out_channels)

    def stages(self) -> Mapping[str, nn.Module]:
        """The stages in the order of torchvision's layers, then the pool."""
        return dict(self.named_children())

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, out_channels, 1, 1)."""
        maps = pictures
        for stage in self.children():
            maps = stage(maps)
        return maps


class ResNet18(Trunk):
    """3@112x112 -> 512@1x1; 11 million parameters."""

    def __init__(self) -> None:
        super().__init__(_of_resnet(resnet18(weights=None)), 512)


class ResNet34(Trunk):
    """3@112x112 -> 512@1x1; 21 million parameters."""

    def __init__(self) -> None:
        super().__init__(_of_resnet(resnet34(weights=None)), 512)


class MobileNetV3Small(Trunk):
    """3@112x112 -> 576@1x1; 0.9 million parameters, few operations."""

    def __init__(self) -> None:
        super().__init__(_of_features(mobilenet_v3_small(weights=None).features), 576)


class EfficientNetB0(Trunk):
    """3@112x112 -> 1280@1x1; 4 million parameters."""

    def __init__(self) -> None:
        super().__init__(_of_features(efficientnet_b0(weights=None).features), 1280)


def _of_resnet(net: nn.Module) -> dict[str, nn.Module]:
    layers = dict(net.named_children())
    stem = nn.Sequential(layers["conv1"], layers["bn1"], layers["relu"], layers["maxpool"])
    return {"stem": stem} | {f"stage{k}": layers[f"layer{k}"] for k in range(1, 5)}


def _of_features(features: nn.Module) -> dict[str, nn.Module]:
    first, *others = features.children()
    return {"stem": first} | {f"stage{k}": stage for k, stage in enumerate(others, start=1)}
