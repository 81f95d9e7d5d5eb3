"""Chips that come up again and again stay decoded, as far as there is room: reading one costs more than changing it."""

import numpy as np
from numpy.typing import ArrayLike

from embedder import Chips

from ..evaluation.protocols.protocol import Indices
from .prepared import PreparedData

ROOM_BYTES = 2 * 2**30  # for 31,800 chips of 150 px; whoever has more decodes the rest anew each time


class KeptChips:
    """Some of the chips of prepared data, each kept once it was asked for. To be used from one thread at a time."""

    def __init__(self, data: PreparedData, positions: Indices, room_bytes: int = ROOM_BYTES) -> None:
        """Of the data's chips at these positions, (n,), the first that fit into so many bytes are kept."""
        self._data, self._positions = data, positions
        room = min(len(positions), room_bytes // int(np.prod(data.chip_shape)))
        self._kept = np.empty((room, *data.chip_shape), np.uint8)  # the system gives memory as it is written to
        self._is_kept = np.zeros(len(positions), bool)

    def __call__(self, numbers: ArrayLike) -> Chips:
        """Return chips by their numbers among the positions, (k,): uint8 (k, side, side, 3). Raises DataError."""
        asked = np.asarray(numbers, np.int32)
        is_known = self._is_kept[asked]
        chips = np.empty((len(asked), *self._data.chip_shape), np.uint8)
        chips[is_known] = self._kept[asked[is_known]]
        if not is_known.all():
            chips[~is_known] = self._decoded(asked[~is_known])
        return chips

    def _decoded(self, numbers: Indices) -> Chips:
        chips = self._data.chips(self._positions[numbers])
        fits = numbers < len(self._kept)
        self._kept[numbers[fits]] = chips[fits]
        self._is_kept[numbers[fits]] = True
        return chips
