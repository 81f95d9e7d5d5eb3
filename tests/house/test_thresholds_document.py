"""docs/thresholds.md and both READMEs say of the built-in card's points what the card says, in either language."""

import re
from pathlib import Path

import pytest

from embedder import ModelCard, read_bundle

PROJECT = Path(__file__).resolve().parents[2]
THRESHOLDS = ("docs/thresholds.md", "docs/thresholds.zh-CN.md")
READMES = ("README.md", "README.zh-CN.md")
IN_CHINESE = {
    "LFW View 1, the people of DevTrain": "LFW View 1，DevTrain 的人",
    "celebrities, half of the people": "名人，一半的人",
    "London": "伦敦",
    "ORL": "ORL",
}


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_bundle().card


def read(document: str) -> str:
    return (PROJECT / document).read_text(encoding="utf-8")


def rows(document: str, name: str) -> list[str]:
    return [line for line in read(document).splitlines() if line.startswith(f"| `{name}`")]


def percentages(text: str) -> list[float]:
    return [float(number) / 100 for number in re.findall(r"([\d.]+)%", text)]


def numbers_in_tables(document: str) -> list[str]:
    lines = (line for line in read(document).splitlines() if line.startswith("|"))
    return [number for line in lines for number in re.findall(r"\d[\d.,]*%|\.\.\.", line)]


def in_words(population: str, document: str) -> str:
    return IN_CHINESE[population] if document.endswith(".zh-CN.md") else population


@pytest.mark.parametrize("document", THRESHOLDS)
def test_the_table_of_points_is_that_of_the_card(card: ModelCard, document: str) -> None:
    assert card.operating_points
    for point in card.operating_points:
        row = rows(document, point.name)[0]
        assert f"| {point.threshold:.4f} | {in_words(str(point.population), document)} |" in row
        assert point.fmr_interval is not None
        assert point.fnmr_interval is not None
        assert percentages(row) == pytest.approx([*point.fmr_interval, point.fnmr, *point.fnmr_interval], rel=0.06)


@pytest.mark.parametrize("document", THRESHOLDS)
def test_the_numbers_of_people_and_comparisons_are_those_of_the_card(card: ModelCard, document: str) -> None:
    text = read(document)
    assert card.calibration is not None
    for data in card.calibration.measured_on:
        assert f"| {in_words(data.name, document)} | {data.n_identities:,} | {data.n_images:,} |" in text
    for point in card.operating_points:
        assert f"{point.n_impostor:,}" in text
        assert f"{point.n_genuine:,}" in text


@pytest.mark.parametrize("document", [*THRESHOLDS, *READMES])
def test_the_documents_name_the_default_model_and_mark_its_default_point(card: ModelCard, document: str) -> None:
    assert f"`{card.name}`" in read(document)
    default = rows(document, str(card.default_point))[0]
    assert not default.startswith(f"| `{card.default_point}` |")  # marked as the default


@pytest.mark.parametrize("document", READMES)
def test_the_readme_states_the_cards_fnmr(card: ModelCard, document: str) -> None:
    for point in card.operating_points:
        (row,) = rows(document, point.name)
        assert percentages(row) == pytest.approx([point.fnmr], rel=0.06)


@pytest.mark.parametrize(("english", "chinese"), [THRESHOLDS, READMES])
def test_the_tables_have_the_same_numbers_in_both_languages(english: str, chinese: str) -> None:
    assert numbers_in_tables(english)
    assert numbers_in_tables(english) == numbers_in_tables(chinese)
