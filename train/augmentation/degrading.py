"""What distance, focus and storage do to a photo: few pixels, blur, JPEG.

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

from ..runfile.augmentation import Blur, Jpeg, LowResolution
from .chance import between, met

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
