"""Would another format of the input separate people better? Wrong colours or scales show in the distances."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..types import Vectors
from .facts import InputFormat

SCALES = (((0.0,) * 3, 1.0), ((0.0,) * 3, 255.0), ((127.5,) * 3, 127.5), ((127.5,) * 3, 128.0))  # mean, scale
LOOKALIKE = 0.1  # share of other people's photos that are at most as far as the distance compared with
LEAST_GAIN = 0.01  # of the mean closeness
LEAST_ERRORS = 4.0  # standard errors of the mean gain


@dataclass(frozen=True, slots=True)
class BetterFormat:
    """A format in which one person's photos are clearly closer to each other than in the stated one."""

    stated: InputFormat
    better: InputFormat
    stated_closeness: float  # mean over people; see `closeness`
    better_closeness: float


def formats_to_try(stated: InputFormat) -> list[InputFormat]:
    """Return the stated format, then others that it is often confused with, the most similar first."""
    scaled = [stated] + [replace(stated, mean=mean, scale=scale) for mean, scale in SCALES]
    swapped = [replace(each, color_order="rgb" if each.color_order == "bgr" else "bgr") for each in scaled]
    return list(dict.fromkeys([stated, swapped[0], *scaled, *swapped]))


def better_format(formats: Sequence[InputFormat], embeddings: Sequence[Vectors]) -> BetterFormat | None:
    """Return the format that separates people clearly better than the first one, if there is one.

    `embeddings`, of each format, have unit length: two photos of a person in a row, (2 * people, channels).
    """
    each = [closeness(vectors) for vectors in embeddings]
    means = np.array([one.mean() for one in each])
    best = int(np.flatnonzero(means > means.max() - LEAST_GAIN)[0])
    gain = each[best] - each[0]
    error = gain.std(ddof=1) / len(gain) ** 0.5
    if gain.mean() < LEAST_GAIN or gain.mean() < LEAST_ERRORS * error:
        return None
    return BetterFormat(formats[0], formats[best], float(means[0]), float(means[best]))


def closeness(vectors: Vectors) -> NDArray[np.float64]:
    """Return for each person 1 - own / others: own is the distance of the two photos, others that of lookalikes.

    It is 1 if the two are one point, and 0 or less if they are as far apart as the nearest tenth of other people's
    photos, or if the embeddings are not finite.
    """
    first, second = vectors[0::2].astype(np.float64), vectors[1::2].astype(np.float64)
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)  # (people, people)
    n_people = len(distances)
    if not np.isfinite(distances).all():
        return np.zeros(n_people)
    others = ~np.eye(n_people, dtype=bool)
    from_each = np.concatenate(
        [distances[others].reshape(n_people, -1), distances.T[others].reshape(n_people, -1)], axis=1
    )
    lookalikes = np.quantile(from_each, LOOKALIKE, axis=1)
    return 1 - np.diag(distances) / np.maximum(lookalikes, np.finfo(np.float64).tiny)
