"""Would another format of the input separate people better? Wrong colours or scales show in the distances."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..types import Vectors
from .facts import InputFormat

SCALES = (((0.0,) * 3, 1.0), ((0.0,) * 3, 255.0), ((127.5,) * 3, 127.5), ((127.5,) * 3, 128.0))  # mean, scale
LEAST_GAIN = 0.02  # of the mean separation, as a share of it
LEAST_ERRORS = 3.0  # standard errors of the mean gain
AS_GOOD = 0.98  # share of the best mean separation


@dataclass(frozen=True, slots=True)
class BetterFormat:
    """A format that separates people clearly better than the stated one."""

    stated: InputFormat
    better: InputFormat
    stated_separation: float  # mean over people, in standard deviations of the distances of two people
    separation: float


def formats_to_try(stated: InputFormat) -> list[InputFormat]:
    """Return the stated format, then others that it is often confused with, the most similar first."""
    scaled = [stated] + [replace(stated, mean=mean, scale=scale) for mean, scale in SCALES]
    swapped = [replace(each, color_order="rgb" if each.color_order == "bgr" else "bgr") for each in scaled]
    return list(dict.fromkeys([stated, swapped[0], *scaled, *swapped]))


def better_format(formats: Sequence[InputFormat], embeddings: Sequence[Vectors]) -> BetterFormat | None:
    """Return the format that separates people clearly better than the first one, if there is one.

    `embeddings`, of each format, have unit length: two photos of a person in a row, (2 * people, channels).
    """
    each = [separations(vectors) for vectors in embeddings]
    means = np.array([one.mean() for one in each])
    best = int(np.flatnonzero(means >= AS_GOOD * means.max())[0])
    gain = each[best] - each[0]
    error = gain.std(ddof=1) / len(gain) ** 0.5
    if best == 0 or gain.mean() < LEAST_ERRORS * error or gain.mean() < LEAST_GAIN * abs(means[0]):
        return None
    return BetterFormat(formats[0], formats[best], float(means[0]), float(means[best]))


def separations(vectors: Vectors) -> NDArray[np.float64]:
    """Return by how much each person's photos are closer to each other than to those of others; 0 if undefined.

    The unit is the standard deviation of the distances of two persons' photos.
    """
    first, second = vectors[0::2].astype(np.float64), vectors[1::2].astype(np.float64)
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)  # (people, people)
    others = ~np.eye(len(distances), dtype=bool)
    spread = distances[others].std()
    if not spread > 0 or not np.isfinite(distances).all():
        return np.zeros(len(distances))
    n_others = 2 * (len(distances) - 1)
    apart = np.where(others, distances, 0)
    separated: NDArray[np.float64] = ((apart.sum(0) + apart.sum(1)) / n_others - np.diag(distances)) / spread
    return separated
