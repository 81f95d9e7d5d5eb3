"""Where in a face each channel looks: how much it changes when a place is covered, over some dozens of faces."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...types import Chips, Vectors
from ..covers import occlude

N_PLACES = 15  # along each side
PATCH = 30 / 150  # of the chip's side; wider than the step, for a channel looks at no single point


def channel_attention(
    chips: Chips, embed: Callable[[Chips], Vectors], advance: Callable[[int], None]
) -> NDArray[np.float64]:
    """The mean change of each channel by covering each place: (128, places, places), 0 or more."""
    shares = _patches(chips.shape[1])
    changes = np.zeros((len(shares), 128))
    for chip in chips:
        whole, *partly = embed(np.concatenate([chip[None], occlude(chip, shares)]))
        changes += np.abs(np.array(partly) - whole)
        advance(1)
    return (changes / len(chips)).T.reshape(-1, N_PLACES, N_PLACES)


def _patches(side_px: int) -> NDArray[np.float32]:
    """A patch in each place, row by row: (places * places, side, side), 1 where the face is seen."""
    step, patch = side_px / N_PLACES, round(PATCH * side_px)
    starts = [round(step * (number + 0.5) - patch / 2) for number in range(N_PLACES)]
    shares = np.ones((N_PLACES, N_PLACES, side_px, side_px), np.float32)
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            shares[row, column, max(top, 0) : top + patch, max(left, 0) : left + patch] = 0
    return shares.reshape(-1, side_px, side_px)
