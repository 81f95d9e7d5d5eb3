"""An endless way through n things, some at a time, that can be entered anywhere.

It passes over all of them in an order by chance, then over all of them again in another one, and so on; every thing has
come up equally often, give or take one, at any time.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..evaluation.protocols.protocol import Indices

KEPT = 1024  # orders; those of a step's people, and the one of all people, which is asked for in every step


@dataclass(frozen=True, slots=True)
class DrawnBefore:
    """What the first window of a pass has from passes before it."""

    n: int  # places
    n_whole: int  # passes that lie in it whole
    n_odd: int  # things, from the end of the pass before those


@dataclass(frozen=True, slots=True)
class EpochPermutation:
    """Windows of `width` of n things each. No window holds a thing twice; or as few as possible where width > n."""

    n: int
    width: int
    seed: tuple[int, ...]

    def window(self, number: int) -> Indices:
        """Return (width,) of 0..n-1; windows are counted from 0."""
        first = number * self.width
        last = first + self.width
        orders = [_order(self, each) for each in range(first // self.n, -(-last // self.n))]
        start = first % self.n
        return np.concatenate(orders)[start : start + self.width]

    def order(self, number: int) -> Indices:
        """Return the n things in the order of a pass, which begins with what its first window has less often so far.

        It depends on an earlier pass only where that window has a part of it, so the way back is at most `width` long.
        """
        way = [number]
        while self._taken(way[-1]).n_odd:
            way.append(way[-1] - 1 - self._taken(way[-1]).n_whole)
        order = self._drawn(way.pop())
        for each in reversed(way):
            order = self._after(order, each)
        return order

    def _after(self, before: Indices, number: int) -> Indices:
        """Draw an order of which the window's first things come before those that it has already."""
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
