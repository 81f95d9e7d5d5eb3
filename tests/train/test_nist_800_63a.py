"""A model beside NIST SP 800-63A: FMR at most 1 in 10,000 with FNMR at most 1 in 100, both with their intervals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder import FaceEmbedder
from train.evaluation.bootstrap import Resampling
from train.evaluation.compared import ComparedPhotos
from train.evaluation.evaluation import EvaluationConfig, evaluate_compared
from train.evaluation.nist_800_63a import MAX_FMR, MAX_FNMR, beside_standard, verdict_of
from train.evaluation.output import evaluation_record
from train.evaluation.report import write_report
from train.evaluation.results import Estimate, Evaluation
from train.evaluation.text import evaluation_text

from .conftest import made_up_people

FEW = "too few comparisons to say"


def found_of(compared: ComparedPhotos, embedder: FaceEmbedder) -> Evaluation:
    return evaluate_compared(compared, EvaluationConfig(embedder, "largest", resampling=Resampling(200, 0)), 0.6).found


def impostors_and_genuine(compared: ComparedPhotos) -> tuple[np.ndarray, np.ndarray]:
    vectors, people = compared.embedded.vectors.astype(float), compared.protocol.identities
    first, second = np.triu_indices(len(vectors), 1)
    distances = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    same = people[first] == people[second]
    return np.sort(distances[~same]), distances[same]


@pytest.fixture(scope="module")
def good() -> ComparedPhotos:
    """People far from each other: no genuine pair is lost, however strict the FMR."""
    return made_up_people(250, 3)


@pytest.fixture(scope="module")
def blurred() -> ComparedPhotos:
    return made_up_people(200, 3, spread=0.1)


def test_the_fnmr_is_that_at_the_loosest_threshold_with_such_an_fmr(
    blurred: ComparedPhotos, embedder: FaceEmbedder
) -> None:
    impostor, genuine = impostors_and_genuine(blurred)
    threshold = impostor[int(len(impostor) * 1e-4)]
    here = beside_standard(found_of(blurred, embedder)).here
    assert here.threshold == pytest.approx(threshold, abs=1e-5)
    assert here.fmr.value == pytest.approx((impostor < here.threshold).mean(), rel=1e-9)
    assert here.fnmr.value == pytest.approx((genuine >= here.threshold).mean(), rel=1e-9)
    assert here.fnmr.interval is not None
    assert MAX_FNMR < here.fnmr.interval[0] <= here.fnmr.value <= here.fnmr.interval[1]
    assert here.verdict == "does not meet"


def test_at_the_cards_point_both_rates_are_measured(blurred: ComparedPhotos, embedder: FaceEmbedder) -> None:
    impostor, genuine = impostors_and_genuine(blurred)
    (point,) = (each for each in embedder.card.operating_points if each.name == "fmr-1e-4")
    of_card = beside_standard(found_of(blurred, embedder)).of_card
    assert of_card is not None
    assert of_card.threshold == point.threshold
    assert of_card.fmr.value == pytest.approx((impostor < point.threshold).mean(), abs=1e-9)
    assert of_card.fnmr.value == pytest.approx((genuine >= point.threshold).mean(), rel=1e-9)


def test_no_error_among_enough_people_meets_it_and_among_fewer_cannot_be_told(
    good: ComparedPhotos, embedder: FaceEmbedder
) -> None:
    """None in n has an interval up to 1 - 0.025 ** (1 / n): at most 1% from 368 people on."""
    few = beside_standard(found_of(good, embedder)).here
    assert (few.fnmr.value, few.verdict) == (0, "cannot be told")
    many = beside_standard(found_of(made_up_people(370, 2), embedder)).here
    assert many.fnmr.interval == pytest.approx((0, 1 - 0.025 ** (1 / 370)))
    assert (many.fnmr.value, many.verdict) == (0, "meets")


def test_fewer_than_ten_false_matches_at_such_an_fmr_are_too_few(embedder: FaceEmbedder) -> None:
    found = beside_standard(found_of(made_up_people(60, 3), embedder))
    assert (found.here.threshold, found.here.fnmr.value, found.here.verdict) == (None, None, FEW)
    assert found.of_card is not None
    assert found.of_card.fnmr.value is not None


def rate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, (low, high))


LOW_FMR, OVER_FMR, HIGH_FMR = rate(5e-5, 2e-5, 9e-5), rate(1e-4, 7e-5, 2e-4), rate(3e-4, 2e-4, 4e-4)
LOW_FNMR, OVER_FNMR, HIGH_FNMR = rate(0.005, 0.002, 0.01), rate(0.01, 0.005, 0.02), rate(0.03, 0.011, 0.05)
UNKNOWN = Estimate(0.001, None)


@pytest.mark.parametrize(
    ("fmr", "fnmr", "is_enough", "verdict"),
    [
        (LOW_FMR, LOW_FNMR, True, "meets"),
        (OVER_FMR, LOW_FNMR, True, "cannot be told"),
        (LOW_FMR, OVER_FNMR, True, "cannot be told"),
        (HIGH_FMR, LOW_FNMR, True, "does not meet"),
        (LOW_FMR, HIGH_FNMR, True, "does not meet"),
        (OVER_FMR, HIGH_FNMR, True, "does not meet"),
        (LOW_FMR, LOW_FNMR, False, FEW),
        (OVER_FMR, OVER_FNMR, False, FEW),
        (UNKNOWN, HIGH_FNMR, False, "does not meet"),
        (UNKNOWN, LOW_FNMR, True, FEW),
        (LOW_FMR, UNKNOWN, True, FEW),
    ],
)
def test_two_intervals_make_a_verdict(fmr: Estimate, fnmr: Estimate, is_enough: bool, verdict: str) -> None:  # noqa: FBT001 - a row of the table
    assert verdict_of([(fmr, MAX_FMR), (fnmr, MAX_FNMR)], is_enough=is_enough) == verdict


def test_text_json_and_report_say_the_same(blurred: ComparedPhotos, embedder: FaceEmbedder, tmp_path: Path) -> None:
    found = found_of(blurred, embedder)
    beside, told = beside_standard(found), json.loads(json.dumps(evaluation_record(found)))["standard"]
    assert (told["name"], told["fmr_at_most"], told["fnmr_at_most"]) == ("NIST SP 800-63A", 1e-4, 0.01)
    assert told["here"]["threshold"] == beside.here.threshold
    assert told["here"]["fnmr"] == {"value": beside.here.fnmr.value, "interval": list(beside.here.fnmr.interval or ())}
    assert (told["here"]["verdict"], told["operating_point"]["name"]) == ("does not meet", "fmr-1e-4")
    asked = "NIST SP 800-63A requires FMR at most 0.01% with FNMR at most 1%"
    at = f"at {beside.here.threshold:.5g}, the loosest threshold with this FMR here: FNMR "
    write_report(tmp_path, found, lambda _: np.zeros((150, 150, 3), np.uint8), "visavis")
    for text in (evaluation_text(found), (tmp_path / "report.html").read_text(encoding="utf-8")):
        assert asked in text
        (line,) = (each for each in text.splitlines() if at in each)
        assert ": does not meet" in line


def test_a_card_without_such_a_point_is_judged_by_the_photos_alone(
    blurred: ComparedPhotos, embedder: FaceEmbedder
) -> None:
    found = found_of(blurred, embedder)
    bare = replace(found, claims=())
    assert beside_standard(bare).of_card is None
    assert evaluation_record(bare)["standard"]["operating_point"] is None
    assert beside_standard(bare).here == beside_standard(found).here
    assert "at the card's fmr-1e-4" not in evaluation_text(bare)
