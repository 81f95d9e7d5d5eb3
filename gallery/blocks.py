"""Templates in blocks of arrays, with the 8-bit codes of their embeddings. A block in use is never changed.

A code is the embedding in steps of 1/127 of its largest channel. Adding writes to rows that no reader looks at;
removing copies the block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

BLOCK = 65_536  # templates; a multiple of the rows that the kernel takes at once
PART = 1024  # templates that are encoded at once, in the cache of a core
MOST_CODE = 127
ID_DIGITS = 32
MATRIX = 2  # dimensions

Codes = NDArray[np.int8]
Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]  # positions in a block
Persons = NDArray[np.int64]
Ids = NDArray[np.uint64]  # (n, 2)


class Code(NamedTuple):
    """Embeddings as small integers: each is about its code times its step."""

    codes: Codes  # (n, channels)
    steps: Singles  # (n,)
    errors: Doubles  # (n,) distances of the embeddings to what their codes stand for


def encode(vectors: Singles) -> Code:
    """Encode embeddings (n, channels)."""
    steps = np.abs(vectors).max(axis=1, initial=0) / np.float32(MOST_CODE)
    steps[steps == 0] = 1
    codes = np.rint(vectors / steps[:, None]).clip(-MOST_CODE, MOST_CODE).astype(np.int8)
    rest = vectors.astype(np.float64) - codes * steps[:, None].astype(np.float64)
    return Code(codes, steps, np.sqrt((rest**2).sum(axis=1)))


class Templates(NamedTuple):
    """Templates as arrays with as many rows."""

    codes: Codes  # (n, channels)
    steps: Singles  # (n,) of the codes
    squares: Singles  # (n,) squared lengths of the embeddings
    errors: Singles  # (n,) at least the distances of the embeddings to what their codes stand for
    vectors: Singles  # (n, channels)
    penalties: Doubles  # (n, measures)
    persons: Persons  # (n,)
    ids: Ids  # (n, 2)

    def at(self, rows: "Rows | slice | NDArray[np.bool_]") -> "Templates":
        """Return some of the templates."""
        return Templates._make(column[rows] for column in self)


def new_templates(ids: Sequence[str], persons: Sequence[int], vectors: Singles, penalties: Doubles) -> Templates:
    """Return templates in columns. Raises ValueError if an id, a shape or a number is not valid."""
    n = len(ids)
    if vectors.ndim != MATRIX or len(vectors) != n or len(persons) != n or len(penalties) != n:
        raise ValueError(
            f"{n} ids need {n} persons, embeddings of shape ({n}, channels) and {n} rows of penalties, not "
            f"{len(persons)}, {vectors.shape} and {len(penalties)}"
        )
    if not np.isfinite(vectors).all() or not (penalties >= 0).all():
        raise ValueError("embeddings must be finite, and penalties not negative")
    starts = range(0, max(n, 1), PART)
    coded = zip(*(_coded(vectors[start : start + PART]) for start in starts), strict=True)
    codes, steps, squares, errors = (np.concatenate(parts) for parts in coded)
    persons_column = np.asarray(persons, np.int64)
    return Templates(codes, steps, squares, errors, vectors, penalties, persons_column, packed_ids(ids))


def bytes_of(n_templates: int, n_measures: int, n_channels: int) -> int:
    """Return about how much memory so many templates take."""
    one = new_templates(["0" * ID_DIGITS], [0], np.zeros((1, n_channels), np.float32), np.zeros((1, n_measures)))
    return n_templates * sum(column.nbytes for column in one)


def _coded(vectors: Singles) -> tuple[Codes, Singles, Singles, Singles]:
    """Return the codes, steps, squared lengths and errors of embeddings (n, channels)."""
    code = encode(vectors)
    squares = (vectors.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    return code.codes, code.steps, squares, np.nextafter(code.errors.astype(np.float32), np.float32(np.inf))


def packed_ids(ids: Sequence[str]) -> Ids:
    """Return ids of 32 hexadecimal digits as numbers that sort in the same order: (n, 2). Raises ValueError."""
    try:
        packed = bytes.fromhex("".join(ids))
    except ValueError:
        packed = b""
    if any(len(each) != ID_DIGITS for each in ids) or 2 * len(packed) != ID_DIGITS * len(ids):
        raise ValueError(f"the id of a template must have {ID_DIGITS} hexadecimal digits")
    return np.frombuffer(packed, ">u8").astype(np.uint64).reshape(-1, 2)


def text_of(packed: Ids) -> tuple[str, ...]:
    """Return the ids (n, 2) as text."""
    return tuple(each.tobytes().hex() for each in packed.astype(">u8"))


def are_among(ids: Ids, others: Ids) -> NDArray[np.bool_]:
    """Tell which of some ids (n, 2) are among others: (n,)."""
    among = np.isin(ids[:, 1], others[:, 1])
    rows = np.flatnonzero(among)  # the second half is random: hardly ever do ids have it in common
    known = {tuple(each) for each in others.tolist()} if len(rows) else set()
    among[rows] = [tuple(each) in known for each in ids[rows].tolist()]
    return among


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Up to BLOCK templates, in arrays that have room for all. Rows from `n` on belong to the writer."""

    arrays: Templates
    n: int = 0
    error: float = 0  # at least the distance of any embedding to what its code stands for
    square: float = 0  # the largest squared length of an embedding, in f32
    least_square: float = inf  # the smallest
    step: float = 0  # the largest of a code

    @classmethod
    def empty(cls, such: Templates) -> Self:
        """Return a block without templates, for ones such as these. Memory is taken as it fills."""
        return cls(Templates._make(np.zeros((BLOCK, *column.shape[1:]), column.dtype) for column in such))

    @property
    def templates(self) -> Templates:
        """The templates that are there."""
        return self.arrays.at(slice(self.n))

    def extended(self, new: Templates) -> Self:
        """Return the block with more templates; readers of this one do not see them."""
        end = self.n + len(new.persons)
        for place in range(len(new)):
            self.arrays[place][self.n : end] = new[place]
        return replace(
            self,
            n=end,
            error=max(self.error, float(new.errors.max(initial=0))),
            square=max(self.square, float(new.squares.max(initial=0))),
            least_square=min(self.least_square, float(new.squares.min(initial=inf))),
            step=max(self.step, float(new.steps.max(initial=0))),
        )

    def without(self, removed: NDArray[np.bool_]) -> Self:
        """Return a copy without some of the templates: (n,)."""
        return self.empty(self.arrays).extended(self.templates.at(~removed))


