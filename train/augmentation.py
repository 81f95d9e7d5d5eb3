"""Random augmentation of chips: geometry, colour and degradation, each with its probability, in a fixed order.

Brightness, contrast, saturation and hue are linear in red, green and blue, so they are applied in one step and clipped
to 0 ... 255 once.

Sizes are in px of the chip, whose side is `chip_px`, and scale with the picture; JPEG compresses the picture at the
size of the network's input.

Random numbers are drawn per face and per augmentation, never shared within a batch. They do not depend on how many
processes share a batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from embedder import Pixels

from .evaluation.metrics import Floats
from .evaluation.protocols.protocol import Indices
from .run_file import Augmentation, Blur, Color, Crop, Flip, Grey, Jpeg, LowResolution, Rotation


class Draws(Protocol):
    """What is drawn from: numpy's Generator, or `ShareOfDraws`."""

    def random(self, n: int, /) -> Floats:
        """Draw n numbers from 0 to 1."""

    def uniform(self, low: float, high: float, n: int, /) -> Floats:
        """Draw n numbers between two others."""

    def integers(self, low: int, high: int, n: int, /, *, endpoint: bool) -> NDArray[np.int64]:
        """Draw n whole numbers between two others."""


@dataclass(frozen=True, slots=True)
class ShareOfDraws:
    """Draws for all faces of a batch, and returns the numbers of those that one of several processes has."""

    generator: Generator  # in the same state in all processes
    process: int
    n_processes: int

    def random(self, n: int, /) -> Floats:
        """Draw the numbers of n faces, from 0 to 1."""
        return self.generator.random(n * self.n_processes)[self._own(n)]

    def uniform(self, low: float, high: float, n: int, /) -> Floats:
        """Draw the numbers of n faces, between two others."""
        return self.generator.uniform(low, high, n * self.n_processes)[self._own(n)]

    def integers(self, low: int, high: int, n: int, /, *, endpoint: bool) -> NDArray[np.int64]:
        """Draw whole numbers for n faces, between two others."""
        return self.generator.integers(low, high, n * self.n_processes, endpoint=endpoint)[self._own(n)]

    def _own(self, n: int) -> slice:
        return slice(self.process * n, (self.process + 1) * n)


def met(n: int, probability: float, generator: Draws) -> Indices:
    """Draw the positions, among n faces, that an augmentation is applied to."""
    return np.flatnonzero(generator.random(n) < probability).astype(np.int32)


def within(n: int, amount: float, generator: Draws) -> Floats:
    """Draw n numbers, uniformly between -amount and amount."""
    return generator.uniform(-amount, amount, n)


def between(n: int, reach: tuple[float, float], generator: Draws) -> Floats:
    """Draw n numbers, log-uniformly within `reach`."""
    low, high = np.log(reach)
    return np.exp(generator.uniform(low, high, n))


@dataclass(frozen=True, slots=True)
class CropWindow:
    """A crop of a chip, in whole px; it may extend beyond the chip."""

    top: int
    left: int
    height: int
    width: int


def unmoved(chip_px: int, crop_px: int) -> CropWindow:
    """Return the centre crop that the network uses without augmentation."""
    start = (chip_px - crop_px) // 2
    return CropWindow(start, start, crop_px, crop_px)


def windows(n: int, settings: Crop, generator: Draws, chip_px: int, crop_px: int) -> list[CropWindow]:
    """Draw a crop for each of n chips of side `chip_px`.

    A window of side `crop_px` shows the face without zoom.
    """
    who = met(n, settings.probability, generator)
    size = (1 + settings.zoom) ** within(n, 1, generator) * crop_px
    stretch = (1 + settings.stretch) ** within(n, 0.5, generator)
    shift = settings.shift * crop_px
    middle = chip_px / 2 + np.array([within(n, shift, generator), within(n, shift, generator)])
    sizes = np.rint([size * stretch, size / stretch])  # (2, n): heights, widths
    corners = np.rint(middle - sizes / 2)
    drawn = np.concatenate([corners, sizes]).astype(int)[:, who]
    found = [unmoved(chip_px, crop_px)] * n
    for k, each in zip(who.tolist(), drawn.T.tolist(), strict=True):
        found[k] = CropWindow(*each)
    return found


