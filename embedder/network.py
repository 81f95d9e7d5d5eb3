"""EmbeddingNet: chips -> resizing, normalisation -> backbone -> head -> embeddings."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from .backbones.backbone import Backbone, FullMapConv
from .backbones.dlib_resnet import ConvAffine
from .backbones.registry import build_backbone, default_input_size_px
from .errors import BundleError
from .weights.bundle import Bundle
from .weights.card import Architecture, Preprocessing


class Head(nn.Module):
    """A convolution whose kernels cover the whole map, equivalent to a fully connected layer.

    Over a 1x1 map it mixes only channels; over a larger map it mixes channels and space.
    """

    def __init__(
        self,
        below: int,
        n_channels: int,
        *,
        unit_length: bool,
        n_branches: int = 1,
        side_px: int = 1,
        norm_eps: float | None = None,
    ) -> None:
        """Build the head. Each of several branches has its own input and output channels, and equal weight.

        Over a map of `side_px` > 1 the convolution has a bias and no branches. `norm_eps` is the eps of a batch
        normalisation after it; None: no normalisation.
        """
        super().__init__()
        self.unit_length, self.n_branches = unit_length, n_branches
        self.projection = (
            nn.Conv2d(below, n_channels, 1, groups=n_branches, bias=False)
            if side_px == 1
            else FullMapConv(below, n_channels, side_px)
        )
        self.norm = None if norm_eps is None else nn.BatchNorm2d(n_channels, norm_eps)
        self.reduction: nn.Conv2d | None = None
        if not unit_length:
            self._begin_about_1_long(n_channels)

    def add_projection(self, n_channels: int) -> None:
        """Project embeddings to fewer channels, and then scale them to length 1 again if they were so before."""
        self.reduction = nn.Conv2d(self.projection.out_channels, n_channels, 1)

    def forward(self, last_map: Tensor) -> Tensor:
        """Map (n, below, side_px, side_px) to (n, channels)."""
        channels = self.projection(last_map)
        embeddings = self._scaled((channels if self.norm is None else self.norm(channels)).flatten(1), self.n_branches)
        if self.reduction is None:
            return embeddings
        return self._scaled(self.reduction(embeddings[:, :, None, None]).flatten(1), 1)

    def _scaled(self, embeddings: Tensor, n_branches: int) -> Tensor:
        if not self.unit_length:
            return embeddings
        parts = embeddings.reshape(-1, n_branches, embeddings.shape[1] // n_branches)
        unit: Tensor = F.normalize(parts, dim=2).flatten(1) * n_branches**-0.5
        return unit

    def _begin_about_1_long(self, n_channels: int) -> None:
        """Initialise so that embeddings have a length of about 1, as margin losses and distillation expect."""
        if self.norm is None:
            n_below = self.projection.weight[0].numel() * self.n_branches
            nn.init.normal_(self.projection.weight, std=(n_below * n_channels) ** -0.5)
        else:
            nn.init.constant_(self.norm.weight, n_channels**-0.5)


M = TypeVar("M", bound=nn.Module)

HEAD = "head"  # the stage after those of the backbone


class EmbeddingNet(nn.Module):
    """The whole network, from uint8 chips to embeddings. It includes the preprocessing that the card specifies."""

    mean_pixel: Tensor  # not `mean`: an exported graph would contain that name twice, also for a node's output
    resizing: Tensor  # (side, crop)

    def __init__(self, architecture: Architecture, preprocessing: Preprocessing, chip_size_px: int) -> None:
        """Build the untrained network for chips of that side. Raises BundleError if it cannot be built."""
        super().__init__()
        self.input_size_px, self.chip_size_px = preprocessing.input_size_px, chip_size_px
        self.crop_px = preprocessing.crop_px or chip_size_px
        self.scale = preprocessing.scale
        self.register_buffer("resizing", _resizing(self.crop_px, self.input_size_px), persistent=False)
        self.register_buffer("mean_pixel", torch.tensor(preprocessing.mean)[:, None, None], persistent=False)
        self.backbone = build_backbone(architecture.backbone)
        _require_room(self.backbone, architecture.backbone, self.input_size_px)
        _require_equal_branches(self.backbone, architecture)
        self.head = Head(
            self.backbone.out_channels,
            architecture.projected_from or architecture.embedding_size,
            unit_length=architecture.unit_length,
            n_branches=self.backbone.n_branches,
            side_px=self.backbone.out_side_px,
            norm_eps=self.backbone.head_norm_eps,
        )
        if architecture.projected_from is not None:
            self.head.add_projection(architecture.embedding_size)

    def forward(self, chips: Tensor) -> Tensor:
        """Map uint8 RGB chips (n, chip, chip, 3) to float32 (n, channels)."""
        return self.embed_pictures(self.resized(chips))

    def resized(self, chips: Tensor) -> Tensor:
        """Crop and resize chips (n, chip, chip, 3) to the network's input size: (n, 3, side, side), 0..255."""
        start = (self.chip_size_px - self.crop_px) // 2
        part = slice(start, start + self.crop_px)
        pictures = chips[:, part, part].permute(0, 3, 1, 2)
        if self.input_size_px == self.crop_px:
            return pictures
        planes = pictures.flatten(0, 1).float()  # OpenVINO 2026.4 fuses too much of a product in four dimensions
        return (self.resizing @ planes @ self.resizing.T).reshape(-1, 3, self.input_size_px, self.input_size_px)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Map pixel values 0..255, uint8 or float (n, 3, side, side), to float32 (n, channels)."""
        return self.head(self.features(pictures))  # type: ignore[no-any-return] # torch types a module call as Any

    def features(self, pictures: Tensor) -> Tensor:
        """Map pixel values (n, 3, side, side) to the head's input, usually (n, out_channels, 1, 1)."""
        return self.backbone((pictures.float() - self.mean_pixel) / self.scale)  # type: ignore[no-any-return] # as above

    def stages(self) -> Mapping[str, nn.Module]:
        """Stages by name, in order from the input: the backbone's, then the head."""
        return {**self.backbone.stages(), HEAD: self.head}


