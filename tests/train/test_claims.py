"""What the built-in card claims, held against people of whom no threshold was chosen."""

from dataclasses import replace
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
    setting = Setting(embedder, "center", scores="own")
    people = people_of(read_lfw(view1 / "pairsDevTest.txt", view1 / "lfw"))
    return evaluate(embed_and_compare(people, setting), setting).found


def claim(found: Evaluation, name: str, scores: str) -> ClaimCheck:
    claims = (*found.claims, *found.other_claims)
    return next(each for each in claims if (each.point.name, each.scores) == (name, scores))


@pytest.mark.parametrize("scores", ["own", "plain"])
@pytest.mark.parametrize("name", ["fmr-1e-2", "fmr-1e-3", "fmr-1e-4"])
def test_the_claimed_and_the_measured_fmr_overlap(devtest: Evaluation, name: str, scores: str) -> None:
    assert devtest.figures.n_impostor > 1_000_000
    assert claim(devtest, name, scores).holds is True


@pytest.mark.parametrize("scores", ["own", "plain"])
@pytest.mark.parametrize("name", ["fmr-1e-2", "fmr-1e-3"])
def test_the_measured_fmr_is_at_most_half_as_much_again_as_the_claimed_one(
    devtest: Evaluation, name: str, scores: str
) -> None:
    found = claim(devtest, name, scores)
    assert found.fmr.value is not None
    assert found.point.fmr is not None
    assert found.fmr.value <= 1.5 * found.point.fmr


def test_the_probability_means_what_it_says(devtest: Evaluation) -> None:
    assert devtest.evidence is not None
    assert devtest.evidence.ece <= 0.02
    assert (devtest.evidence.cllr.value or 1) < 0.1


def test_own_thresholds_lose_fewer_genuine_pairs_than_one_for_all(devtest: Evaluation) -> None:
    for name in ("fmr-1e-3", "fmr-1e-4"):
        own, plain = (claim(devtest, name, scores).fnmr.value for scores in ("own", "plain"))
        assert (own or 1) < (plain or 0)


@pytest.mark.parametrize("degradation", ["blur3", "jpeg10"])
def test_in_poor_pictures_the_fmr_is_at_most_twice_what_is_claimed(
    data: Path, embedder: FaceEmbedder, degradation: str
) -> None:
    view1 = data / "lfw-view1"
    people = people_of(read_lfw(view1 / "pairsDevTest.txt", view1 / "lfw"))
    photos = tuple(replace(photo, degradation=degradation) for photo in people.photos[::3])
    setting = Setting(embedder, "center", scores="own")
    found = evaluate(embed_and_compare(replace(people, photos=photos), setting), setting).found
    assert (claim(found, "fmr-1e-2", "own").fmr.value or 1) <= 0.02
    assert (claim(found, "fmr-1e-2", "plain").fmr.value or 0) > 0.025
