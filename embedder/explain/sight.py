"""How far a value sees: the part of the network's input that it depends on, by its longest way through the network."""

from collections.abc import Iterable
from dataclasses import dataclass

from .layers import Pair, Window


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Of one value of some maps."""

    reach_px: Pair = (1, 1)  # rows and columns of the input that it depends on
    step_px: Pair = (1, 1)  # how far its neighbour's lies from there

    def through(self, window: Window) -> "ReceptiveField":
        """Of a value that a window over such maps makes."""
        reach = zip(self.reach_px, window.size, self.step_px, strict=True)
        steps = zip(self.step_px, window.stride, strict=True)
        rows, columns = (own + (size - 1) * step for own, size, step in reach)
        down, across = (step * stride for step, stride in steps)
        return ReceptiveField((rows, columns), (down, across))


def united(sights: Iterable[ReceptiveField]) -> ReceptiveField:
    """Of a value that is made from several maps."""
    reaches, steps = zip(*((each.reach_px, each.step_px) for each in sights), strict=True)
    (rows, columns), (down, across) = (
        tuple(max(pair) for pair in zip(*each, strict=True)) for each in (reaches, steps)
    )
    return ReceptiveField((rows, columns), (down, across))
