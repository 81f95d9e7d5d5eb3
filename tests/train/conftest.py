"""Made-up people for what is counted, real ones for what is seen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from train.evaluation.compared import Compared, compare
from train.evaluation.embedding import EmbeddedSet
from train.evaluation.protocols.protocol import Photo, Protocol

MadeUp = Callable[..., Compared]


@pytest.fixture
def made_up() -> MadeUp:
    return made_up_people


def made_up_people(
    n_people: int,
    n_each: int,
    *,
    seed: int = 0,
    spread: float = 0.055,
    n_failed: int = 0,
    n_each_of_others: int | None = None,
) -> Compared:
    """All photos against all, of people whose embeddings lie about as far apart as those of real faces do."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(scale=0.05, size=(n_people, 1, 128))
    vectors = centres + generator.normal(scale=spread / 2, size=(n_people, n_each, 128))
    n_of = [n_each, *[n_each if n_each_of_others is None else n_each_of_others] * (n_people - 1)]
    names = [(f"{k:05}", i) for k in range(n_people) for i in range(n_of[k])]
    photos = tuple(Photo(Path(name, f"{i}.jpg"), f"{name}/{i}.jpg", name) for name, i in names)
    embedded = np.array([vectors[int(name), i] for name, i in names], np.float32)
    embedded[:n_failed] = np.nan
    faults = tuple("no_face" if k < n_failed else None for k in range(len(photos)))
    digests = tuple(f"sha256:{k:064x}" for k in range(len(photos)))
    protocol = Protocol("made-up people", photos, None, "largest")
    return compare(protocol, EmbeddedSet(embedded, faults, digests), seed=0)