def new_network(
    architecture: Architecture, preprocessing: Preprocessing, chip_size_px: int, generator: torch.Generator
) -> EmbeddingNet:
    """Build an untrained network for chips of that side; its weights are drawn from `generator`. Raises BundleError."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # every library's own initialisation draws from torch's global generator
        return EmbeddingNet(architecture, preprocessing, chip_size_px)


def build_network(bundle: Bundle) -> EmbeddingNet:
    """Build the network of a bundle, with its weights, ready for training; raises BundleError if they do not fit."""
    card = bundle.card
    network = EmbeddingNet(card.architecture, card.preprocessing, card.alignment.chip_size_px)
    weights = {name: torch.from_numpy(tensor.copy()) for name, tensor in bundle.tensors.items()}
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise BundleError(f"the weights do not fit the card's architecture: {error}") from error
    return network


def tensors_of(network: EmbeddingNet) -> dict[str, NDArray[np.float32]]:
    """Copy the weights and statistics that a bundle stores; batch counters, which serving does not need, are left out.

    Raises BundleError if they are not finite.
    """
    state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise BundleError(f"{name} contains values that are not finite: training diverged; lower the learning rate")
    return {name: tensor.detach().cpu().float().numpy().copy() for name, tensor in state.items()}


def fuse_batch_norm(network: M) -> M:
    """Fold affine layers and normalisations into their convolutions, in place; the function stays the same.

    The network must be in eval mode.
    """
    _fold_normalisations(network)
    for name, child in network.named_children():
        if isinstance(child, ConvAffine):
            setattr(network, name, child.folded())
        else:
            fuse_batch_norm(child)
    return network


def _fold_normalisations(parent: nn.Module) -> None:
    """Fold each normalisation that follows a convolution as a child; in all backbones here it also runs next."""
    for (name, conv), (following, norm) in pairwise(list(parent.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(parent, name, fuse_conv_bn_eval(conv.double(), norm.double()).float())
            setattr(parent, following, nn.Identity())


def _resizing(size_px: int, new_size_px: int) -> Tensor:
    """The matrix (new, old) that resizes a column of pixels as torch's antialiased bilinear interpolation does.

    The interpolation is linear, and all runtimes support matrix products, but not all support this interpolation.
    """
    columns = torch.eye(size_px)[None, None]
    return F.interpolate(columns, (new_size_px, size_px), mode="bilinear", antialias=True)[0, 0]


def _require_room(backbone: Backbone, name: str, size_px: int) -> None:
    smallest, largest = backbone.smallest_input_size_px, backbone.largest_input_size_px
    if size_px < smallest or (largest is not None and size_px > largest):
        room = f"{smallest} px or more" if largest is None else f"{smallest} to {largest} px"
        raise BundleError(f"backbone {name} needs pictures of {room}, not input_size_px = {size_px}")


def _require_equal_branches(backbone: Backbone, architecture: Architecture) -> None:
    n_channels = architecture.projected_from or architecture.embedding_size
    if n_channels % backbone.n_branches:
        raise BundleError(
            f"backbone {architecture.backbone} has {backbone.n_branches} branches with as many channels each: "
            f"embedding_size must be a multiple of {backbone.n_branches}, not {n_channels}"
        )


SEED = 0
CHIP_SIZE_PX = 112  # as for the default model; the network resizes chips to the backbone's input size


def untrained_network(backbone: str) -> EmbeddingNet:
    """Build an untrained network of a backbone at its default input size, in eval mode. Raises BundleError.

    Its biases and statistics are random, because the runtime removes operations with zeros from the graph.
    """
    generator = torch.Generator().manual_seed(SEED)
    size_px = default_input_size_px(backbone)
    architecture = Architecture(backbone=backbone, embedding_size=128, unit_length=True, mirror=False)
    preprocessing = Preprocessing(input_size_px=size_px, color_order="RGB", mean=(127.5, 127.5, 127.5), scale=128)
    network = new_network(architecture, preprocessing, CHIP_SIZE_PX, generator).eval()
    for tensor in _offsets(network):
        tensor.normal_(std=0.1, generator=generator)
    return network


def _offsets(network: nn.Module) -> list[torch.Tensor]:
    """The tensors of values that are added to channels."""
    return [
        tensor.data
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
        if name.endswith(("bias", "running_mean", "shift"))
    ]
