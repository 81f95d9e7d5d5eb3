"""PK batches: P people with K images each. A batch depends only on the seed, the step and the process.

`EpochPermutation` passes over all n items in a random order, then in another one, and so on: at any time the items'
counts differ by at most one.

Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import SamplingError
from ..evaluation.protocols.protocol import Indices

KEPT = 1024  # cached orders: those of a step's people, and that of all people, which every step uses


@dataclass(frozen=True, slots=True)
class DrawnBefore:
    """The part of a pass's first window that earlier passes fill."""

    n: int  # places
    n_whole: int  # complete passes within it
    n_odd: int  # items from the end of the pass before those


@dataclass(frozen=True, slots=True)
class EpochPermutation:
    """Windows of `width` of n items. No window repeats an item if width <= n, else as few as possible."""

    n: int
    width: int
    seed: tuple[int, ...]

    def window(self, number: int) -> Indices:
        """Return a window, (width,) of 0..n-1; windows are counted from 0."""
        first = number * self.width
        last = first + self.width
        orders = [_order(self, each) for each in range(first // self.n, -(-last // self.n))]
        start = first % self.n
        return np.concatenate(orders)[start : start + self.width]

    def order(self, number: int) -> Indices:
        """Return the n items in the order of a pass; those that are rarer in its first window come first.

        The order depends on earlier passes only within that window, so the recursion is at most `width` deep.
        """
        way = [number]
        while self._taken(way[-1]).n_odd:
            way.append(way[-1] - 1 - self._taken(way[-1]).n_whole)
        order = self._drawn(way.pop())
        for each in reversed(way):
            order = self._after(order, each)
        return order

    def _after(self, before: Indices, number: int) -> Indices:
        """Draw an order in which items that are new to the window come before those that it already has."""
        drawn, taken = self._drawn(number), self._taken(number)
        odd = before[self.n - taken.n_odd :]
        fresh = np.flatnonzero(~np.isin(drawn, odd))[: self.width - taken.n]
        return np.concatenate([drawn[fresh], np.delete(drawn, fresh)])

    def _taken(self, number: int) -> DrawnBefore:
        n = number * self.n % self.width
        return DrawnBefore(n, *divmod(n, self.n))

    def _drawn(self, number: int) -> Indices:
        return np.random.default_rng([*self.seed, number]).permutation(self.n).astype(np.int32)


@lru_cache(maxsize=KEPT)
def _order(passes: EpochPermutation, number: int) -> Indices:
    order = passes.order(number)
    order.setflags(write=False)
    return order


PEOPLE, IMAGES = 0, 1  # random streams


class PKSampler:
    """Draws batches as a function of the seed, the step and the process, so that a run can resume at any step.

    Over the steps of all processes, the counts of people differ by at most one, and so do those of one person's images.
    For a person with fewer than `images` images, some are repeated. Processes never share a person within a step.
    """

    def __init__(
        self,
        identities: Indices,
        people: int,
        images: int,
        seed: int,
        process: int = 0,
        n_processes: int = 1,
    ) -> None:
        """Group n images by `identities`, (n,). Raises SamplingError if there are too few people."""
        labels, counts = np.unique(identities, return_counts=True)
        _require(len(labels), people, n_processes)
        grouped = np.argsort(identities, kind="stable").astype(np.int32)
        self._images_of = np.split(grouped, np.cumsum(counts)[:-1])
        self._people = EpochPermutation(len(labels), people * n_processes, (seed, PEOPLE))
        self.process = process
        self._own = slice(process * people, (process + 1) * people)
        self._n_images, self._seed = images, seed

    def batch(self, step: int) -> Indices:
        """Return (people * images,) positions in `identities`, person by person; steps are counted from 0."""
        first = step * self._people.width + self._own.start
        chosen = self._people.window(step)[self._own].tolist()
        return np.concatenate([self._of(who, (first + k) // self._people.n) for k, who in enumerate(chosen)])

    def _of(self, who: int, visit: int) -> Indices:
        """Return (images,) positions of one person; `visit` is the number of the pass over all people."""
        own = self._images_of[who]
        return own[EpochPermutation(len(own), self._n_images, (self._seed, IMAGES, who)).window(visit)]


def _require(n_people: int, people: int, n_processes: int) -> None:
    if people * n_processes <= n_people:
        return
    needed = f"{people:,} people in a batch" + (f" of each of {n_processes} processes" if n_processes > 1 else "")
    most = n_people // n_processes
    advice = f"lower sampling.people to {most:,} or less" if most > 1 else "use fewer processes or more data"
    raise SamplingError(f"the data has {n_people:,} people to train on, fewer than {needed}; {advice}")
