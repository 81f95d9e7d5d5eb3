"""What is written is written whole, and for its owner alone."""

import os
from pathlib import Path

import pytest

from train.data.description import sole_use, write_private
from train.errors import DataError


def test_only_the_owner_may_read_file_and_folder(tmp_path: Path) -> None:
    with sole_use(tmp_path / "a/data"):
        write_private(tmp_path / "a/data/x", b"1")
    assert (tmp_path / "a/data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a/data/x").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    write_private(tmp_path / "x", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        DataError, match=r"x: cannot be written: No space left on device; free disk space or choose another"
    ):
        write_private(tmp_path / "x", b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x", b"old")]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".x").write_bytes(b"half of a longer fi")
    write_private(tmp_path / "x", b"whole")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x", b"whole")]


def test_two_cannot_work_in_a_folder_at_once(tmp_path: Path) -> None:
    with (
        sole_use(tmp_path),
        pytest.raises(DataError, match="another process is using it"),
        sole_use(tmp_path),
    ):
        pass
    with sole_use(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written: Not a directory"), sole_use(tmp_path / "file/data"):
        pass
