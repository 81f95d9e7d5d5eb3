"""Which photos are copied and degraded, and how: drawn by a generator, so the same seed gives the same copies."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..degradations import DEGRADATIONS
from ..evaluation.protocols.protocol import Indices, Photo

SHARE = 1 / 3  # of a cohort's photos and people that have a poor copy
N_OF_KIND = 700  # copies of each kind that the price of quality is measured on
MOST_OF_ONE = 4  # of them of one person, so that they are many people's


def random_copies(photos: Sequence[Photo], generator: np.random.Generator) -> tuple[Photo, ...]:
    """Copy about a third of the photos, each degraded in a way of its own."""
    is_copied = generator.random(len(photos)) < SHARE
    kinds = generator.integers(len(DEGRADATIONS), size=len(photos))
    return tuple(
        replace(photo, degradation=DEGRADATIONS[kind])
        for photo, kind, copied in zip(photos, kinds, is_copied, strict=True)
        if copied
    )


def copies_of_a_kind(photos: Sequence[Photo], kind: str, generator: np.random.Generator) -> tuple[Photo, ...]:
    """Copy some photos, all degraded alike."""
    drawn = some_of_each(photos, generator, N_OF_KIND)
    return tuple(replace(photos[k], degradation=kind) for k in drawn)


def some_of_each(photos: Sequence[Photo], generator: np.random.Generator, most: int) -> list[int]:
    """Draw people, and take a few photos of each, so that there are genuine pairs: positions, at most so many."""
    of_person: dict[str, list[int]] = defaultdict(list)
    for k in generator.permutation(len(photos)):
        of_person[photos[k].identity].append(int(k))
    drawn = [k for of_one in of_person.values() for k in of_one[:MOST_OF_ONE]]
    return sorted(drawn[:most])


def one_of_each(identities: Indices, generator: np.random.Generator) -> Indices:
    """Draw one face of every person: positions, in the order of the people."""
    shuffled = generator.permutation(len(identities))
    _, first = np.unique(identities[shuffled], return_index=True)
    return shuffled[first].astype(np.int32)
