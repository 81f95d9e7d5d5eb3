"""The exact search for the people of a gallery who are nearest to a probe, over all templates of one model in memory.

A search has two passes. The first compares 8-bit codes of all embeddings, by a kernel of numkong, with a proven bound
on its error. The second computes the exact distance of every template that can be among the nearest by that bound.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import floor, inf, sqrt
from threading import Lock
from typing import NamedTuple, TypeVar

import numkong
import numpy as np
from numpy.typing import NDArray

from embedder import CoreThreads, euclidean, n_cores

from .blocks import (
    Block,
    Blocks,
    Codes,
    Doubles,
    Ids,
    Persons,
    Rows,
    Singles,
    encode,
    new_templates,
    packed_ids,
    text_of,
)

T = TypeVar("T")
# Templates that the kernel takes as one row, the fastest number in units for matrices and in others; it divides BLOCK.
# (Without such units 4 is faster from the cache, but longer rows are fetched from memory more slowly.)
GROUP = 16 if numkong.get_capabilities().get("sapphireamx") else 2
ITEMS_PER_CORE = 2  # into which the blocks are divided
STRIPES = 64  # parts of a block; one near template of each is found first
AT_ONCE = 4096  # templates of several blocks whose distances are computed in one step; more take too much memory
FIRST_LOOK = 8  # templates looked at first for each person wanted
ROUNDING = 2.0**-19  # more than the rounding error of a squared length in f32, relative to the largest squared distance


@dataclass(frozen=True, slots=True)
class NearPerson:
    """A person near a probe, by the nearest of the person's templates."""

    person: int
    template: str  # its id
    distance: float  # Euclidean
    normalized_distance: float  # the distance plus the penalty of the pair


@dataclass(frozen=True, slots=True)
class NearestPeople:
    """What a search found."""

    people: tuple[NearPerson, ...]  # the nearest first; equally near ones by the ids of their templates
    n_templates: int  # searched
    n_people: int  # whose templates were searched
    is_exact: bool = True  # whether none of the nearest can be missing


class _Probe(NamedTuple):
    vector: Singles  # (channels,)
    penalties: Doubles  # (measures,)
    square: float  # squared length of the embedding
    step: float  # of its code
    error: float  # distance of the embedding to what its code stands for
    packed: numkong.PackedMatrix  # the code as the kernel takes it


class _Scores(NamedTuple):
    """The dot products of a block's codes with the probe's; the larger, the nearer, but for lengths and steps."""

    block: Block
    dots: NDArray[np.int32]  # (n,)
    largest: Rows  # of each stripe
    estimates: Doubles  # for the largest: see `_estimates`


class _Compared(NamedTuple):
    """Templates compared exactly."""

    distances: Doubles  # (n,)
    normalized: Doubles  # (n,)
    persons: Persons  # (n,)
    ids: Ids  # (n, 2)