@dataclass(frozen=True)
class Blocks:
    """All templates at one moment. Only the newest may be extended."""

    blocks: tuple[Block, ...] = ()
    n_people: int = 0  # who have a template

    @cached_property
    def n_templates(self) -> int:
        """The number of templates."""
        return sum(block.n for block in self.blocks)

    def extended(self, new: Templates) -> Self:
        """Return these and new templates. Those whose ids are there already are left as they are."""
        new = new.at(~are_among(new.ids, self._ids_among(new.ids)))
        n_people = self.n_people + self.n_without_templates(new.persons)
        blocks = []
        for block in self.blocks:
            room = BLOCK - block.n
            blocks.append(block.extended(new.at(slice(room))) if room and len(new.persons) else block)
            new = new.at(slice(room, None))
        starts = range(0, len(new.persons), BLOCK)
        blocks += (Block.empty(new).extended(new.at(slice(start, start + BLOCK))) for start in starts)
        return replace(self, blocks=tuple(blocks), n_people=n_people)

    def without(self, ids: Ids) -> Self:
        """Return all but the templates with these ids; unknown ids are ignored."""
        left, persons = [], [np.empty(0, np.int64)]
        for block in self.blocks:
            removed = are_among(block.templates.ids, ids)
            persons.append(block.templates.persons[removed])
            left.append(block.without(removed) if removed.any() else block)
        rest = replace(self, blocks=tuple(block for block in left if block.n))
        return replace(rest, n_people=self.n_people - rest.n_without_templates(np.concatenate(persons)))

    def n_without_templates(self, persons: Persons) -> int:
        """Return the number of people among these who have no template here."""
        others = np.unique(persons)
        for block in self.blocks:
            found = np.isin(block.templates.persons, others)
            if found.any():
                others = np.setdiff1d(others, block.templates.persons[found])
        return len(others)

    def _ids_among(self, ids: Ids) -> Ids:
        """The ids of templates here that are among some ids."""
        found = [block.templates.ids[are_among(block.templates.ids, ids)] for block in self.blocks]
        return np.concatenate([np.empty((0, 2), np.uint64), *found])
