"""A network that has learnt nothing, for looking at how a backbone is built."""

import torch
from torch import nn

from ..backbones.registry import default_input_size_px
from ..network import EmbeddingNet, new_network
from ..weights.card import Architecture, Preprocessing

SEED = 0
CHIP_SIZE_PX = 112  # as the default model's; the network resizes them to the backbone's size


def untrained_network(backbone: str) -> EmbeddingNet:
    """The backbone at the size that it is meant for, with the head, in eval mode. Raises BundleError.

    Its biases and statistics are noise: zeros do nothing, and what does nothing is left out of the graph that runs.
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
    """Everything that is added to a channel."""
    return [
        tensor.data
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
        if name.endswith(("bias", "running_mean", "shift"))
    ]
