"""EmbeddingNet: chips as they are cut -> normalised -> backbone -> head -> embeddings."""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .backbones.dlib_resnet import ConvAffine
from .backbones.registry import build_backbone
from .errors import BundleError
from .head import Head
from .types import CHIP_SIZE_PX
from .weights.bundle import Bundle
from .weights.card import Architecture, Preprocessing


class EmbeddingNet(nn.Module):
    """A whole network, from uint8 chips to embeddings. What a card says of its input happens inside."""

    mean: Tensor

    def __init__(self, architecture: Architecture, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.input_size_px, self.scale = preprocessing.input_size_px, preprocessing.scale
        self.register_buffer("mean", torch.tensor(preprocessing.mean)[:, None, None], persistent=False)
        self.backbone = build_backbone(architecture.backbone)
        self.head = Head(self.backbone.out_channels, unit_length=architecture.unit_length)

    def forward(self, chips: Tensor) -> Tensor:
        """Map uint8 RGB (n, 150, 150, 3) to float32 (n, 128)."""
        return self.head(self.backbone(self._normalised(chips)))  # type: ignore[no-any-return] # torch types a module call as Any

    def _normalised(self, chips: Tensor) -> Tensor:
        pictures = (chips.permute(0, 3, 1, 2).float() - self.mean) / self.scale  # (n, 3, 150, 150)
        if self.input_size_px == CHIP_SIZE_PX:
            return pictures
        size = (self.input_size_px, self.input_size_px)
        return F.interpolate(pictures, size, mode="bilinear", antialias=True)


def build_network(bundle: Bundle) -> EmbeddingNet:
    """Build the network of a bundle, with its weights, ready for training; raises BundleError if they do not fit."""
    network = EmbeddingNet(bundle.card.architecture, bundle.card.preprocessing)
    weights = {name: torch.from_numpy(tensor.copy()) for name, tensor in bundle.tensors.items()}
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise BundleError(f"the weights do not fit the card's architecture: {error}") from error
    return network


def fold(network: nn.Module) -> nn.Module:
    """Fold every affine layer into its convolution, in place: the same function in fewer steps, for inference."""
    for name, child in network.named_children():
        if isinstance(child, ConvAffine):
            setattr(network, name, child.folded())
        else:
            fold(child)
    return network
