"""The exact search, against plain numpy: penalties, ties, adds, removes, and threads that search while others write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gallery import NearPerson, TemplateIndex

N_MEASURES = 3


@dataclass
class PlainIndex:
    """The same, one template after the other, in float64."""

    rows: dict[str, tuple[int, np.ndarray, np.ndarray]] = field(default_factory=dict)

    def add(self, ids: Sequence[str], persons: Sequence[int], vectors: np.ndarray, penalties: np.ndarray) -> None:
        for each in zip(ids, persons, vectors, penalties, strict=True):
            self.rows.setdefault(each[0], each[1:])

    def remove(self, ids: Sequence[str]) -> None:
        for each in ids:
            self.rows.pop(each, None)

    def search(self, vector: np.ndarray, penalties: np.ndarray, *, k: int, below: float = 0.0) -> list[NearPerson]:
        best: dict[int, NearPerson] = {}
        for name, (person, theirs, cost) in self.rows.items():
            distance = float(np.sqrt(np.sum((theirs.astype(float) - vector.astype(float)) ** 2)))
            normalized = distance + float(np.minimum(cost, penalties).sum())
            found = NearPerson(person, name, distance, normalized)
            best[person] = min(
                best.get(person, found), found, key=lambda each: (each.normalized_distance, each.template)
            )
        ranked = sorted(best.values(), key=lambda each: (each.normalized_distance, each.template))
        return [each for rank, each in enumerate(ranked) if rank < k or each.normalized_distance < below]


Templates = tuple[list[str], list[int], np.ndarray, np.ndarray]  # ids, persons, vectors, penalties


def some(generator: np.random.Generator, n: int, n_people: int = 10) -> Templates:
    """Templates of people in clusters; a third repeat another one exactly, so that there are ties."""
    centres = np.random.default_rng(5).normal(size=(n_people, 128))
    persons = generator.integers(0, n_people, n)
    vectors = centres[persons] + generator.normal(size=(n, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    copies = generator.random(n) < 1 / 3
    vectors[copies] = vectors[generator.integers(0, n, n)][copies]
    penalties = np.maximum(generator.uniform(-0.2, 0.1, (n, N_MEASURES)), 0)
    ids = [UUID(bytes=generator.bytes(16)).hex for _ in range(n)]
    return ids, persons.tolist(), vectors.astype(np.float32), penalties


def assert_same(found: Sequence[NearPerson], expected: Sequence[NearPerson]) -> None:
    assert [(each.person, each.template) for each in found] == [(each.person, each.template) for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.distance == pytest.approx(other.distance, abs=1e-12)
        assert one.normalized_distance == pytest.approx(other.normalized_distance, abs=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 400),
    n_people=st.sampled_from([1, 3, 50]),
    k=st.integers(1, 7),
    below=st.sampled_from([0.0, 0.8, 1.2]),
    length=st.sampled_from([1e-3, 1.0, 50.0]),
)
@settings(max_examples=150, deadline=None)
def test_a_search_finds_what_plain_numpy_finds(
    seed: int, n: int, n_people: int, k: int, below: float, length: float
) -> None:
    generator = np.random.default_rng(seed)
    ids, persons, vectors, penalties = some(generator, n, n_people)
    index, plain = TemplateIndex(N_MEASURES), PlainIndex()
    for each in (index, plain):
        each.add(ids, persons, vectors * np.float32(length), penalties)
    probes, costs = some(generator, 4)[2:]
    probes, costs = np.concatenate([probes, vectors[:2]]) * np.float32(length), np.concatenate([costs, penalties[:2]])
    for probe, cost in zip(probes, costs, strict=True):
        found = index.search(probe, cost, k=k, below=below)
        assert_same(found.people, plain.search(probe, cost, k=k, below=below))
        assert (found.n_templates, found.n_people) == (n, len(set(persons)))
