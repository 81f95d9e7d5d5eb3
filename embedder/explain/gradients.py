"""Saliency by the network's gradients, as an alternative to occlusion. Needs torch.

Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (integrated gradients), 2017; the baseline is the
blurred face.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..network import EmbeddingNet
from ..types import Pixels
from .occlusion import SaliencyMap, blur_chip, scaled

N_STEPS = 16  # from the baseline to the face
_N_PLACES = 15  # along each side; single pixels are too noisy


def gradient_map(chip: Pixels, other: NDArray[np.float32], network: EmbeddingNet) -> SaliencyMap:
    """Compute the saliency map of a chip (side, side, 3) compared with the embedding of another face, (channels,).

    The network must be in eval mode.
    """
    reference = torch.from_numpy(other)

    def distance(chips: Tensor) -> Tensor:  # (n, side, side, 3), as floats
        apart: Tensor = torch.linalg.vector_norm(network(chips) - reference, dim=1)
        return apart

    given, start = (torch.from_numpy(part.astype(np.float32)) for part in (chip, blur_chip(chip)))
    found = integrated_gradients(distance, given, start)
    toward = Image.fromarray(-found.sum(dim=2).numpy())  # (side, side)
    places = toward.resize((_N_PLACES, _N_PLACES), Image.Resampling.BOX)
    return scaled(np.asarray(places.resize(toward.size, Image.Resampling.BICUBIC)))


@torch.enable_grad()
def integrated_gradients(function: Callable[[Tensor], Tensor], given: Tensor, start: Tensor) -> Tensor:
    """Attribute the change of a function from `start` to `given` to their elements, in the same shape.

    The function maps (n, ...) to (n,), row by row. The integral is computed by Gauss-Legendre quadrature.
    """
    nodes, weights = np.polynomial.legendre.leggauss(N_STEPS)  # from -1 to 1
    shares = torch.from_numpy((1 + nodes) / 2).to(given).reshape(-1, *[1] * given.ndim)
    steps = (start + shares * (given - start)).requires_grad_()
    (slopes,) = torch.autograd.grad(function(steps).sum(), steps)
    mean_slope = torch.einsum("n,n...->...", torch.from_numpy(weights / 2).to(given), slopes)
    return mean_slope * (given - start)
