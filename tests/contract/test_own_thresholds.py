"""Thresholds of the pair's own, and what becomes of poor photos: the real client against the real service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from embedder import FaceEmbedder
from service.client import LowQualityError, from_problem

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

Photo = Callable[[str], bytes]


def test_a_verdict_has_the_threshold_of_its_pair_and_the_reason(
    ask_own: Ask, photo: Photo, own_embedder: FaceEmbedder
) -> None:
    pair = photo("001-neutral"), photo("001-smiling")
    answer, direct = ask_own("verify", *pair), own_embedder.verify(*pair)
    assert answer.same is (answer.distance < answer.threshold)
    assert answer.threshold == pytest.approx(direct.threshold, abs=1e-5)
    assert answer.normalized_distance == pytest.approx(direct.normalized_distance, abs=1e-3)
    assert answer.threshold_reason == direct.threshold_reason
    assert answer.probe.quality.model_dump() == pytest.approx(
        asdict(direct.probe.quality) | asdict(direct.probe.grade), abs=1e-4
    )
    assert answer.quality == "refuse"


@pytest.mark.parametrize("role", ["probe", "reference"])
def test_a_photo_that_is_too_poor_says_in_what_and_by_how_much(
    ask_own: Ask, photo: Photo, blurred: bytes, role: str
) -> None:
    pair = {"probe": photo("001-neutral"), "reference": photo("001-neutral"), role: blurred}
    with pytest.raises(LowQualityError) as caught:
        ask_own("verify", pair["probe"], pair["reference"])
    error = caught.value
    assert (error.status, error.code, error.image, error.measure) == (422, "low_quality", role, "sharpness")
    assert error.value < error.limit
    assert error.request_id


def test_ignoring_quality_answers_and_says_so(ask_own: Ask, photo: Photo, blurred: bytes) -> None:
    answer = ask_own("verify", photo("001-neutral"), blurred, quality="ignore")
    assert (answer.quality, answer.reference.quality.is_too_poor) == ("ignore", True)
    assert "blur in the reference" in answer.threshold_reason


def test_a_poor_reference_spoils_no_other_and_a_poor_probe_all(ask_own: Ask, photo: Photo, blurred: bytes) -> None:
    good, poor = ask_own("verify_many", photo("001-neutral"), [photo("001-smiling"), blurred]).results
    assert good.verdict.same
    error = from_problem(poor.problem)
    assert (type(error), error.image, error.measure) == (LowQualityError, "reference", "sharpness")
    with pytest.raises(LowQualityError) as caught:
        ask_own("verify_many", blurred, [photo("001-neutral")])
    assert caught.value.image == "probe"
    (answered,) = ask_own("verify_many", blurred, [photo("001-neutral")], quality="ignore").results
    assert answered.verdict.quality == "ignore"


def test_an_unknown_choice_of_quality_is_refused_before_anything_is_sent(ask_own: Ask) -> None:
    with pytest.raises(ValueError, match="quality is one of refuse, ignore"):
        ask_own("verify", "no such photo", "nor this one", quality="accept")


def test_embeddings_of_poor_photos_are_given_and_compared_without_the_photos(
    ask_own: Ask, photo: Photo, blurred: bytes
) -> None:
    probe, reference = ask_own("embed", photo("001-neutral")), ask_own("embed", blurred)
    assert (probe.sample.quality.is_too_poor, reference.sample.quality.is_too_poor) == (False, True)
    (result,) = ask_own("compare", probe, [reference]).results
    assert result.same is (result.distance < result.threshold)
    assert "photos are not known here" in result.threshold_reason


def test_the_model_says_what_gives_every_pair_its_own_threshold(ask_own: Ask, own_embedder: FaceEmbedder) -> None:
    told, own = ask_own("model").own_threshold, own_embedder.card.own_threshold
    assert [point.model_dump() for point in told.operating_points] == [
        point.model_dump() for point in own.operating_points
    ]
    assert (told.usual_mean, told.usual_spread, told.quality.floor) == (
        own.usual_mean,
        own.usual_spread,
        own.quality.floor,
    )
    assert [curve.measure for curve in told.quality.curves] == [curve.measure for curve in own.quality.curves]
    assert told.log_likelihood_ratio.slope == own.log_likelihood_ratio.slope
