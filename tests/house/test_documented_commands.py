"""The commands in the documents exist with their options: `visavis ...`, and the scripts in benchmarks/ and tools/."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_options import options_of

from visavis.cli.main import COMMANDS

PROJECT = Path(__file__).resolve().parents[2]
PAST = "CHANGELOG.md"  # it also names what was removed
DOCUMENTS = sorted([*(PROJECT / "docs").glob("*.md"), *(each for each in PROJECT.glob("*.md") if each.name != PAST)])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
VISAVIS = re.compile(r"""(?:^|[\s'"])visavis ([a-z][a-z-]*)\b(.*)""")
SCRIPT = re.compile(r"\bpython ((?:benchmarks|tools)/[\w/]+\.py)(.*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
GIVEN_BY_MAKE = {"--data", "--chips"}


@dataclass(frozen=True)
class ScriptOptions:
    """What a script declares by argparse or click."""

    known: frozenset[str]
    needed: frozenset[str]


def command_lines(text: str) -> Iterator[str]:
    """The lines of code blocks without comments, those that go on joined, and the code in sentences."""
    for block in (each for each in FENCE.findall(text) if not each.startswith("```python")):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            yield re.split(r"(?:^|\s)#", line)[0]
    for code in INLINE.findall(FENCE.sub("", text)):
        yield " ".join(code.split())


def wrong_commands(text: str) -> Iterator[str]:
    for line in command_lines(text):
        for name, rest in VISAVIS.findall(line):
            if name not in COMMANDS:
                yield f"there is no visavis {name}"
                continue
            unknown = set(OPTION.findall(rest)) - options_of(name) - {"--help"}
            yield from (f"visavis {name} has no {option}" for option in sorted(unknown))


def script_options(path: Path) -> ScriptOptions:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    has_commands = any(getattr(node.func, "attr", "") in {"add_parser", "group"} for node in calls)  # of its own
    known, needed = set[str](), set[str]()
    for node in calls:
        if getattr(node.func, "attr", "") not in {"add_argument", "option"}:
            continue
        words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        names = {name for word in words for name in word.split("/") if name.startswith("--")}
        known |= names
        if not has_commands and any(each.arg == "required" for each in node.keywords):
            needed |= names
    return ScriptOptions(frozenset(known), frozenset(needed))


def wrong_scripts(text: str) -> Iterator[str]:
    for line in command_lines(text):
        for name, rest in SCRIPT.findall(line):
            path, given = PROJECT / name, set(OPTION.findall(rest))
            if not path.is_file():
                yield f"there is no {name}"
                continue
            options = script_options(path)
            yield from (f"{name} has no {option}" for option in sorted(given - options.known))
            yield from (f"{name} needs {option}" for option in sorted(options.needed - given))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_a_document_exists_with_its_options(document: Path) -> None:
    assert list(wrong_commands(document.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_script_of_a_document_exists_and_is_given_what_it_needs(document: Path) -> None:
    assert list(wrong_scripts(document.read_text(encoding="utf-8"))) == []


def test_a_command_that_does_not_exist_is_found() -> None:
    text = (
        "Run `visavis enrol`, or `visavis\nembed --shards 2`:\n\n```sh\nvisavis embed a \\\n    --wide  # --out\n```\n"
    )
    assert list(wrong_commands(text)) == [
        "visavis embed has no --wide",
        "there is no visavis enrol",
        "visavis embed has no --shards",
    ]


def test_a_script_that_is_given_too_little_is_found() -> None:
    text = "`python benchmarks/london.py`, `python benchmarks/load.py --minute 1`, `python benchmarks/no.py`"
    assert list(wrong_scripts(text)) == [
        "benchmarks/london.py needs --data",
        "benchmarks/load.py has no --minute",
        "there is no benchmarks/no.py",
    ]


def test_make_gives_every_benchmark_that_it_runs_what_it_needs() -> None:
    recipe = re.search(
        r"^bench-all:.*?in \$\$\((.*?)\); do", (PROJECT / "Makefile").read_text(), re.MULTILINE | re.DOTALL
    )
    assert recipe is not None
    listed = subprocess.run(["bash", "-c", recipe[1]], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    scripts = [PROJECT / name for name in listed.split()]
    assert len(scripts) > 40
    assert [path.name for path in scripts if not script_options(path).needed <= GIVEN_BY_MAKE] == []
