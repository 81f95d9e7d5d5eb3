"""What poor photos cost, in the numbers of the JSON answers: of sharp and blurred photos, and of any vectors."""

from math import hypot
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from odd_images import blurred
from starlette.testclient import TestClient

from embedder import FaceEmbedder

POINTS = ("fmr-1e-2", "fmr-1e-3", "fmr-1e-4")  # from loose to strict
SOFT_PX = 4  # standard deviation of a blur that costs something
# A float32 network may differ in the last bits from batch to batch.
CLOSE = {"rel": 1e-5, "abs": 1e-6}

Answer = dict[str, Any]
Vectors = st.lists(
    st.lists(st.floats(-0.25, 0.25, width=32), min_size=128, max_size=128)
    .filter(lambda vector: hypot(*vector) > 0.01)
    .map(lambda vector: [each / hypot(*vector) for each in vector]),
    min_size=2,
    max_size=2,
)


@pytest.fixture(scope="module")
def some(photos: dict[str, bytes]) -> dict[str, bytes]:
    """Two people, sharp and blurred."""
    return {"soft-001": blurred(SOFT_PX), "soft-002": blurred(SOFT_PX + 1), **photos}


@pytest.fixture(scope="module")
def verdicts(penalty_client: TestClient, some: dict[str, bytes]) -> dict[tuple[str, str], Answer]:
    """Of every photo against every photo, both ways."""
    found = {}
    for name, probe in some.items():
        parts = [("probe", probe), *(("reference", reference) for reference in some.values())]
        answer = penalty_client.post("/v1/verify/many", files=parts).json()
        found |= {(name, other): each["verdict"] for other, each in zip(some, answer["results"], strict=True)}
    return found


def test_same_is_exactly_distance_below_threshold(verdicts: dict[tuple[str, str], Answer]) -> None:
    assert len(verdicts) == 100
    assert all(found["same"] is (found["distance"] < found["threshold"]) for found in verdicts.values())
    assert {found["same"] for found in verdicts.values()} == {True, False}


def test_the_normalised_distance_says_the_same(verdicts: dict[tuple[str, str], Answer]) -> None:
    for found in verdicts.values():
        assert found["same"] is (found["normalized_distance"] < found["operating_point"]["threshold"])


def test_only_pairs_of_two_blurred_photos_have_a_lower_threshold_and_say_why(
    verdicts: dict[tuple[str, str], Answer],
) -> None:
    for names, found in verdicts.items():
        penalty = min(found[role]["quality"]["penalty"] for role in ("probe", "reference"))
        assert (penalty > 0) is all(name.startswith("soft") for name in names)
        assert found["threshold"] == pytest.approx(found["operating_point"]["threshold"] - penalty)
        assert ("because both photos are blurred (sharpness" in found["threshold_reason"]) is (penalty > 0)


def test_verification_is_symmetric(verdicts: dict[tuple[str, str], Answer]) -> None:
    for (probe, reference), there in verdicts.items():
        back = verdicts[reference, probe]
        for key in ("distance", "threshold", "normalized_distance"):
            assert there[key] == pytest.approx(back[key], **CLOSE), key
        assert there["same"] is back["same"]


def test_one_alone_is_judged_as_among_many(
    verdicts: dict[tuple[str, str], Answer], penalty_client: TestClient, some: dict[str, bytes]
) -> None:
    pair = {"probe": some["soft-001"], "reference": some["soft-002"]}
    alone, among_many = penalty_client.post("/v1/verify", files=pair).json(), verdicts["soft-001", "soft-002"]
    for key in ("distance", "threshold", "normalized_distance", "log_likelihood_ratio"):
        assert alone[key] == pytest.approx(among_many[key], rel=1e-4, abs=1e-6), key
    assert alone["threshold_reason"] == among_many["threshold_reason"]


def test_a_stricter_point_has_a_smaller_threshold_for_every_pair(
    penalty_client: TestClient, some: dict[str, bytes]
) -> None:
    parts = [("probe", some["soft-001"]), *(("reference", each) for each in some.values())]
    answers = [penalty_client.post("/v1/verify/many", files=parts, data={"operating_point": name}) for name in POINTS]
    for results in zip(*(answer.json()["results"] for answer in answers), strict=True):
        thresholds = [result["verdict"]["threshold"] for result in results]
        assert thresholds == sorted(thresholds, reverse=True)


def _compared(client: TestClient, probe: list[float], reference: list[float], digest: str, **more: str) -> Answer:
    asked = {"probe": probe, "references": [reference], "model_digest": digest, **more}
    answer = client.post("/v1/embeddings/compare", json=asked)
    assert answer.status_code == 200
    return dict(answer.json()["results"][0])


@given(vectors=Vectors, point=st.sampled_from(POINTS))
@settings(max_examples=50)
def test_embeddings_are_judged_without_a_penalty(
    penalty_client: TestClient, penalty_embedder: FaceEmbedder, vectors: list[list[float]], point: str
) -> None:
    digest = penalty_embedder.identity.digest
    there = _compared(penalty_client, *vectors, digest, operating_point=point)
    back = _compared(penalty_client, *vectors[::-1], digest, operating_point=point)
    assert there == back
    assert there["same"] is (there["distance"] < there["threshold"])
    assert there["normalized_distance"] == there["distance"]
    assert "the quality of the photos is not known here" in there["threshold_reason"]


def test_a_threshold_of_the_callers_own_holds_for_every_pair(
    penalty_client: TestClient, some: dict[str, bytes]
) -> None:
    parts = [("probe", some["soft-001"]), *(("reference", each) for each in some.values())]
    answer = penalty_client.post("/v1/verify/many", files=parts, data={"threshold": "0.5"}).json()
    found = [result["verdict"] for result in answer["results"]]
    assert {(each["threshold"], each["operating_point"]) for each in found} == {(0.5, None)}
    assert {each["threshold_reason"] for each in found} == {"The threshold was given by the caller."}
    assert found[0]["normalized_distance"] > found[0]["distance"]


def test_a_card_without_a_penalty_has_one_threshold_for_all_pairs_and_says_so(
    bare_client: TestClient, some: dict[str, bytes]
) -> None:
    for reference in ("soft-002", "005-neutral"):
        pair = {"probe": some["soft-001"], "reference": some[reference]}
        found = bare_client.post("/v1/verify", files=pair).json()
        assert found["threshold"] == found["operating_point"]["threshold"] > 0
        assert "for all pairs; this model has no penalty for poor photos" in found["threshold_reason"]
        assert found["normalized_distance"] is None


def test_the_model_tells_what_poor_photos_cost(
    penalty_client: TestClient, penalty_embedder: FaceEmbedder, bare_client: TestClient
) -> None:
    told = penalty_client.get("/v1/model").json()
    assert (told.pop("card_digest"), told.pop("precision")) == (penalty_embedder.identity.card_digest, "f32")
    assert told == penalty_embedder.card.model_dump(mode="json")
    assert [each["measure"] for each in told["quality_penalties"]] == ["sharpness", "eye_distance_px"]
    assert "quality_penalties" not in bare_client.get("/v1/model").json()
