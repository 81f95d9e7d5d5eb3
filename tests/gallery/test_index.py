"""The exact search, against plain numpy: penalties, ties, adds, removes, and threads that search while others write."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from embedder import euclidean
from gallery import NearPerson, TemplateIndex
from gallery.blocks import BLOCK, Block, encode, new_templates
from gallery.index import _estimates, _probe, _rows_within, _scores, _slack

N_MEASURES, N_CHANNELS = 3, 128


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


@contextmanager
def blocks_of(size: int, group: int = 4) -> Iterator[None]:
    """Blocks of another size, so that few templates fill several, and rows of another number for the kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gallery.blocks.BLOCK", size)
        patch.setattr("gallery.index.GROUP", group)
        yield


def some(generator: np.random.Generator, n: int, n_people: int = 10, length: float = 1.0) -> Templates:
    """Templates of people in clusters; a third repeat another one exactly, so that there are ties."""
    centres = np.random.default_rng(5).normal(size=(n_people, 128))
    persons = generator.integers(0, n_people, n)
    vectors = centres[persons] + generator.normal(size=(n, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    copies = generator.random(n) < 1 / 3
    vectors[copies] = vectors[generator.integers(0, n, n)][copies]
    penalties = np.maximum(generator.uniform(-0.2, 0.1, (n, N_MEASURES)), 0)
    ids = [UUID(bytes=generator.bytes(16)).hex for _ in range(n)]
    return ids, persons.tolist(), (vectors * length).astype(np.float32), penalties


def probes(
    generator: np.random.Generator, vectors: np.ndarray, penalties: np.ndarray, length: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probes of others, and some of the templates themselves, with their penalties."""
    _, _, others, costs = some(generator, 4, length=length)
    yield from zip(others, costs, strict=True)
    yield from zip(vectors[:2], penalties[:2], strict=True)


def assert_same(found: Sequence[NearPerson], expected: Sequence[NearPerson]) -> None:
    assert [(each.person, each.template) for each in found] == [(each.person, each.template) for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.distance == pytest.approx(other.distance, abs=1e-12)
        assert one.normalized_distance == pytest.approx(other.normalized_distance, abs=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 400),
    n_people=st.sampled_from([1, 3, 50]),
    wanted=st.tuples(st.integers(1, 7), st.sampled_from([0.0, 0.8, 1.2])),
    length=st.sampled_from([1e-3, 1.0, 50.0]),
    sizes=st.sampled_from([(64, 4), (64, 16), (BLOCK, 16)]),
)
@settings(max_examples=150, deadline=None)
def test_a_search_finds_what_plain_numpy_finds(
    seed: int, n: int, n_people: int, wanted: tuple[int, float], length: float, sizes: tuple[int, int]
) -> None:
    generator, (k, below) = np.random.default_rng(seed), wanted
    ids, persons, vectors, penalties = some(generator, n, n_people, length)
    index, plain = TemplateIndex(N_MEASURES, N_CHANNELS), PlainIndex()
    with blocks_of(*sizes):
        for each in (index, plain):
            each.add(ids, persons, vectors, penalties)
        for probe, cost in probes(generator, vectors, penalties, length):
            found = index.search(probe, cost, k=k, below=below)
            assert_same(found.people, plain.search(probe, cost, k=k, below=below))
            assert (found.n_templates, found.n_people) == (n, len(set(persons)))


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 100),
    lengths=st.tuples(st.sampled_from([0.0, 1e-44, 1e-6, 1.0, 1e3]), st.sampled_from([1e-6, 1.0, 1e3])),
    n_channels=st.integers(1, 128),
    size=st.sampled_from([64, 128, 512, 1024]),
)
@settings(max_examples=300, deadline=None)
def test_no_estimate_is_farther_from_the_truth_than_its_slack(
    seed: int, n: int, lengths: tuple[float, float], n_channels: int, size: int
) -> None:
    generator = np.random.default_rng(seed)
    vectors, probe = (generator.normal(size=(m, size)) * length for m, length in zip((n, 1), lengths, strict=True))
    vectors[:, n_channels:] = 0  # few channels: their codes are exact, or far off
    (probe,), vectors = probe.astype(np.float32), vectors.astype(np.float32)
    block, asked = block_of(vectors), _probe(probe, np.zeros(N_MEASURES))
    estimates = _estimates(block, _scores(block, asked).dots, np.arange(n), asked)
    truth = ((vectors.astype(float) - probe.astype(float)) ** 2).sum(axis=1) - (probe.astype(float) ** 2).sum()
    assert (np.abs(estimates - truth) <= _slack(block, asked)).all()
    for rank in (0, n // 2, n - 1):
        distance = np.sort(np.array(euclidean(probe, vectors)))[rank]
        assert len(_rows_within(distance, _scores(block, asked), asked)) > rank


def block_of(vectors: np.ndarray) -> Block:
    ids = [f"{k:032x}" for k in range(len(vectors))]
    added = new_templates(ids, range(len(ids)), vectors, np.zeros((len(ids), N_MEASURES)))
    return Block.empty(added).extended(added)


def test_few_templates_are_compared_exactly() -> None:
    _, _, vectors, penalties = some(np.random.default_rng(0), 1000, n_people=100)
    block, asked = block_of(vectors), _probe(vectors[0], penalties[0])
    assert _slack(block, asked) < 0.06
    assert len(_rows_within(0.5, _scores(block, asked), asked)) < 20


class Both(RuleBasedStateMachine):
    """An index and plain numpy, with small blocks, through the same writes."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def start(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.index, self.plain = TemplateIndex(N_MEASURES, N_CHANNELS), PlainIndex()

    @rule(n=st.integers(0, 150), n_people=st.sampled_from([2, 20]), n_again=st.integers(0, 5))
    def add(self, n: int, n_people: int, n_again: int) -> None:
        ids, persons, vectors, penalties = some(self.generator, n, n_people)
        again = list(self.plain.rows)[:n_again]
        ids[: len(again)] = again[:n]
        for each in (self.index, self.plain):
            each.add(ids, persons, vectors, penalties)

    @rule(share=st.sampled_from([0.02, 0.5, 1.0]))
    def remove(self, share: float) -> None:
        removed = [each for each in self.plain.rows if self.generator.random() < share]
        for each in (self.index, self.plain):
            each.remove([*removed, "f" * 32])

    @rule(k=st.integers(1, 6), below=st.sampled_from([0.0, 1.1]))
    def search(self, k: int, below: float) -> None:
        _, _, vectors, penalties = some(self.generator, 2)
        for probe, cost in zip(vectors, penalties, strict=True):
            found = self.index.search(probe, cost, k=k, below=below)
            assert_same(found.people, self.plain.search(probe, cost, k=k, below=below))

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "index"):
            assert len(self.index) == len(self.plain.rows)
            assert self.index.n_people == len({person for person, *_ in self.plain.rows.values()})


def test_after_any_writes_a_search_finds_what_plain_numpy_finds() -> None:
    with blocks_of(64):
        run_state_machine_as_test(Both, settings=settings(max_examples=30, stateful_step_count=12, deadline=None))


def test_threads_that_search_see_the_templates_of_one_moment() -> None:
    """One writer keeps a pair of people, whose templates are at the same place: both are there at any time, or none."""
    generator, stop = np.random.default_rng(3), Event()
    ids, _, vectors, penalties = some(generator, 300, 200)
    index = TemplateIndex(N_MEASURES, N_CHANNELS)
    index.add(ids, range(300), vectors, penalties)
    probe, costs = vectors[7], penalties[7]
    always = {each.template for each in index.search(probe, costs, k=1, below=1.0).people}
    pair = ["a" * 32, "b" * 32]

    def write() -> None:
        for _ in range(150):
            index.add(pair, [1000, 1001], np.stack([probe, probe]), np.stack([costs, costs]))
            index.remove(pair)
        stop.set()

    def read() -> list[tuple[int, int]]:
        seen = []
        while not stop.is_set():
            found = index.search(probe, costs, k=1, below=1.0)
            assert always <= {each.template for each in found.people}
            seen.append((len(found.people) - len(always), found.n_templates - 300))
        return seen

    with blocks_of(64), ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(read) for _ in range(4)]
        threads.submit(write).result()
        seen = {each for reader in readers for each in reader.result()}
    assert seen <= {(0, 0), (2, 2)}
    assert len(index) == 300


def test_equally_near_people_come_in_the_order_of_their_templates() -> None:
    index = TemplateIndex(0, N_CHANNELS)
    vectors = np.ones((3, 128), np.float32)
    index.add(["c" * 32, "a" * 32, "b" * 32], [1, 2, 3], vectors, np.empty((3, 0)))
    assert [each.person for each in index.search(vectors[0], np.empty(0), k=2).people] == [2, 3]


GOOD = ["a" * 32], [1], np.ones((1, 128), np.float32), np.zeros((1, N_MEASURES))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, ["a"], "32 hexadecimal digits"),
        (0, ["z" * 32], "32 hexadecimal digits"),
        (0, [" " * 32], "32 hexadecimal digits"),
        (1, [], "need 1 persons"),
        (2, np.ones((1, 127), np.float32), "must have 128 channels"),
        (2, np.ones(128, np.float32), "embeddings of shape"),
        (2, np.full((1, 128), np.nan, np.float32), "finite"),
        (3, np.full((1, N_MEASURES), -1.0), "not negative"),
        (3, np.zeros((1, 1)), "by 3 measures"),
    ],
)
def test_what_is_not_a_template_is_refused_and_changes_nothing(place: int, value: object, message: str) -> None:
    index = TemplateIndex(N_MEASURES, N_CHANNELS)
    with pytest.raises(ValueError, match=message):
        index.add(*(value if number == place else each for number, each in enumerate(GOOD)))  # type: ignore[arg-type]
    assert len(index) == 0


def test_codes_are_as_near_as_their_errors_say() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 128)).astype(np.float32)
    code = encode(vectors)
    assert np.abs(code.codes).max() == 127
    decoded = code.codes * code.steps[:, None].astype(float)
    assert code.errors == pytest.approx(np.linalg.norm(vectors - decoded, axis=1))
    assert np.abs(vectors - decoded).max() <= code.steps.max() / 2 * 1.001
