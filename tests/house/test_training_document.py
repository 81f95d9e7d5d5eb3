"""docs/training.md says of every key of a run file, in either language, what the code says of it."""

import re
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from embedder.backbones.registry import BACKBONES, build_backbone
from train.evaluation import calibration, metrics, operating_points, quality_penalty
from train.logging.csv_log import STEP_COLUMNS, VALIDATION_COLUMNS
from train.run.folder import RunFolder
from train.run_file import LossTerm, RunFile

PROJECT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = "docs/training.md", "docs/training.zh-CN.md"
DOCUMENTS = (ENGLISH, CHINESE)
HEADERS = ("| key | default |", "| 键 | 默认值 |")
NEEDED, NONE = ("needed", "必填"), ("none", "无")
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
REST = """
[data]
train = "chips"
[network]
backbone = "small"
[[losses]]
kind = "contrastive"
[loop]
steps = 10
[bundle]
name = "ours"
license = "ours alone"
trained_on = "our own people"
"""


def read(document: str) -> str:
    return (PROJECT / document).read_text(encoding="utf-8")


def models(annotation: Any) -> list[type[BaseModel]]:
    """The parts of a run file that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {Union, types.UnionType}:
        return [part for each in get_args(annotation) for part in models(each)]
    return []


def of_code(part: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key with its dotted path; those of a loss stand below its kind."""
    for name, field in part.model_fields.items():
        inside = models(field.annotation)
        if inside:
            yield from (found for each in inside for found in of_code(each, f"{prefix}{name}."))
        else:
            yield f"{prefix}{name}", field


def of_losses() -> Iterator[tuple[str, FieldInfo]]:
    for term in models(get_args(LossTerm)[0]):
        (kind,) = get_args(term.model_fields["kind"].annotation)
        yield from of_code(term, f"{kind}.")


def keys() -> dict[str, FieldInfo]:
    return {**dict(of_code(RunFile)), **dict(of_losses())}


def stated(document: str) -> Iterator[tuple[str, str]]:
    """Key and default of every row of the tables of keys."""
    is_inside = False
    for line in read(document).splitlines():
        if line.startswith(HEADERS):
            is_inside = True
        elif not line.startswith("|"):
            is_inside = False
        elif is_inside and not line.startswith("|---"):
            first, default = line.split("|")[1:3]
            yield from ((key, default.strip()) for key in IN_BACKTICKS.findall(first))


def default_of(cell: str) -> tuple[bool, Any]:
    """Is the key needed, and what is it otherwise?"""
    if cell in NEEDED:
        return True, None
    if cell in NONE:
        return False, None
    (value,) = IN_BACKTICKS.findall(cell)
    return False, tomllib.loads(f"value = {value}")["value"]


def default_in_code(field: FieldInfo) -> tuple[bool, Any]:
    if field.is_required():
        return True, None
    value = field.get_default(call_default_factory=True)
    return False, list(value) if isinstance(value, tuple) else value


def toml_of(document: str) -> list[dict[str, Any]]:
    fences = re.findall(r"^```toml\n(.*?)^```", read(document), re.MULTILINE | re.DOTALL)
    return [tomllib.loads(fence) for fence in fences]


def test_the_walk_finds_keys_of_every_kind() -> None:
    assert {"seed", "losses", "loop.minutes", "augmentation.blur.sigma_px", "triplet.margin", "arcface.kind"} <= set(
        keys()
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_key_of_a_run_file_stands_in_the_tables_once_and_no_other(document: str) -> None:
    told = [key for key, _ in stated(document)]
    assert set(keys()) - set(told) == set()
    assert set(told) - set(keys()) == set()
    assert len(told) == len(set(told))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_defaults_in_the_tables_are_those_of_the_code(document: str) -> None:
    told = {key: default_of(cell) for key, cell in stated(document)}
    assert told == {key: default_in_code(field) for key, field in keys().items()}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_shown_of_run_files_can_be_read(document: str) -> None:
    shown = toml_of(document)
    for part in shown:
        RunFile.model_validate({**tomllib.loads(REST), **part})
    RunFile.model_validate(shown[0])  # the shortest one is whole


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_table_of_backbones_is_that_of_the_code(document: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| `(?:stem|whole)`.*`(\w+)` \|$", read(document), re.MULTILINE)
    built = {name: build_backbone(name) for name in BACKBONES}
    assert {name: (int(side), int(channels), last) for name, side, channels, last in rows} == {
        name: (net.default_input_size_px, net.out_channels, list(net.stages())[-1]) for name, net in built.items()
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_of_a_run_and_every_column_of_its_tables_is_explained(document: str) -> None:
    told = set(IN_BACKTICKS.findall(read(document)))
    files = {
        getattr(RunFolder(Path()), name).name for name, made in vars(RunFolder).items() if isinstance(made, property)
    }
    assert files | {"steps.csv", "validation.csv"} <= told
    assert {*STEP_COLUMNS, *VALIDATION_COLUMNS} <= told


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_the_end_of_a_run_takes_is_what_the_code_asks_for(document: str) -> None:
    text = read(document)
    n_impostor = metrics.MIN_FALSE_MATCHES / max(operating_points.FMRS.values())
    for number in (quality_penalty.MIN_PEOPLE, calibration.MIN_PEOPLE):
        assert re.search(rf"(?<![\d,]){number}(?![\d,])", text)
    assert f"{n_impostor:,.0f}" in text


def test_both_languages_have_the_same_sections_tables_and_examples() -> None:
    english, chinese = map(read, DOCUMENTS)
    assert [key for key, _ in stated(ENGLISH)] == [key for key, _ in stated(CHINESE)]
    assert toml_of(ENGLISH) == toml_of(CHINESE)
    for pattern in (r"^(#+) ", r"^(```\w*)$", r"^(\|---.*)$", r"^(- \*\*)"):
        found = [re.findall(pattern, text, re.MULTILINE) for text in (english, chinese)]
        assert found[0] == found[1]
