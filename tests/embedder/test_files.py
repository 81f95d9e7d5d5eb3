"""Files of faces are written whole, for their owner alone and never through a link; others are read within bounds."""

import os
import stat
import time
import tomllib
from pathlib import Path

import pytest

from embedder import open_regular_file, parse_toml, read_regular_file, replace_file, unfinished

LONG = ".a" * 30_000


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


@pytest.mark.parametrize(
    "text",
    [
        f"a{LONG} = 1",
        f"[a{LONG}]",
        f'x = {{p = "{LONG}", a{LONG} = 1}}',
        f'x = {{p = """{LONG}"""", a{LONG} = 1}}',
        f"x = ['\\', {{a{LONG} = 1}}]",
        f"x = ['''\n''', {{\"a\" . 'b'{LONG} = 1}}]",
        f"# '\na{LONG} = 1",
    ],
)
def test_a_key_of_many_parts_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(ValueError, match="a key has more than 32 parts"):
        parse_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        "[a.b.c]\nd.e = 1.5",
        f"x = '{LONG}'  # {LONG}",
        f'x = "{LONG}\\"{LONG}"',
        f'x = """{LONG}\n"{LONG}""""',
        f"x = [{'1.5, ' * 1000}]",
        "x = " + '"' * 6,
    ],
)
def test_dots_elsewhere_are_no_parts_of_a_key(text: str) -> None:
    assert parse_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("text", ['"\\' * 30_000, '"""\\"' * 20_000, "'" * 65_000, "a " * 30_000])
def test_text_that_is_no_toml_is_told_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=r"line 1|end of document"):
        parse_toml(text)
    assert time.process_time() - began < 1
