"""What light, camera, distance, focus and storage do to a photo: colour, few pixels, blur, JPEG.

Brightness, contrast, saturation and hue are linear in a picture's red, green and blue, so they are made in one step, and cut off at 0 and 255 once.

Sizes are in px of the chip, whose side is `chip_px`, and shrink with the picture; JPEG compresses the picture at the
size that the network sees.
"""

import math
from io import BytesIO

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from embedder import Pixels

from ..evaluation.metrics import Floats
from ..runfile.schema import Blur, Color, Grey, Jpeg, LowResolution
from .geometric import as_levels, between, met, within

LUMA = np.array([0.2989, 0.587, 0.114])  # how bright red, green and blue look; as torchvision has it


def recolor(pictures: Tensor, settings: Color, generator: Generator) -> None:
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
    """Return the matrices (k, 3, 3) that lead colours away from their grey (above 1) or towards it (below)."""
    factor = factors[:, None, None]
    matrices: Floats = factor * np.eye(3) + (1 - factor) * LUMA
    return matrices


def hues(shares: Floats) -> Floats:
    """Return the matrices (k, 3, 3) that turn colours about the grey axis; a third of the circle: red becomes green."""
    angle = 2 * np.pi * shares[:, None, None]
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    matrices: Floats = np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) / 3 + np.sin(angle) * across
    return matrices


def remove_color(pictures: Tensor, settings: Grey, generator: Generator) -> None:
    """Make some of the pictures (n, 3, side, side) grey, in place."""
    who = met(len(pictures), settings.probability, generator)
    pictures[who] = v2.rgb_to_grayscale(pictures[who], num_output_channels=3)


def _float(values: Floats) -> Tensor:
    return torch.from_numpy(values).float()


REACH = 3  # standard deviations; beyond them a Gaussian has next to nothing


def lower_resolution(pictures: Tensor, settings: LowResolution, generator: Generator, chip_px: int) -> None:
    """Shrink some of the pictures (n, 3, side, side) and enlarge them again, in place; never the other way round."""
    n, side = len(pictures), pictures.shape[-1]
    who = met(n, settings.probability, generator)
    sizes = np.rint(between(n, settings.size_px, generator) * side / chip_px).clip(1).astype(int)
    for k in who.tolist():
        if sizes[k] < side:
            small = v2.resize(pictures[k], [int(sizes[k])] * 2)
            pictures[k] = v2.resize(small, [side, side])


def blur(pictures: Tensor, settings: Blur, generator: Generator, chip_px: int) -> None:
    """Blur some of the pictures (n, 3, side, side), in place."""
    n, side = len(pictures), pictures.shape[-1]
    who = met(n, settings.probability, generator)
    sigmas = between(n, settings.sigma_px, generator) * side / chip_px
    for k in who.tolist():
        reach = min(math.ceil(REACH * sigmas[k]), side - 1)  # the mirror image at the border has no more
        pictures[k] = v2.gaussian_blur(pictures[k], [2 * reach + 1] * 2, [float(sigmas[k])] * 2)


def compress(pictures: Tensor, settings: Jpeg, generator: Generator) -> None:
    """Compress some of the pictures (n, 3, side, side) and read them again, in place."""
    n = len(pictures)
    who = met(n, settings.probability, generator)
    lowest, highest = settings.quality
    qualities = generator.integers(lowest, highest, n, endpoint=True)
    for k in who.tolist():
        levels = _compressed(pictures[k].permute(1, 2, 0).numpy(), int(qualities[k]))
        pictures[k] = torch.from_numpy(levels).permute(2, 0, 1)


def _compressed(picture: Pixels, quality: int) -> Pixels:
    """By Pillow: torchvision is giving its own JPEG up."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))
