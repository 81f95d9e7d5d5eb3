"""The exact search for the people of a gallery who are nearest to a probe, over all templates of one model in memory.

A search has two passes. The first compares 8-bit codes of all embeddings, by a kernel of numkong, with a proven bound
on its error. The second computes the exact distance of every template that can be among the nearest by that bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, sqrt
from threading import Lock
from typing import NamedTuple, TypeVar

import numkong
import numpy as np

from embedder import CoreThreads, euclidean

from .blocks import (
    EMBEDDING_SIZE,
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
GROUP = 16 if numkong.get_capabilities().get("sapphireamx") else 4
STRIPES = 64  # parts of a block; the nearest template of each is found first
FIRST_LOOK = 8  # templates looked at first for each person wanted
ROUNDING = 2.0**-19  # more than the rounding errors of an estimate in f32, relative to the largest squared distance


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


class _Probe(NamedTuple):
    vector: Singles  # (128,)
    penalties: Doubles  # (measures,)
    square: float  # squared length of the embedding
    step: float  # of its code
    error: float  # distance of the embedding to what its code stands for
    packed: numkong.PackedMatrix  # the code as the kernel takes it


class _Estimates(NamedTuple):
    """The squared distances of a block's templates by their codes, less the probe's squared length."""

    block: Block
    squares: Singles  # (n,)
    slack: float  # no estimate is farther from the true value
    nearest: Rows  # of each stripe


class _Compared(NamedTuple):
    """Templates compared exactly."""

    distances: Doubles  # (n,)
    normalized: Doubles  # (n,)
    persons: Persons  # (n,)
    ids: Ids  # (n, 2)


class TemplateIndex:
    """Templates and whose they are. Thread-safe: a search sees the templates of one moment, and writes wait in line.

    `n_measures` is the number of penalties of the model's card.
    """

    def __init__(self, n_measures: int) -> None:
        self._n_measures = n_measures
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

        `ids` have 32 hexadecimal digits, `vectors` are (n, 128) and `penalties`, of the photos by each measure of the
        card, (n, measures). Raises ValueError if they are not, or not finite.
        """
        new = new_templates(ids, persons, vectors, penalties)
        if penalties.shape[1:] != (self._n_measures,):
            raise ValueError(f"penalties must be by {self._n_measures} measures, not {penalties.shape[1:]}")
        with self._writing:
            self._now = self._now.extended(new)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove templates; unknown ids are ignored."""
        with self._writing:
            self._now = self._now.without(packed_ids(ids))

    def search(self, vector: Singles, penalties: Doubles, *, k: int, below: float = 0.0) -> NearestPeople:
        """Return the `k` people nearest to a probe, and all people at a normalized distance less than `below`.

        `vector` is (128,) and `penalties` (measures,). A person is as near as the nearest template.
        """
        now = self._now
        probe = _probe(vector, penalties)
        estimates = self._on_all_cores(partial(_estimates, probe=probe), now.blocks)
        farthest = max(below, _kth_at_most(estimates, probe, min(k, now.n_people)))
        near = [
            _compared(each.block, np.flatnonzero(each.squares <= farthest**2 - probe.square + each.slack), probe)
            for each in estimates
        ]
        return _nearest(_joined(near), now, k, below)

    def _on_all_cores(self, task: Callable[[Block], T], blocks: Sequence[Block]) -> list[T]:
        if len(blocks) == 1:
            return [task(blocks[0])]
        with self._threads.begun(task, blocks) as results:
            return results()


def _probe(vector: Singles, penalties: Doubles) -> _Probe:
    code = encode(vector[None])
    square = float((vector.astype(np.float64) ** 2).sum())
    return _Probe(vector, penalties, square, float(code.steps[0]), float(code.errors[0]), _packed(code.codes[0]))


def _packed(code: Codes) -> numkong.PackedMatrix:
    """Return a code (128,) for the kernel, which multiplies faster by several columns than by one.

    It sees GROUP templates as one row, and GROUP columns that have the code in one place each and are 0 elsewhere.
    """
    columns = np.zeros((GROUP, GROUP, EMBEDDING_SIZE), np.int8)
    columns[np.arange(GROUP), np.arange(GROUP)] = code
    return numkong.dots_pack(columns.reshape(GROUP, GROUP * EMBEDDING_SIZE))


def _estimates(block: Block, probe: _Probe) -> _Estimates:
    """Estimate the squared distances of a block's templates.

    With p and t the embeddings and p' and t' what their codes stand for, |p - t|^2 = |p|^2 + |t|^2 - 2 p.t, and
    p.t - p'.t' = p'.(t - t') + (p - p').t. So the error of -2 p'.t' is at most 2 (|p'| |t - t'| + |p - p'| |t|).
    """
    n_rows = -(-block.n // GROUP)
    rows = block.arrays.codes[: n_rows * GROUP].reshape(n_rows, GROUP * EMBEDDING_SIZE)
    dots = np.asarray(numkong.dots_packed(rows, probe.packed)).reshape(-1)[: block.n]  # (n,) int32, exact
    squares = np.multiply(dots, block.arrays.steps[: block.n], dtype=np.float32)
    squares *= np.float32(-2 * probe.step)
    squares += block.arrays.squares[: block.n]
    length, longest = sqrt(probe.square), sqrt(block.square)
    slack = 2 * ((length + probe.error) * block.error + probe.error * longest) + ROUNDING * (length + longest) ** 2
    return _Estimates(block, squares, slack, _nearest_of_stripes(squares))


def _nearest_of_stripes(squares: Singles) -> Rows:
    """Return the nearest template of each stripe of a block; a rest of fewer rows than a stripe has is left out."""
    height = max(1, len(squares) // STRIPES)
    n = len(squares) // height
    rows: Rows = squares[: n * height].reshape(n, height).argmin(axis=1) + height * np.arange(n)
    return rows


def _kth_at_most(estimates: Sequence[_Estimates], probe: _Probe, k: int) -> float:
    """Return a normalized distance that the k-th nearest person does not exceed: that of the k-th among a few."""
    squares = [each.squares[each.nearest] for each in estimates]
    ordered = np.sort(np.concatenate([np.empty(0, np.float32), *squares]))
    for limit in (*ordered[FIRST_LOOK * k :][:1].tolist(), inf):
        looks = zip(estimates, squares, strict=True)
        compared = [_compared(each.block, each.nearest[theirs <= limit], probe) for each, theirs in looks]
        best = _best_of_people(_joined(compared))
        if 0 < k <= len(best.normalized):
            return float(best.normalized[k - 1])
    return inf


def _compared(block: Block, rows: Rows, probe: _Probe) -> _Compared:
    """Compare some of a block's templates with the probe, exactly."""
    columns = block.arrays
    distances = np.array(euclidean(probe.vector, columns.vectors[rows]))
    normalized = distances + np.minimum(columns.penalties[rows], probe.penalties).sum(axis=1)
    return _Compared(distances, normalized, columns.persons[rows], columns.ids[rows])


def _joined(parts: Sequence[_Compared]) -> _Compared:
    none = _Compared(np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty((0, 2), np.uint64))
    return _Compared._make(np.concatenate(columns) for columns in zip(none, *parts, strict=True))


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