class TemplateIndex:
    """Templates and whose they are. Thread-safe: a search sees the templates of one moment, and writes wait in line.

    `n_measures` is the number of penalties of the model's card, and `n_channels` the size of its embeddings.
    """

    def __init__(self, n_measures: int, n_channels: int) -> None:
        self._n_measures, self.n_channels = n_measures, n_channels
        self._threads = CoreThreads("gallery-search")
        self._writing = Lock()
        self._now = Blocks()

    def __len__(self) -> int:
        return self._now.n_templates

    @property
    def n_people(self) -> int:
        """The number of people who have a template."""
        return self._now.n_people

    def add(self, ids: Sequence[str], persons: Sequence[int], vectors: Singles, penalties: Doubles) -> None:
        """Add templates; those whose ids are there already are left as they are.

        `ids` have 32 hexadecimal digits, `vectors` are (n, channels) and `penalties`, of the photos by each measure of
        the card, (n, measures). Raises ValueError if they are not, or not finite.
        """
        new = new_templates(ids, persons, vectors, penalties)
        if penalties.shape[1:] != (self._n_measures,):
            raise ValueError(f"penalties must be by {self._n_measures} measures, not {penalties.shape[1:]}")
        if vectors.shape[1:] != (self.n_channels,):
            raise ValueError(f"embeddings must have {self.n_channels} channels, not {vectors.shape[1:]}")
        with self._writing:
            self._now = self._now.extended(new)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove templates; unknown ids are ignored."""
        with self._writing:
            self._now = self._now.without(packed_ids(ids))

    def search(self, vector: Singles, penalties: Doubles, *, k: int, below: float = 0.0) -> NearestPeople:
        """Return the `k` people nearest to a probe, and all people at a normalized distance less than `below`.

        `vector` is (channels,) and `penalties` (measures,). A person is as near as the nearest template.
        """
        now = self._now
        probe = _probe(vector, penalties)
        scores = self._on_all_cores(partial(_scores, probe=probe), now.blocks)
        farthest = max(below, _kth_at_most(scores, probe, min(k, now.n_people)))
        near = _compared([(each.block, _rows_within(farthest, each, probe)) for each in scores], probe)
        return _nearest(near, now, k, below)

    def _on_all_cores(self, task: Callable[[Block], T], blocks: Sequence[Block]) -> list[T]:
        if len(blocks) <= 1:
            return list(map(task, blocks))
        n_items = min(len(blocks), ITEMS_PER_CORE * n_cores())
        items = [blocks[len(blocks) * k // n_items : len(blocks) * (k + 1) // n_items] for k in range(n_items)]
        with self._threads.begun(lambda item: list(map(task, item)), items) as results:
            return list(chain.from_iterable(results()))


def _probe(vector: Singles, penalties: Doubles) -> _Probe:
    code = encode(vector[None])
    square = float((vector.astype(np.float64) ** 2).sum())
    return _Probe(vector, penalties, square, float(code.steps[0]), float(code.errors[0]), _packed(code.codes[0]))


def _packed(code: Codes) -> numkong.PackedMatrix:
    """Return a code (channels,) for the kernel, which multiplies faster by several columns than by one.

    It sees GROUP templates as one row, and GROUP columns that have the code in one place each and are 0 elsewhere.
    """
    columns = np.zeros((GROUP, GROUP, len(code)), np.int8)
    columns[np.arange(GROUP), np.arange(GROUP)] = code
    return numkong.dots_pack(columns.reshape(GROUP, -1))


def _scores(block: Block, probe: _Probe) -> _Scores:
    n_rows = -(-block.n // GROUP)
    rows = block.arrays.codes[: n_rows * GROUP].reshape(n_rows, -1)
    dots = np.asarray(numkong.dots_packed(rows, probe.packed)).reshape(-1)[: block.n]  # exact
    largest = _largest_of_stripes(dots)
    return _Scores(block, dots, largest, _estimates(block, dots, largest, probe))


def _largest_of_stripes(dots: NDArray[np.int32]) -> Rows:
    """Return the largest of each stripe of a block; a rest of fewer rows than a stripe has is left out."""
    height = max(1, len(dots) // STRIPES)
    n = len(dots) // height
    rows: Rows = dots[: n * height].reshape(n, height).argmax(axis=1) + height * np.arange(n)
    return rows


def _estimates(block: Block, dots: NDArray[np.int32], rows: Rows, probe: _Probe) -> Doubles:
    """Estimate the squared distances of some templates from the probe, less its squared length: (rows,).

    With p and t the embeddings, and p' and t' what their codes stand for, |p - t|^2 - |p|^2 = |t|^2 - 2 p.t, and the
    estimate has p'.t' in the place of p.t.
    """
    products = dots[rows] * block.arrays.steps[rows].astype(np.float64)
    estimates: Doubles = block.arrays.squares[rows] - 2 * probe.step * products
    return estimates


def _slack(block: Block, probe: _Probe) -> float:
    """Return the most by which an estimate is wrong.

    p.t - p'.t' = p'.(t - t') + (p - p').t, of which the size is at most |p'| |t - t'| + |p - p'| |t|.
    """
    length, longest = sqrt(probe.square), sqrt(block.square)
    of_codes = 2 * ((length + probe.error) * block.error + probe.error * longest)
    return of_codes + ROUNDING * (length + longest) ** 2


def _rows_within(distance: float, scores: _Scores, probe: _Probe) -> Rows:
    """Return all templates of a block that may be within a distance of the probe."""
    block = scores.block
    most = distance**2 - probe.square + _slack(block, probe)  # of an estimate
    least = (block.least_square - most) / (2 * probe.step * block.step)  # of a dot product, if it must be positive
    rows: Rows = np.flatnonzero(scores.dots >= floor(least)) if least > 0 else np.arange(block.n)
    return rows.compress(_estimates(block, scores.dots, rows, probe) <= most)


def _kth_at_most(scores: Sequence[_Scores], probe: _Probe, k: int) -> float:
    """Return a normalized distance that the k-th nearest person does not exceed: that of the k-th among a few."""
    ordered = np.sort(np.concatenate([np.empty(0), *(each.estimates for each in scores)]))
    for limit in (*ordered[FIRST_LOOK * k :][:1].tolist(), inf):
        rows = [(each.block, each.largest[each.estimates <= limit]) for each in scores]
        best = _best_of_people(_compared(rows, probe))
        if 0 < k <= len(best.normalized):
            return float(best.normalized[k - 1])
    return inf


def _compared(rows: Sequence[tuple[Block, Rows]], probe: _Probe) -> _Compared:
    """Compare some templates of each block with the probe, exactly."""
    some = [(block.arrays, of_block) for block, of_block in rows if len(of_block)]
    if not some:
        return _Compared(np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty((0, 2), np.uint64))
    vectors: Iterable[Singles] = (each.vectors[row] for each, row in some)
    if sum(len(row) for _, row in some) <= AT_ONCE:
        vectors = [np.concatenate(list(vectors))]
    distances = np.concatenate([euclidean(probe.vector, each) for each in vectors])
    penalties = np.minimum(np.concatenate([each.penalties[row] for each, row in some]), probe.penalties).sum(axis=1)
    persons = np.concatenate([each.persons[row] for each, row in some])
    return _Compared(distances, distances + penalties, persons, np.concatenate([each.ids[row] for each, row in some]))


def _best_of_people(compared: _Compared) -> _Compared:
    """Return the nearest template of each person, in order; equally near ones by id."""
    order = np.lexsort((*compared.ids.T[::-1], compared.normalized))
    _, first = np.unique(compared.persons[order], return_index=True)
    best = order[np.sort(first)]
    return _Compared._make(column[best] for column in compared)


def _nearest(compared: _Compared, searched: Blocks, k: int, below: float) -> NearestPeople:
    best = _best_of_people(compared)
    n = max(k, int(np.count_nonzero(best.normalized < below)))
    columns = (
        best.persons[:n].tolist(),
        text_of(best.ids[:n]),
        best.distances[:n].tolist(),
        best.normalized[:n].tolist(),
    )
    people = tuple(NearPerson(*each) for each in zip(*columns, strict=True))
    return NearestPeople(people, searched.n_templates, searched.n_people)
