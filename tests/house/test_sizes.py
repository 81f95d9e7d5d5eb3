"""Small functions, small files, plain nesting, few arguments: the measure of the house, over its rooms."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("visavis", "embedder", "gallery", "service", "train")
MEDIAN_LINES, MAX_LINES = 8, 40
MAX_FILE_LINES = 400
MAX_FILES = 330  # docs/why.md says why
MAX_FILES_OF_A_REQUEST = 20
MAX_NESTING = 3
MAX_POSITIONAL = 6
NAMES_NEVER_USED = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager", "managers"}

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


@dataclass(frozen=True)
class Function:
    """One function or method, with where it stands."""

    where: str
    node: AnyFunction

    @property
    def lines(self) -> int:
        """Lines of the body, without the docstring."""
        body = self.node.body[1:] if ast.get_docstring(self.node) is not None else self.node.body
        return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0

    @property
    def n_positional(self) -> int:
        """Arguments that can be given by position, without self or cls."""
        names = [argument.arg for argument in (*self.node.args.posonlyargs, *self.node.args.args)]
        return len(names) - (names[:1] in (["self"], ["cls"]))

    @property
    def nesting(self) -> int:
        """How deep blocks stand in each other; a function inside this one is measured by itself."""
        return max((depth(statement) for statement in self.node.body), default=0)


def depth(node: ast.AST) -> int:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return 0
    inner = max((depth(child) for child in ast.iter_child_nodes(node) if not is_elif(node, child)), default=0)
    further = max((depth(child) for child in ast.iter_child_nodes(node) if is_elif(node, child)), default=0)
    return max(inner + isinstance(node, BLOCKS), further)


def is_elif(node: ast.AST, child: ast.AST) -> bool:
    """An `elif` is an `if` alone in an `else`; the reader does not go one deeper for it."""
    return isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]


def files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (PROJECT / room).rglob("*.py"))


def functions_in(source: str, where: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Function(f"{where}:{node.lineno} {node.name}", node)


def functions() -> list[Function]:
    return [
        function
        for path in files()
        for function in functions_in(path.read_text(encoding="utf-8"), str(path.relative_to(PROJECT)))
    ]


def test_all_rooms_are_there_to_be_measured() -> None:
    assert {path.relative_to(PROJECT).parts[0] for path in files()} == set(ROOMS)


def test_half_of_all_functions_have_at_most_eight_lines() -> None:
    assert statistics.median(function.lines for function in functions()) <= MEDIAN_LINES


def test_no_function_is_longer_than_forty_lines() -> None:
    assert [f"{each.where}: {each.lines} lines" for each in functions() if each.lines > MAX_LINES] == []


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    lengths = {str(path.relative_to(PROJECT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert {path: n_lines for path, n_lines in lengths.items() if n_lines > MAX_FILE_LINES} == {}


def test_there_are_not_too_many_files() -> None:
    assert len(files()) < MAX_FILES


def test_a_request_to_verify_does_not_pass_through_too_many_files() -> None:
    told = subprocess.run(
        [sys.executable, PROJECT / "tools" / "house.py", "--walk"], capture_output=True, text=True, check=True
    ).stdout
    _, walk = told.split("POST /v1/verify runs through ")
    n_files, *named = walk.split()[:1] + re.findall(r"^  (\S+\.py)$", walk, re.MULTILINE)
    assert int(n_files) == len(named) <= MAX_FILES_OF_A_REQUEST
    assert {"service/routes/verify.py", "embedder/pipeline.py", "embedder/decision.py"} <= set(named)


def test_no_block_stands_more_than_three_deep() -> None:
    assert [f"{each.where}: {each.nesting} deep" for each in functions() if each.nesting > MAX_NESTING] == []


def test_no_function_takes_more_than_six_arguments_by_position() -> None:
    too_many = [f"{each.where}: {each.n_positional}" for each in functions() if each.n_positional > MAX_POSITIONAL]
    assert too_many == []


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    named = [path.relative_to(PROJECT) for path in files()]
    assert [str(path) for path in named if NAMES_NEVER_USED & {path.stem, *path.parts[:-1]}] == []


def test_every_file_says_at_its_head_what_it_is() -> None:
    silent = [path for path in files() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert [str(path.relative_to(PROJECT)) for path in silent] == []


MEASURED = '''
def outer(self, a, b, /, c, *, d):
    """Not counted."""
    if a:
        for _ in b:
            with c:
                pass
    elif d:
        pass
    else:
        pass

    def inner():
        while True:
            if a:
                pass
'''


@pytest.mark.parametrize(
    ("name", "lines", "n_positional", "nesting"),
    [("outer", 13, 3, 3), ("inner", 3, 0, 2)],
)
def test_the_measure_itself_counts_as_it_says(name: str, lines: int, n_positional: int, nesting: int) -> None:
    function = {each.node.name: each for each in functions_in(MEASURED, "a file")}[name]
    assert (function.lines, function.n_positional, function.nesting) == (lines, n_positional, nesting)
