"""Inception-ResNet v1 as facenet-pytorch builds it, without its last layers. Untrained: nothing is downloaded.

Sources: Szegedy et al., "Inception-v4, Inception-ResNet ...", 2016; Schroff et al., "FaceNet", 2015.
"""

from collections.abc import Mapping

from facenet_pytorch import InceptionResnetV1
from torch import Tensor, nn

from .backbone import Backbone

STEM = ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "conv2d_4b")
STAGES = (("repeat_1",), ("mixed_6a", "repeat_2"), ("mixed_7a", "repeat_3", "block8"))


class InceptionResNetV1(Backbone):
    """3@160x160 -> 1792@1x1."""

    out_channels = 1792
    default_input_size_px = 160
    smallest_input_size_px = 75

    def __init__(self) -> None:
        super().__init__()
        layers = dict(InceptionResnetV1(pretrained=None, classify=False).named_children())
        self.stem = nn.Sequential(*(layers[name] for name in STEM))
        for number, names in enumerate(STAGES, start=1):
            setattr(self, f"stage{number}", nn.Sequential(*(layers[name] for name in names)))
        self.pool = layers["avgpool_1a"]

    def stages(self) -> Mapping[str, nn.Module]:
        """The stem, then a stage for each size of maps."""
        return {name: stage for name, stage in self.named_children() if name != "pool"}

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, 1792, 1, 1)."""
        maps = pictures
        for stage in self.children():
            maps = stage(maps)
        return maps

    @staticmethod
    def own_name(name: str) -> str | None:
        """Map a tensor name of facenet-pytorch's network to the name in this one; None if it is not in the trunk."""
        layer, _, rest = name.partition(".")
        for stage, names in {"stem": STEM, **{f"stage{k}": each for k, each in enumerate(STAGES, start=1)}}.items():
            if layer in names:
                return f"{stage}.{names.index(layer)}.{rest}"
        return None
