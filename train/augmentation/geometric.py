"""Where in its picture a face lies: cut a little off its place, flipped, turned. Beyond the chip its edge goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from embedder import Pixels

from ..evaluation.metrics import Floats
from ..evaluation.protocols.protocol import Indices
from ..runfile.schema import Crop, Flip, Rotation


def met(n: int, probability: float, generator: Generator) -> Indices:
    """Return the positions of those of n faces that the change is made to."""
    return np.flatnonzero(generator.random(n) < probability).astype(np.int32)


def within(n: int, amount: float, generator: Generator) -> Floats:
    """Return n numbers between -amount and amount."""
    return generator.uniform(-amount, amount, n)


def between(n: int, reach: tuple[float, float], generator: Generator) -> Floats:
    """Return n numbers from ... to, spread evenly over their logarithms: half of them below the geometric mean."""
    low, high = np.log(reach)
    return np.exp(generator.uniform(low, high, n))


@dataclass(frozen=True, slots=True)
class CropWindow:
    """What is cut out of a chip, in whole px; it may reach beyond the chip."""

    top: int
    left: int
    height: int
    width: int


def unmoved(chip_px: int, crop_px: int) -> CropWindow:
    """The middle of a chip, as the network looks at it."""
    start = (chip_px - crop_px) // 2
    return CropWindow(start, start, crop_px, crop_px)


def windows(n: int, settings: Crop, generator: Generator, chip_px: int, crop_px: int) -> list[CropWindow]:
    """Draw what is cut out of each of n chips of side `chip_px`.

    A window of `crop_px` shows the face as large as the network sees it.
    """
    who = met(n, settings.probability, generator)
    size = (1 + settings.zoom) ** within(n, 1, generator) * crop_px
    stretch = (1 + settings.stretch) ** within(n, 0.5, generator)
    middle = chip_px / 2 + within(2 * n, settings.shift * crop_px, generator).reshape(2, n)
    sizes = np.rint([size * stretch, size / stretch])  # (2, n): heights, widths
    corners = np.rint(middle - sizes / 2)
    drawn = np.concatenate([corners, sizes]).astype(int)[:, who]
    found = [unmoved(chip_px, crop_px)] * n
    for k, each in zip(who.tolist(), drawn.T.tolist(), strict=True):
        found[k] = CropWindow(*each)
    return found


def placed(chips: Pixels, cut: Sequence[CropWindow], side_px: int) -> Tensor:
    """Cut each window out of its chip and resize it, in one step: uint8 (n, 3, side, side), channels last."""
    side = [side_px, side_px]
    pictures = torch.empty((len(chips), 3, *side), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    for k, window in enumerate(cut):
        pictures[k] = v2.resize(_seen_through(window, chips[k]), side)
    return pictures


def _seen_through(window: CropWindow, chip: Pixels) -> Tensor:
    """Return uint8 (3, height, width)."""
    bottom, right = window.top + window.height, window.left + window.width
    reach = max(0, -window.top, -window.left, bottom - len(chip), right - len(chip))
    seen = continued(chip, reach) if reach else chip
    cut = seen[window.top + reach : bottom + reach, window.left + reach : right + reach]
    return torch.from_numpy(cut.copy()).permute(2, 0, 1)  # resized in half the time if contiguous


def continued(chip: Pixels, reach: int) -> Pixels:
    """Continue the edge of a chip by so many px on every side; as np.pad does, in a third of its time."""
    last = reach + len(chip)
    seen = np.empty((last + reach, last + reach, 3), np.uint8)
    seen[reach:last, reach:last] = chip
    seen[reach:last, :reach] = chip[:, :1]
    seen[reach:last, last:] = chip[:, -1:]
    seen[:reach] = seen[reach]
    seen[last:] = seen[last - 1]
    return seen


def mirror(pictures: Tensor, settings: Flip, generator: Generator) -> None:
    """Exchange left and right in some of the pictures (n, 3, side, side), in place."""
    who = met(len(pictures), settings.probability, generator)
    pictures[who] = pictures[who].flip(-1)


def turn(pictures: Tensor, settings: Rotation, generator: Generator) -> None:
    """Turn some of the pictures (n, 3, side, side) about their middle, in place."""
    n = len(pictures)
    who = met(n, settings.probability, generator)
    angles = np.radians(within(n, settings.degrees, generator)[who])
    if len(who):
        turned = F.grid_sample(
            pictures[who].float(), _turned(angles, pictures.shape[-1]), padding_mode="border", align_corners=False
        )
        pictures[who] = as_levels(turned)


def _turned(angles: Floats, side_px: int) -> Tensor:
    """Return where each pixel of pictures turned by so many radians comes from: (k, side, side, 2), from -1 to 1."""
    middles = (2 * torch.arange(side_px, dtype=torch.float32) + 1) / side_px - 1
    x, y = middles, middles[:, None]
    cos, sin = torch.from_numpy(np.array([np.cos(angles), np.sin(angles)])).float()[:, :, None, None]
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def as_levels(pictures: Tensor) -> Tensor:
    """Round and cut off to uint8, channels last in memory."""
    return pictures.round_().clamp_(0, 255).to(torch.uint8, memory_format=torch.channels_last)
