"""Reading prepared chips: in any order, from any thread or process, and never from a damaged or unfinished folder."""

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from train.data.prepared import PreparedData, open_prepared
from train.data.shard import Shard, packed, shard_path
from train.errors import DataError


@pytest.fixture
def folder(prepared: PreparedData, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(copytree(prepared.folder, tmp_path / "copy"))


@settings(max_examples=20, deadline=None)
@given(positions=st.lists(st.integers(-8, 7), max_size=40))
def test_chips_come_in_the_order_they_are_asked_for(prepared: PreparedData, positions: list[int]) -> None:
    shard = Shard(shard_path(prepared.folder, 0))
    chips = prepared.chips(np.array(positions, np.int32))
    assert (chips.shape, chips.dtype) == ((len(positions), 112, 112, 3), np.uint8)
    assert all(np.array_equal(chip, shard.chip(k % 8)) for chip, k in zip(chips, positions, strict=True))


@pytest.mark.parametrize("position", [8, -9])
def test_a_chip_that_is_not_there_is_an_index_error(prepared: PreparedData, position: int) -> None:
    with pytest.raises(IndexError):
        prepared.chips([position])


def test_several_threads_may_read_at_once(prepared: PreparedData) -> None:
    data, expected = open_prepared(prepared.folder), prepared.chips(range(8))
    with ThreadPoolExecutor(4) as pool:
        for chips in pool.map(data.chips, [range(8)] * 12):
            assert np.array_equal(chips, expected)


def test_what_was_pickled_opens_the_shards_anew(prepared: PreparedData) -> None:
    copied = pickle.loads(pickle.dumps(prepared))  # noqa: S301 - our own
    assert (copied.names, copied.digest) == (prepared.names, prepared.digest)
    assert copied.shards is not prepared.shards
    assert np.array_equal(copied.chips([3, 1]), prepared.chips([3, 1]))


def test_the_photo_of_a_chip_is_known_even_when_it_lies_there_no_longer(folder: Path) -> None:
    facts = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(facts | {"source": "/gone"}))
    photo = open_prepared(folder).photo(1)
    assert (photo.path, photo.name, photo.identity) == (Path("/gone/001/001_0002.jpg"), "001/001_0002.jpg", "001")


def test_a_folder_that_was_not_prepared_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="was not made by visavis prepare; run: visavis prepare DIR --out DATA"):
            open_prepared(path)


def test_an_unfinished_folder_is_told(folder: Path) -> None:
    facts = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(facts | {"state": "begun", "totals": None}))
    with pytest.raises(DataError, match="is not finished; run visavis prepare again with the same options"):
        open_prepared(folder)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', "\udcff", "[" * 10**6, "9" * 10**5, '{"format": 3, "state": 0, "totals": 0}'],
)
def test_a_description_that_was_not_written_here_is_told(folder: Path, text: str) -> None:
    (folder / "data.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"data\.json: was not written by this version of visavis prepare"):
        open_prepared(folder)


@pytest.mark.parametrize("name", ["data.json", "shard-00000.safetensors"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(DataError, match=name):
        open_prepared(folder)


def test_a_damaged_shard_is_told_by_its_name(folder: Path) -> None:
    path = shard_path(folder, 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"shard-00000\.safetensors: is missing or damaged"):
        open_prepared(folder)
    path.write_bytes(packed([]))
    with pytest.raises(DataError, match=r"shard-00000\.safetensors: is missing or damaged \(its content has changed"):
        open_prepared(folder)
    flipped = bytearray(whole)
    flipped[whole.index(b"WEBP") + 1000] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(
        DataError, match=r"shard-00000\.safetensors: is missing or damaged \(chip 0 does not match its checksum"
    ):
        open_prepared(folder).chips(range(8))
