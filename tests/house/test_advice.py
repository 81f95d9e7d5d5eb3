"""Options that a message advises exist on the command that prints it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_options import options_of

from visavis.cli.main import COMMANDS

PROJECT = Path(__file__).resolve().parents[2]
OPTION = re.compile(r"(?:\bvisavis (?P<command>[a-z-]+)\b[^;.]*?)?(?<![\w-])(?P<option>--[a-z][a-z0-9-]*)")
DECLARATION = re.compile(r"--[a-z0-9-]+(/--[a-z0-9-]+)?|\*?--")
PLACE = "X"  # stands for what an f-string fills in

# Which commands print the messages of a file: the first prefix that fits decides. An option without a command's name
# before it must exist on all of them.
PRINTED_BY = {
    "train/data/splits.py": {"train"},
    "train/data/prepared.py": {"train", "check-labels"},
    "train/data/": {"prepare"},
    "train/evaluation/calibration.py": {"calibrate", "train"},
    "train/evaluation/quality_penalty.py": {"calibrate", "train"},
    "train/evaluation/labels.py": {"check-labels", "prepare"},
    "train/evaluation/": {"evaluate"},
    "train/": {"train"},
    "visavis/cli/data_options.py": {"evaluate"},
}  # fmt: skip


def texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a file that may be printed, without docstrings and the declarations of options."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else PLACE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inside | silent):
            yield node.value


def advised(text: str) -> Iterator[tuple[str | None, str]]:
    """The options in a text, each with the command that is named before it in the same clause."""
    command = None
    for part in re.split(r"(?<=[;.]) ", text):
        command = None
        for found in OPTION.finditer(part):
            command = found["command"] or command
            yield command, found["option"]


def printed_by(path: str) -> set[str]:
    for prefix, commands in PRINTED_BY.items():
        if path.startswith(prefix):
            return commands
    module = path.removesuffix(".py").replace("/", ".")
    return {name for name, (place, _) in COMMANDS.items() if place.startswith(f"{module}:")}


def files() -> list[str]:
    found = (path for room in ("train", "visavis/cli") for path in (PROJECT / room).rglob("*.py"))
    return sorted(str(path.relative_to(PROJECT)) for path in found)


@pytest.mark.parametrize("path", files())
def test_an_option_that_a_message_names_exists_on_the_command_that_prints_it(path: str) -> None:
    tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
    wrong = [
        f"{option} of {command}: {text}"
        for text in texts(tree)
        if not DECLARATION.fullmatch(text)
        for named, option in advised(text)
        for command in ({named} if named in COMMANDS else printed_by(path))
        if option not in options_of(command) | {"--help", "--version"}
    ]
    assert wrong == []


def test_advice_with_an_option_of_another_command_is_found() -> None:
    named = list(advised("too few; run visavis calibrate --degrade with --model, or leave out --degrade. Give --out"))
    assert named == [("calibrate", "--degrade"), ("calibrate", "--model"), ("calibrate", "--degrade"), (None, "--out")]
    assert "--degrade" not in options_of("train")
    assert printed_by("train/run/folder.py") == {"train"}
    assert printed_by("visavis/cli/convert.py") == {"export", "import-dlib", "import-sface"}