def placed(chips: Pixels, cut: Sequence[CropWindow], side_px: int) -> Tensor:
    """Crop and resize each chip: uint8 (n, 3, side, side), channels last."""
    side = [side_px, side_px]
    pictures = torch.empty((len(chips), 3, *side), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    for k, window in enumerate(cut):
        pictures[k] = v2.resize(_seen_through(window, chips[k]), side)
    return pictures


def _seen_through(window: CropWindow, chip: Pixels) -> Tensor:
    """Crop a chip, padded where needed: uint8 (3, height, width)."""
    bottom, right = window.top + window.height, window.left + window.width
    reach = max(0, -window.top, -window.left, bottom - len(chip), right - len(chip))
    seen = continued(chip, reach) if reach else chip
    cut = seen[window.top + reach : bottom + reach, window.left + reach : right + reach]
    return torch.from_numpy(cut.copy()).permute(2, 0, 1)  # a contiguous array is resized in half the time


def continued(chip: Pixels, reach: int) -> Pixels:
    """Pad a chip by `reach` px on every side with its edge values; like np.pad, in a third of its time."""
    last = reach + len(chip)
    seen = np.empty((last + reach, last + reach, 3), np.uint8)
    seen[reach:last, reach:last] = chip
    seen[reach:last, :reach] = chip[:, :1]
    seen[reach:last, last:] = chip[:, -1:]
    seen[:reach] = seen[reach]
    seen[last:] = seen[last - 1]
    return seen


def mirror(pictures: Tensor, settings: Flip, generator: Draws) -> None:
    """Flip some of the pictures (n, 3, side, side) horizontally, in place."""
    who = met(len(pictures), settings.probability, generator)
    pictures[who] = pictures[who].flip(-1)


def turn(pictures: Tensor, settings: Rotation, generator: Draws) -> None:
    """Rotate some of the pictures (n, 3, side, side) about their centre, in place."""
    n = len(pictures)
    who = met(n, settings.probability, generator)
    angles = np.radians(within(n, settings.degrees, generator)[who])
    if len(who):
        turned = F.grid_sample(
            pictures[who].float(), _turned(angles, pictures.shape[-1]), padding_mode="border", align_corners=False
        )
        pictures[who] = as_levels(turned)


def _turned(angles: Floats, side_px: int) -> Tensor:
    """Return the sampling grid for rotations by `angles`, in radians: (k, side, side, 2), from -1 to 1."""
    middles = (2 * torch.arange(side_px, dtype=torch.float32) + 1) / side_px - 1
    x, y = middles, middles[:, None]
    cos, sin = torch.from_numpy(np.array([np.cos(angles), np.sin(angles)])).float()[:, :, None, None]
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def as_levels(pictures: Tensor) -> Tensor:
    """Round and clip to uint8, channels last in memory."""
    return pictures.round_().clamp_(0, 255).to(torch.uint8, memory_format=torch.channels_last)


LUMA = np.array([0.2989, 0.587, 0.114])  # weights of red, green and blue, as in torchvision


def recolor(pictures: Tensor, settings: Color, generator: Draws) -> None:
    """Change brightness, contrast, saturation and hue of some of the pictures (n, 3, side, side), in place."""
    n = len(pictures)
    who = met(n, settings.probability, generator)
    amounts = (settings.brightness, settings.contrast, settings.saturation)
    brightness, contrast, saturation = (1 + within(n, amount, generator)[who] for amount in amounts)
    hue = within(n, settings.hue, generator)[who]
    if not len(who):
        return
    seen = pictures[who].flatten(2).float()  # (k, 3, pixels)
    grey = seen.mean(2).double().numpy() @ LUMA
    mixing = hues(hue) @ saturations(saturation) * (brightness * contrast)[:, None, None]
    offset = (1 - contrast) * brightness * grey
    changed = torch.baddbmm(_float(offset)[:, None, None], _float(mixing), seen)
    pictures[who] = as_levels(changed.reshape(-1, *pictures.shape[1:]))


def saturations(factors: Floats) -> Floats:
    """Return the matrices (k, 3, 3) that raise the saturation (factors above 1) or lower it (below 1)."""
    factor = factors[:, None, None]
    matrices: Floats = factor * np.eye(3) + (1 - factor) * LUMA
    return matrices


def hues(shares: Floats) -> Floats:
    """Return the matrices (k, 3, 3) that rotate colours about the grey axis; with 1/3, red becomes green."""
    angle = 2 * np.pi * shares[:, None, None]
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    matrices: Floats = np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) / 3 + np.sin(angle) * across
    return matrices


def remove_color(pictures: Tensor, settings: Grey, generator: Draws) -> None:
    """Convert some of the pictures (n, 3, side, side) to greyscale, in place."""
    who = met(len(pictures), settings.probability, generator)
    pictures[who] = v2.rgb_to_grayscale(pictures[who], num_output_channels=3)


