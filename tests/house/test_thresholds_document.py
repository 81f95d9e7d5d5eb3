"""docs/thresholds.md and both READMEs say of the built-in card's points what the card says, in either language."""

import re
from pathlib import Path

import pytest

from embedder import FaceEmbedder

PROJECT = Path(__file__).resolve().parents[2]
THRESHOLDS = ("docs/thresholds.md", "docs/thresholds.zh-CN.md")
READMES = ("README.md", "README.zh-CN.md")


def rows(document: str, name: str) -> list[str]:
    lines = (PROJECT / document).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(f"| `{name}`")]


def percentages(text: str) -> list[float]:
    return [float(number) / 100 for number in re.findall(r"([\d.]+)%", text)]


@pytest.mark.parametrize("document", THRESHOLDS)
def test_the_table_of_points_is_that_of_the_card(embedder: FaceEmbedder, document: str) -> None:
    own = embedder.card.own_threshold
    assert own is not None
    for point in own.operating_points:
        row = rows(document, point.name)[0]
        assert f"| {own.usual_threshold(point.threshold):.3f} |" in row
        assert point.fmr_interval is not None
        assert point.fnmr_interval is not None
        assert percentages(row) == pytest.approx([*point.fmr_interval, point.fnmr, *point.fnmr_interval], rel=0.06)


@pytest.mark.parametrize("document", THRESHOLDS)
def test_the_numbers_of_people_and_comparisons_are_those_of_the_card(embedder: FaceEmbedder, document: str) -> None:
    text = (PROJECT / document).read_text(encoding="utf-8")
    calibration, point = embedder.card.calibration, embedder.card.operating_points[0]
    assert calibration is not None
    for number in (calibration.data.n_identities, calibration.data.n_images, point.n_impostor, point.n_genuine):
        assert f"{number:,}" in text


@pytest.mark.parametrize("document", READMES)
def test_the_readme_states_the_cards_fnmr_and_default(embedder: FaceEmbedder, document: str) -> None:
    for point in embedder.card.points("own"):
        (row,) = rows(document, point.name)
        assert percentages(row) == pytest.approx([point.fnmr], rel=0.06)
    (default,) = rows(document, str(embedder.card.default_point))
    assert not default.startswith(f"| `{embedder.card.default_point}` |")  # marked as the default
