"""Which places of a face bring it nearer to another one: parts are covered at random, and changes put down to them.

Parts of the face are covered at random, many times, and the change of the distance is put down to what was hidden.
Source: Lu, Xu and Ebrahimi, "Towards Visual Saliency Explanations of Face Verification" (CorrRISE), WACV 2024; there by
correlation, place by place. A ridge regression over all places tells neighbours better apart: docs/seeing.md.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..decision import euclidean
from ..types import Chips, Pixels, Vectors

BLUR = 12 / 150  # standard deviation, of the chip's side: of eyes a third of it apart little is left
_N_SQUARES, _SQUARE = 4, 40 / 150  # of a random cover: how many, and their side, of the chip's

Shares = NDArray[np.float32]  # (n, side, side), 0..1: how much of each pixel is seen


def blur_chip(chip: Pixels) -> Pixels:
    """A chip without its features."""
    return np.asarray(Image.fromarray(chip).filter(ImageFilter.GaussianBlur(BLUR * len(chip))))


def occlude(chip: Pixels, seen: Shares) -> Chips:
    """Copies of a chip (side, side, 3) of which only these shares are seen."""
    cover = blur_chip(chip).astype(np.float32)
    return np.rint(cover + seen[..., None] * (chip - cover)).astype(np.uint8)


def random_shares(n: int, side_px: int, generator: np.random.Generator) -> Shares:
    """Of chips of that side, all seen but a few squares in random places, which may overlap and reach beyond."""
    shares = np.ones((n, side_px, side_px), np.float32)
    square = round(_SQUARE * side_px)
    corners = generator.integers(-square // 2, side_px - square // 2, (n, _N_SQUARES, 2))
    for place, each in enumerate(corners):
        for top, left in each:
            shares[place, max(top, 0) : top + square, max(left, 0) : left + square] = 0
    return shares


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


N_COVERS = 80  # of each face
_N_PLACES = 15  # along each side: the squares that an influence is found for
SEED = 0  # the same question has the same answer

SaliencyMap = NDArray[np.float32]  # (side, side): -1..1, the farthest from 0 being 1; positive = nearer when seen


def saliency_map(chip: Pixels, other: NDArray[np.float32], embed: Callable[[Chips], Vectors]) -> SaliencyMap:
    """Of a chip (side, side, 3) compared with the embedding of another face, (128,).

    `embed` need not take the mean over mirror images where the model's embeddings are such means: maps are as good
    without, in half the time (benchmarks/saliency.py).
    """
    shares = random_shares(N_COVERS, len(chip), np.random.default_rng(SEED))
    whole, *partly = euclidean(other, embed(np.concatenate([chip[None], occlude(chip, shares)])))
    hidden = 1 - means_of_places(shares, _N_PLACES)
    losses = _weights(hidden.reshape(N_COVERS, -1), np.array(partly) - whole).reshape(_N_PLACES, _N_PLACES)
    return scaled(np.asarray(Image.fromarray(losses).resize(chip.shape[:2], Image.Resampling.BICUBIC)))


def scaled(values: NDArray[np.floating]) -> SaliencyMap:
    """The same with the value farthest from 0 at 1 or -1; all 0 where nothing has an influence."""
    farthest = float(np.abs(values).max())
    return (values / farthest if farthest else np.zeros_like(values)).astype(np.float32)


def _weights(columns: NDArray[np.float32], values: NDArray[np.floating]) -> NDArray[np.float32]:
    """The ridge regression of values (n,) on columns (n, m), m more than n: (m,).

    It has no constant, for a face of which nothing is hidden is where all changes are counted from.
    """
    products = columns @ columns.T  # (n, n)
    ridge = np.eye(len(values)) * np.trace(products) / len(values)
    found: NDArray[np.float32] = (columns.T @ np.linalg.solve(products + ridge, values)).astype(np.float32)
    return found
