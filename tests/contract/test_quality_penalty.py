"""What poor photos cost, and what becomes of them: the real client against the real service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from penalty_bundle import BLUR, RULE

from embedder import FaceEmbedder
from service.client import LowQualityError, from_problem

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

Photo = Callable[[str], bytes]


def test_a_verdict_on_two_blurred_photos_has_the_threshold_of_its_pair_and_the_reason(
    ask_penalty: Ask, soft: bytes, penalty_embedder: FaceEmbedder
) -> None:
    answer, direct = ask_penalty("verify", soft, soft), penalty_embedder.verify(soft, soft)
    assert answer.same is (answer.distance < answer.threshold)
    assert answer.threshold < answer.operating_point.threshold
    assert answer.threshold == pytest.approx(direct.threshold, abs=1e-5)
    assert answer.normalized_distance == pytest.approx(direct.normalized_distance, abs=1e-5)
    assert answer.threshold_reason == direct.threshold_reason
    told = answer.probe.quality.model_dump()
    assert told.pop("embedding_length") is None
    assert told.pop("covered") == pytest.approx(direct.probe.quality.covered, abs=1e-4)
    assert told.pop("covered_part") is direct.probe.quality.covered_part is None
    assert told == pytest.approx(asdict(direct.probe.quality) | asdict(direct.probe.grade), abs=1e-4)
    assert answer.quality == "refuse"


@pytest.mark.parametrize("role", ["probe", "reference"])
def test_a_photo_that_is_too_poor_says_in_what_and_by_how_much(
    ask_penalty: Ask, photo: Photo, blurred: bytes, role: str
) -> None:
    pair = {"probe": photo("001-neutral"), "reference": photo("001-neutral"), role: blurred}
    with pytest.raises(LowQualityError) as caught:
        ask_penalty("verify", pair["probe"], pair["reference"])
    error = caught.value
    assert (error.status, error.code, error.image, error.measure) == (422, "low_quality", role, "sharpness")
    assert error.value < error.limit == BLUR.min_value
    assert error.request_id


def test_ignoring_quality_answers_and_says_so(ask_penalty: Ask, photo: Photo, blurred: bytes) -> None:
    answer = ask_penalty("verify", photo("001-neutral"), blurred, quality="ignore")
    assert (answer.quality, answer.reference.quality.is_too_poor) == ("ignore", True)


def test_a_poor_reference_spoils_no_other_and_a_poor_probe_all(ask_penalty: Ask, photo: Photo, blurred: bytes) -> None:
    good, poor = ask_penalty("verify_many", photo("001-neutral"), [photo("001-smiling"), blurred]).results
    assert good.verdict.same
    error = from_problem(poor.problem)
    assert (type(error), error.image, error.measure) == (LowQualityError, "reference", "sharpness")
    with pytest.raises(LowQualityError) as caught:
        ask_penalty("verify_many", blurred, [photo("001-neutral")])
    assert caught.value.image == "probe"
    (answered,) = ask_penalty("verify_many", blurred, [photo("001-neutral")], quality="ignore").results
    assert answered.verdict.quality == "ignore"


def test_an_unknown_choice_of_quality_is_refused_before_anything_is_sent(ask_penalty: Ask) -> None:
    with pytest.raises(ValueError, match="quality='accept': Input should be 'refuse' or 'ignore'"):
        ask_penalty("verify", "no such photo", "nor this one", quality="accept")


def test_embeddings_of_poor_photos_are_given_and_compared_without_the_photos(
    ask_penalty: Ask, photo: Photo, blurred: bytes
) -> None:
    probe, reference = ask_penalty("embed", photo("001-neutral")), ask_penalty("embed", blurred)
    assert (probe.sample.quality.is_too_poor, reference.sample.quality.is_too_poor) == (False, True)
    compared = ask_penalty("compare", reference, [reference])
    (result,) = compared.results
    assert result.same is (result.distance < result.threshold)
    assert result.threshold == compared.operating_point.threshold
    assert "the quality of the photos is not known here" in result.threshold_reason


def test_the_model_says_what_poor_photos_cost(ask_penalty: Ask) -> None:
    told = ask_penalty("model").quality_penalties
    assert [each.model_dump() for each in told] == [
        each.model_dump() | {"values": list(each.values), "penalties": list(each.penalties)} for each in RULE
    ]
