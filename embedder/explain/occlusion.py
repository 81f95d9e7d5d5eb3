"""Saliency by occlusion: find the places of a face that bring it nearer to another face.

Parts of the face are occluded at random, many times, and the changes of the distance are attributed to the hidden
parts. Source: Lu, Xu and Ebrahimi, "Towards Visual Saliency Explanations of Face Verification" (CorrRISE), WACV 2024.
They use correlation, place by place; ridge regression over all places separates neighbours better: docs/seeing.md.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..decision import euclidean
from ..types import Chips, Pixels, Vectors

BLUR = 12 / 150  # standard deviation, as a share of the chip's side; eyes a third of the side apart nearly disappear
_N_SQUARES, _SQUARE = 4, 40 / 150  # of a random mask: number, and side as a share of the chip's

Shares = NDArray[np.float32]  # (n, side, side), 0..1: visibility of each pixel


def blur_chip(chip: Pixels) -> Pixels:
    """Blur a chip so that its facial features disappear."""
    return np.asarray(Image.fromarray(chip).filter(ImageFilter.GaussianBlur(BLUR * len(chip))))


def occlude(chip: Pixels, seen: Shares) -> Chips:
    """Return copies of a chip (side, side, 3), blurred where `seen` is 0."""
    cover = blur_chip(chip).astype(np.float32)
    return np.rint(cover + seen[..., None] * (chip - cover)).astype(np.uint8)


def random_shares(n: int, side_px: int, generator: np.random.Generator) -> Shares:
    """Return n masks, 1 except for a few squares in random places, which may overlap and extend beyond the chip."""
    shares = np.ones((n, side_px, side_px), np.float32)
    square = round(_SQUARE * side_px)
    corners = generator.integers(-square // 2, side_px - square // 2, (n, _N_SQUARES, 2))
    for place, each in enumerate(corners):
        for top, left in each:
            shares[place, max(top, 0) : top + square, max(left, 0) : left + square] = 0
    return shares


Float = TypeVar("Float", bound=np.floating)


def means_of_places(maps: NDArray[Float], n_places: int) -> NDArray[Float]:
    """Average maps (..., side, side) over each of n by n places: (..., n, n), in the same precision.

    If the side is not a multiple of n, a pixel on the border of two places counts in each in proportion to its overlap.
    """
    overlaps = _overlaps(maps.shape[-1], n_places).astype(maps.dtype)
    area = maps.dtype.type((maps.shape[-1] / n_places) ** 2)
    means: NDArray[Float] = overlaps @ maps @ overlaps.T / area
    return means


def _overlaps(side_px: int, n_places: int) -> NDArray[np.float64]:
    """The overlap of each pixel with each place, along one side: (places, pixels), 0..1."""
    edges = np.arange(n_places + 1)[:, None] * (side_px / n_places)
    pixels = np.arange(side_px)
    ends = np.minimum(edges[1:], pixels + 1)
    overlaps: NDArray[np.float64] = (ends - np.maximum(edges[:-1], pixels)).clip(0)
    return overlaps


N_COVERS = 80  # masks for each face
_N_PLACES = 15  # along each side; an influence is estimated for each place
SEED = 0  # fixed, so that results are reproducible

SaliencyMap = NDArray[np.float32]  # (side, side): -1..1, largest magnitude 1; positive = reduces the distance


def saliency_map(chip: Pixels, other: NDArray[np.float32], embed: Callable[[Chips], Vectors]) -> SaliencyMap:
    """Compute the saliency map of a chip (side, side, 3) compared with the embedding of another face, (channels,).

    `embed` need not average over mirror images even if the model does: maps are equally good without, in half the time
    (benchmarks/saliency.py).
    """
    shares = random_shares(N_COVERS, len(chip), np.random.default_rng(SEED))
    whole, *partly = euclidean(other, embed(np.concatenate([chip[None], occlude(chip, shares)])))
    hidden = 1 - means_of_places(shares, _N_PLACES)
    losses = _weights(hidden.reshape(N_COVERS, -1), np.array(partly) - whole).reshape(_N_PLACES, _N_PLACES)
    return scaled(np.asarray(Image.fromarray(losses).resize(chip.shape[:2], Image.Resampling.BICUBIC)))


def scaled(values: NDArray[np.floating]) -> SaliencyMap:
    """Scale values so that the largest magnitude is 1; all 0 if there is no influence."""
    farthest = float(np.abs(values).max())
    return (values / farthest if farthest else np.zeros_like(values)).astype(np.float32)


def _weights(columns: NDArray[np.float32], values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ridge regression of values (n,) on columns (n, m), m > n: (m,).

    It has no intercept, because changes are relative to the unoccluded face.
    """
    products = columns @ columns.T  # (n, n)
    ridge = np.eye(len(values)) * np.trace(products) / len(values)
    found: NDArray[np.float32] = (columns.T @ np.linalg.solve(products + ridge, values)).astype(np.float32)
    return found
