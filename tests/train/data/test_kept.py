"""Chips that stay decoded: the same as decoded anew, whatever fits; and decoded once, where they fit."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from train.data.prepared import KeptChips, PreparedData, open_prepared
from train.data.shard import shard_path
from train.errors import DataError

POSITIONS = np.array([6, 1, 4, 0], np.int32)
CHIP_BYTES = 150 * 150 * 3


@pytest.mark.parametrize("n_that_fit", [0, 2, 4, 100])
def test_kept_chips_are_those_of_the_data_in_the_order_asked_for(prepared: PreparedData, n_that_fit: int) -> None:
    kept = KeptChips(prepared, POSITIONS, n_that_fit * CHIP_BYTES)
    for numbers in ([2, 0], [0, 3, 3, 1], [1], [3, 2, 1, 0]):
        assert np.array_equal(kept(numbers), prepared.chips(POSITIONS[numbers]))


def test_what_is_given_out_may_be_changed(prepared: PreparedData) -> None:
    kept = KeptChips(prepared, POSITIONS)
    for _ in range(2):  # as decoded, and as kept
        kept([0, 1])[:] = 0
    assert np.array_equal(kept([0, 1]), prepared.chips(POSITIONS[:2]))


def test_a_chip_that_is_kept_is_not_read_again(prepared: PreparedData, tmp_path: Path) -> None:
    folder = Path(copytree(prepared.folder, tmp_path / "copy"))
    kept = KeptChips(open_prepared(folder), POSITIONS, 2 * CHIP_BYTES)
    chips = kept([0, 1])
    spoil(shard_path(folder, 0))
    assert np.array_equal(kept([0, 1]), chips)
    with pytest.raises(DataError, match="damaged"):
        kept([2])


def spoil(shard: Path) -> None:
    """Change every byte of its images, in place, where it is mapped into memory."""
    with shard.open("r+b") as file:
        head = int.from_bytes(file.read(8), "little") + 8
        body = file.read()[head - 8 :]
        file.seek(head)
        file.write(bytes(255 - byte for byte in body))
