"""PK batches: P people with K images each. A batch depends only on the seed and the step.

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


@dataclass(frozen=True, slots=True)
class Share:
    """The part of each batch that one of several processes embeds."""

    process: int
    n_processes: int

    def of(self, n: int) -> slice:
        """Return the places of this share among n faces."""
        size = n // self.n_processes
        return slice(self.process * size, (self.process + 1) * size)


WHOLE = Share(0, 1)


class PKSampler:
    """Draws batches as a function of the seed and the step, so that a run can resume at any step.

    Over the steps, the counts of people differ by at most one, and so do those of one person's images. For a person
    with fewer than `images` images, some are repeated.
    """

    def __init__(self, identities: Indices, people: int, images: int, seed: int, share: Share = WHOLE) -> None:
        """Group n images by `identities`, (n,). What is drawn does not depend on `share`.

        Raises SamplingError if there are too few people, or if the processes cannot share those of a batch equally.
        """
        labels, counts = np.unique(identities, return_counts=True)
        _require(len(labels), people)
        _require_equal_shares(people, share.n_processes)
        self.share = share
        grouped = np.argsort(identities, kind="stable").astype(np.int32)
        self._images_of = np.split(grouped, np.cumsum(counts)[:-1])
        self._people = EpochPermutation(len(labels), people, (seed, PEOPLE))
        self._n_images, self._seed = images, seed

    def batch(self, step: int) -> Indices:
        """Return (people * images,) positions in `identities`, person by person; steps are counted from 0."""
        first = step * self._people.width
        chosen = self._people.window(step).tolist()
        return np.concatenate([self._of(who, (first + k) // self._people.n) for k, who in enumerate(chosen)])

    def _of(self, who: int, visit: int) -> Indices:
        """Return (images,) positions of one person; `visit` is the number of the pass over all people."""
        own = self._images_of[who]
        return own[EpochPermutation(len(own), self._n_images, (self._seed, IMAGES, who)).window(visit)]


def _require(n_people: int, people: int) -> None:
    if people > n_people:
        advice = f"lower sampling.people to {n_people:,} or less" if n_people > 1 else "use more data"
        raise SamplingError(
            f"the data has {n_people:,} people to train on, fewer than {people:,} people in a batch; {advice}"
        )


def _require_equal_shares(people: int, n_processes: int) -> None:
    if people % n_processes:
        raise SamplingError(
            f"{n_processes:,} processes cannot share {people:,} people in a batch equally; set sampling.people to a "
            f"multiple of {n_processes:,}, or use another number of processes"
        )
