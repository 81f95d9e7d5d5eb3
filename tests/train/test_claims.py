"""What the built-in card claims, held against people of whom no threshold was chosen."""

from pathlib import Path

import pytest

from embedder import FaceEmbedder
from train.evaluation.evaluation import Setting, embed_and_compare, evaluate
from train.evaluation.protocols.folders import people_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.record import ClaimCheck, Evaluation


@pytest.fixture(scope="module")
def devtest(data: Path, embedder: FaceEmbedder) -> Evaluation:
    """All against all over the people of View 1 DevTest, none of whom is in DevTrain."""
    view1 = data / "lfw-view1"
    setting = Setting(embedder, "center")
    people = people_of(read_lfw(view1 / "pairsDevTest.txt", view1 / "lfw"))
    return evaluate(embed_and_compare(people, setting), setting).found


def claim(found: Evaluation, name: str) -> ClaimCheck:
    return next(each for each in found.claims if each.point.name == name)


@pytest.mark.parametrize("name", ["fmr-1e-2", "fmr-1e-3", "fmr-1e-4"])
def test_the_claimed_and_the_measured_fmr_overlap(devtest: Evaluation, name: str) -> None:
    assert devtest.figures.n_impostor > 1_000_000
    assert claim(devtest, name).holds is True


@pytest.mark.parametrize("name", ["fmr-1e-2", "fmr-1e-3"])
def test_the_measured_fmr_is_at_most_half_as_much_again_as_the_claimed_one(devtest: Evaluation, name: str) -> None:
    found = claim(devtest, name)
    assert found.fmr.value is not None
    assert found.point.fmr is not None
    assert found.fmr.value <= 1.5 * found.point.fmr


def test_the_probability_means_what_it_says(devtest: Evaluation) -> None:
    assert devtest.evidence is not None
    assert devtest.evidence.ece <= 0.02
    assert (devtest.evidence.cllr.value or 1) < 0.1
