"""The sensitivity of each channel to places of a face, and a face-like picture that maximises the channel.

Source: Simonyan et al., "Deep Inside Convolutional Networks", 2014; Olah et al., "Feature Visualization", 2017. Needs
torch.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray
from torch import Tensor

from ...network import EmbeddingNet
from ...progress import Advance
from ...types import Chips, Pixels, Vectors
from ..occlusion import occlude

N_PLACES = 15  # along each side
PATCH = 30 / 150  # of the chip's side; wider than the step, because no channel depends on a single point


def channel_attention(chips: Chips, embed: Callable[[Chips], Vectors], advance: Advance) -> NDArray[np.float64]:
    """The mean absolute change of each channel when each place is occluded: (channels, places, places), 0 or more."""
    shares = _patches(chips.shape[1])
    changes = np.zeros(())  # then (places * places, channels)
    for chip in chips:
        whole, *partly = embed(np.concatenate([chip[None], occlude(chip, shares)]))
        changes = changes + np.abs(np.array(partly) - whole)
        advance(1)
    return (changes / len(chips)).T.reshape(-1, N_PLACES, N_PLACES)


def _patches(side_px: int) -> NDArray[np.float32]:
    """Masks with a patch at each place, row by row: (places * places, side, side), 1 where the face is visible."""
    step, patch = side_px / N_PLACES, round(PATCH * side_px)
    starts = [round(step * (number + 0.5) - patch / 2) for number in range(N_PLACES)]
    shares = np.ones((N_PLACES, N_PLACES, side_px, side_px), np.float32)
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            shares[row, column, max(top, 0) : top + patch, max(left, 0) : left + patch] = 0
    return shares.reshape(-1, side_px, side_px)


N_STEPS, RATE = 40, 4.0  # the rate in grey levels
JITTER = 4 / 150  # of the chip's side
ROUGHNESS, FARNESS = 0.004, 0.0004  # penalty per grey level of difference: from the neighbour, and from the mean face
BATCH = 16


def maximise_channels(network: EmbeddingNet, mean: Pixels, spread: Tensor, advance: Advance) -> Chips:
    """Maximise each channel: (channels, side, side, 3). `spread` (channels,) is each channel's standard deviation."""
    network.requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for channels in torch.split(torch.arange(len(spread)), BATCH):
        pictures.append(_maximise(network, mean, (channels, spread[channels]), generator))
        advance(len(channels))
    return np.concatenate(pictures)


def _maximise(network: EmbeddingNet, mean: Pixels, goal: tuple[Tensor, Tensor], generator: torch.Generator) -> Chips:
    channels, spread = goal
    start = torch.from_numpy(mean.astype(np.float32)).permute(2, 0, 1)
    pictures = start.repeat(len(channels), 1, 1, 1).requires_grad_()
    optimizer = torch.optim.Adam([pictures], RATE)
    side = len(mean)
    jitter = round(JITTER * side)
    for _ in range(N_STEPS):
        down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
        shifted = pictures.roll((down, right), (2, 3))
        values = network(shifted.permute(0, 2, 3, 1))[torch.arange(len(channels)), channels] / spread
        loss = -values.sum() + ROUGHNESS * _roughness(pictures) + FARNESS * (pictures - start).abs().sum() / side
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            pictures.clamp_(0, 255)
    return pictures.detach().round().byte().permute(0, 2, 3, 1).numpy()


def _roughness(pictures: Tensor) -> Tensor:
    """The total variation of the pictures, divided by their width."""
    across = F.l1_loss(pictures[..., 1:], pictures[..., :-1], reduction="sum")
    down = F.l1_loss(pictures[..., 1:, :], pictures[..., :-1, :], reduction="sum")
    return (across + down) / pictures.shape[-1]
