"""Where in a face each channel looks: how much it changes when a place is covered, over some dozens of faces."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...types import CHIP_SIZE_PX, Chips, Vectors
from ..covers import covered

N_PLACES, PATCH_PX = 15, 30  # along each side; a patch is wider than the step, for a channel looks at no single point


def looked_at(chips: Chips, embed: Callable[[Chips], Vectors], advance: Callable[[int], None]) -> NDArray[np.float64]:
    """The mean change of each channel by covering each place: (128, places, places), 0 or more."""
    shares = _patches()
    changes = np.zeros((len(shares), 128))
    for chip in chips:
        whole, *partly = embed(np.concatenate([chip[None], covered(chip, shares)]))
        changes += np.abs(np.array(partly) - whole)
        advance(1)
    return (changes / len(chips)).T.reshape(-1, N_PLACES, N_PLACES)


def _patches() -> NDArray[np.float32]:
    """A patch in each place, row by row: (places * places, 150, 150), 1 where the face is seen."""
    step = CHIP_SIZE_PX / N_PLACES
    starts = [round(step * (number + 0.5) - PATCH_PX / 2) for number in range(N_PLACES)]
    shares = np.ones((N_PLACES, N_PLACES, CHIP_SIZE_PX, CHIP_SIZE_PX), np.float32)
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            shares[row, column, max(top, 0) : top + PATCH_PX, max(left, 0) : left + PATCH_PX] = 0
    return shares.reshape(-1, CHIP_SIZE_PX, CHIP_SIZE_PX)
