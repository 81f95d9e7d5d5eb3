"""Which places of a face bring it nearer to another one, by the network's own gradients: to compare with covering.

Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (integrated gradients), 2017; from the face
without its features to the face. Needs torch.
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

N_STEPS = 16  # of the way from the one to the other
_N_PLACES = 15  # along each side: single pixels tell nothing


def gradient_map(chip: Pixels, other: NDArray[np.float32], network: EmbeddingNet) -> SaliencyMap:
    """Of a chip (side, side, 3) compared with the embedding of another face, (128,); the network is in eval mode."""
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
    """Share the change of a function from `start` to `given` among their elements, in the same shape.

    The function maps (n, ...) to (n,), each row by itself. The integral is Gauss-Legendre quadrature.
    """
    nodes, weights = np.polynomial.legendre.leggauss(N_STEPS)  # from -1 to 1
    shares = torch.from_numpy((1 + nodes) / 2).to(given).reshape(-1, *[1] * given.ndim)
    steps = (start + shares * (given - start)).requires_grad_()
    (slopes,) = torch.autograd.grad(function(steps).sum(), steps)
    mean_slope = torch.einsum("n,n...->...", torch.from_numpy(weights / 2).to(given), slopes)
    return mean_slope * (given - start)