def _float(values: Floats) -> Tensor:
    return torch.from_numpy(values).float()


REACH = 3  # half-width of the Gaussian kernel, in standard deviations


def lower_resolution(pictures: Tensor, settings: LowResolution, generator: Draws, chip_px: int) -> None:
    """Downsample some of the pictures (n, 3, side, side) and restore their size, in place; larger sizes do nothing."""
    n, side = len(pictures), pictures.shape[-1]
    who = met(n, settings.probability, generator)
    sizes = np.rint(between(n, settings.size_px, generator) * side / chip_px).clip(1).astype(int)
    for k in who.tolist():
        if sizes[k] < side:
            small = v2.resize(pictures[k], [int(sizes[k])] * 2)
            pictures[k] = v2.resize(small, [side, side])


def blur(pictures: Tensor, settings: Blur, generator: Draws, chip_px: int) -> None:
    """Blur some of the pictures (n, 3, side, side), in place."""
    n, side = len(pictures), pictures.shape[-1]
    who = met(n, settings.probability, generator)
    sigmas = between(n, settings.sigma_px, generator) * side / chip_px
    for k in who.tolist():
        reach = min(math.ceil(REACH * sigmas[k]), side - 1)  # reflection padding must be smaller than the picture
        pictures[k] = v2.gaussian_blur(pictures[k], [2 * reach + 1] * 2, [float(sigmas[k])] * 2)


def compress(pictures: Tensor, settings: Jpeg, generator: Draws) -> None:
    """Apply JPEG compression to some of the pictures (n, 3, side, side), in place."""
    n = len(pictures)
    who = met(n, settings.probability, generator)
    lowest, highest = settings.quality
    qualities = generator.integers(lowest, highest, n, endpoint=True)
    for k in who.tolist():
        levels = _compressed(pictures[k].permute(1, 2, 0).numpy(), int(qualities[k]))
        pictures[k] = torch.from_numpy(levels).permute(2, 0, 1)


def _compressed(picture: Pixels, quality: int) -> Pixels:
    """Compress with Pillow, because torchvision's JPEG functions are deprecated."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


class Augmenter:
    """Applies all augmentations, in the order of the class `Augmentation`; pictures have `side_px` by `side_px`.

    Pictures show the centre crop of `crop_px`, as in the network; crops and rotations may show its surroundings.

    The flip comes after the crop, not before, because the picture is smaller then; the distribution is the same.

    With every probability 0, pictures are the chips, resized as in the network. The same state of the generator gives
    the same pictures, and a changed probability of one augmentation does not change the numbers drawn for the others.
    """

    def __init__(self, settings: Augmentation, side_px: int, crop_px: int) -> None:
        self._settings, self._side_px, self._crop_px = settings, side_px, crop_px

    def __call__(self, chips: Pixels, generator: Draws) -> Tensor:
        """Map chips (n, chip, chip, 3) to uint8 (n, 3, side, side), channels last in memory."""
        settings, (n, chip_px) = self._settings, chips.shape[:2]
        pictures = placed(chips, windows(n, settings.crop, generator, chip_px, self._crop_px), self._side_px)
        mirror(pictures, settings.mirror, generator)
        turn(pictures, settings.rotation, generator)
        recolor(pictures, settings.color, generator)
        remove_color(pictures, settings.grey, generator)
        lower_resolution(pictures, settings.low_resolution, generator, chip_px)
        blur(pictures, settings.blur, generator, chip_px)
        compress(pictures, settings.jpeg, generator)
        return pictures


COLUMNS = 8
GAP_PX = 2


def sheet(pictures: Tensor) -> bytes:
    """Arrange uint8 pictures (n, 3, side, side) in rows of eight, as a PNG. Raises ValueError if there are none."""
    if not len(pictures):
        raise ValueError("a sheet needs at least one picture")
    step = pictures.shape[-1] + GAP_PX
    n_rows = -(-len(pictures) // COLUMNS)
    paper = Image.new("RGB", (COLUMNS * step - GAP_PX, n_rows * step - GAP_PX), "white")
    for k, picture in enumerate(pictures.permute(0, 2, 3, 1).contiguous().numpy()):
        paper.paste(Image.fromarray(picture), (k % COLUMNS * step, k // COLUMNS * step))
    file = BytesIO()
    paper.save(file, "PNG")
    return file.getvalue()
