"""Names of files that would write on a terminal, and links where a command writes."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from visavis.cli.main import main

NAME = "\x1b]0;owned\x07\nforged: 1 face.jpg"


def test_a_name_cannot_write_on_the_terminal_nor_forge_a_line(tmp_path: Path, examples: Path) -> None:
    (tmp_path / NAME).write_bytes((examples / "001-neutral.jpg").read_bytes())
    (tmp_path / ("x" + NAME)).write_bytes(b"no photo")
    told = CliRunner().invoke(main, ["detect", str(tmp_path / NAME), str(tmp_path / ("x" + NAME))])
    assert told.exit_code == 2
    assert r"\x1b]0;owned\x07\nforged: 1 face.jpg: 1 face" in told.stdout
    assert "\x1b]" not in told.output
    assert not [line for line in told.output.splitlines() if line.startswith("forged")]


def test_an_error_is_one_printable_line(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["verify", str(tmp_path / NAME), str(tmp_path / "b.jpg")])
    assert (told.exit_code, len(told.stderr.splitlines())) == (2, 1)
    assert "\x1b" not in told.stderr


@pytest.mark.parametrize("target", ["there.svg", "not-yet.svg"])
def test_a_planted_link_is_not_followed_when_a_file_is_written(tmp_path: Path, target: str) -> None:
    (tmp_path / "there.svg").write_text("precious")
    (tmp_path / "out.svg").symlink_to(tmp_path / target)
    told = CliRunner().invoke(main, ["describe", "--svg", str(tmp_path / "out.svg")])
    assert (told.exit_code, "it is a link; give the path of a file" in told.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.svg", "there.svg"]
    assert (tmp_path / "there.svg").read_text() == "precious"


def test_a_device_may_be_written_to() -> None:
    assert CliRunner().invoke(main, ["describe", "--svg", os.devnull]).exit_code == 0
