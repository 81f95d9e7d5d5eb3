"""What light and camera make of a face: brightness, contrast, saturation and hue, or no colour at all.

All four are linear in a picture's red, green and blue, so they are made in one step, and cut off at 0 and 255 once.
"""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from ..evaluation.tally import Floats
from ..runfile.augmentation import Color, Grey
from .chance import met, within
from .placing import as_levels

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
