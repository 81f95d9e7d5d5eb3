"""Files of faces are written whole, for their owner alone and never through a link; others are read within bounds."""

import os
import stat
from pathlib import Path

import pytest

from embedder import open_regular_file, read_regular_file, replace_file, unfinished


@pytest.mark.parametrize("planted", ["part", ".part"], ids=["the name", "the unfinished name"])
def test_a_planted_link_is_replaced_and_not_followed(tmp_path: Path, planted: str) -> None:
    victim, path = tmp_path / "victim", tmp_path / "part"
    victim.write_bytes(b"precious")
    (tmp_path / planted).symlink_to(victim)
    replace_file(path, b"new")
    assert victim.read_bytes() == b"precious"
    assert (path.read_bytes(), path.is_symlink(), stat.S_IMODE(path.stat().st_mode)) == (b"new", False, 0o600)


def test_a_planted_fifo_does_not_block_the_writer(tmp_path: Path) -> None:
    os.mkfifo(unfinished(tmp_path / "part"))
    os.mkfifo(tmp_path / "part")
    replace_file(tmp_path / "part", b"new")
    assert (tmp_path / "part").read_bytes() == b"new"


def test_only_a_regular_file_of_bounded_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "fifo")
    assert read_regular_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_regular_file(tmp_path / "file", 4)
    for other in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular_file(other)
