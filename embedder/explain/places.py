"""A map cut into a grid of square places, as many along each side of a chip of whatever size."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)


def means_of_places(maps: NDArray[Float], n_places: int) -> NDArray[Float]:
    """The mean of maps (..., side, side) over each of n by n places: (..., n, n), in the same precision.

    Where the side is no multiple of n, a pixel on the border of two places counts in each by its part there.
    """
    overlaps = _overlaps(maps.shape[-1], n_places).astype(maps.dtype)
    area = maps.dtype.type((maps.shape[-1] / n_places) ** 2)
    means: NDArray[Float] = overlaps @ maps @ overlaps.T / area
    return means


def _overlaps(side_px: int, n_places: int) -> NDArray[np.float64]:
    """How much of each pixel lies in each place, along one side: (places, pixels), 0..1."""
    edges = np.arange(n_places + 1)[:, None] * (side_px / n_places)
    pixels = np.arange(side_px)
    ends = np.minimum(edges[1:], pixels + 1)
    overlaps: NDArray[np.float64] = (ends - np.maximum(edges[:-1], pixels)).clip(0)
    return overlaps
