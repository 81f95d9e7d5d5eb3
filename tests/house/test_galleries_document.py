"""docs/galleries.md says how large a gallery may be by the built-in card, and names commands that exist."""

import re
import sys
from pathlib import Path

import pytest

from embedder import ModelCard, read_bundle
from visavis.cli.gallery import gallery

PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tools"))

from gallery_sizes import FPIRS, SIZES, table  # noqa: E402 - the path must be there first


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_bundle().card


@pytest.fixture(scope="module")
def document() -> str:
    return (PROJECT / "docs" / "galleries.md").read_text(encoding="utf-8")


def test_the_table_is_the_one_that_the_tool_prints(card: ModelCard, document: str) -> None:
    assert "\n".join(table(card)) in document


def test_a_cell_is_a_claim_or_its_refusal(card: ModelCard) -> None:
    """By the card's strictest point: n comparisons with its FMR give the strictest FPIR that can be claimed."""
    strictest = min(point.fmr for point in card.operating_points if point.fmr is not None)
    _, _, *rows, largest = table(card)
    for n, row in zip(SIZES, rows, strict=True):
        carried = [cell.strip() != "refused" for cell in row.split("|")[2:-1]]
        assert carried == [1 - (1 - strictest) ** n <= fpir * (1 + 1e-9) for fpir in FPIRS]
    for cell, fpir in zip(largest.split("|")[2:-1], FPIRS, strict=True):
        n = int(cell.split()[0].replace(",", ""))
        assert 1 - (1 - strictest) ** n <= fpir * (1 + 1e-9) < 1 - (1 - strictest) ** (n + 1)


def test_every_command_that_it_names_exists_with_its_options(document: str) -> None:
    named = re.findall(r"visavis gallery ([a-z]+)([^`\n|>#]*)", document)
    assert {name for name, _ in named} >= {"create", "enrol", "identify", "forget", "expire", "erase", "migrate"}
    for name, rest in named:
        options = {option for each in gallery.commands[name].params for option in each.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options
