"""Every pair its own threshold, in the numbers of the JSON answers: of all example photos, and of any vectors."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_bundle import coefficients, write_own_bundle
from starlette.testclient import TestClient

from embedder import FaceEmbedder, load
from service.app import create_app
from service.settings import Settings

POINTS = ("fmr-1e-2", "fmr-1e-3", "fmr-1e-4")  # from loose to strict
# A float32 network may differ in the last bits from batch to batch.
CLOSE = {"rel": 1e-5, "abs": 1e-6}

Answer = dict[str, Any]
Vectors = st.lists(st.lists(st.floats(-0.25, 0.25, width=32), min_size=128, max_size=128), min_size=2, max_size=2)


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> FaceEmbedder:
    """A model whose card says of every face another place among strangers."""
    return load(write_own_bundle(tmp_path_factory.mktemp("varied") / "bundle", coefficients(seed=3)))


@pytest.fixture(scope="module")
def varied_client(varied: FaceEmbedder) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), varied)) as opened:
        yield opened


@pytest.fixture(scope="module")
def verdicts(varied_client: TestClient, photos: dict[str, bytes]) -> dict[tuple[str, str], Answer]:
    """Of every photo against every photo, both ways."""
    found = {}
    for name, probe in photos.items():
        parts = [("probe", probe), *(("reference", reference) for reference in photos.values())]
        answer = varied_client.post("/v1/verify/many", files=parts).json()
        found |= {(name, other): each["verdict"] for other, each in zip(photos, answer["results"], strict=True)}
    return found


def test_same_is_exactly_distance_below_threshold(verdicts: dict[tuple[str, str], Answer]) -> None:
    assert len(verdicts) == 64
    assert all(found["same"] is (found["distance"] < found["threshold"]) for found in verdicts.values())
    assert {found["same"] for found in verdicts.values()} == {True, False}


def test_the_normalised_distance_says_the_same(verdicts: dict[tuple[str, str], Answer]) -> None:
    for found in verdicts.values():
        assert found["same"] is (found["normalized_distance"] < found["operating_point"]["threshold"])


def test_pairs_have_thresholds_of_their_own_and_say_why(verdicts: dict[tuple[str, str], Answer]) -> None:
    assert len({found["threshold"] for found in verdicts.values()}) > 20
    for found in verdicts.values():
        assert found["threshold"] != found["operating_point"]["threshold"]
        assert found["threshold_reason"].startswith("Usually 1.139; ")


def test_verification_is_symmetric(verdicts: dict[tuple[str, str], Answer]) -> None:
    for (probe, reference), there in verdicts.items():
        back = verdicts[reference, probe]
        for key in ("distance", "threshold", "normalized_distance"):
            assert there[key] == pytest.approx(back[key], **CLOSE), key
        assert there["same"] is back["same"]


def test_one_alone_is_judged_as_among_many(
    verdicts: dict[tuple[str, str], Answer], varied_client: TestClient, photos: dict[str, bytes]
) -> None:
    pair = {"probe": photos["001-neutral"], "reference": photos["021-smiling"]}
    alone, among_many = varied_client.post("/v1/verify", files=pair).json(), verdicts["001-neutral", "021-smiling"]
    for key in ("distance", "threshold", "normalized_distance", "log_likelihood_ratio"):
        assert alone[key] == pytest.approx(among_many[key], **CLOSE), key
    assert alone["threshold_reason"] == among_many["threshold_reason"]


def test_a_stricter_point_has_a_smaller_threshold_for_every_pair(
    varied_client: TestClient, photos: dict[str, bytes]
) -> None:
    parts = [("probe", photos["001-neutral"]), *(("reference", each) for each in photos.values())]
    answers = [varied_client.post("/v1/verify/many", files=parts, data={"operating_point": name}) for name in POINTS]
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
def test_embeddings_are_judged_by_the_same_rules(
    varied_client: TestClient, varied: FaceEmbedder, vectors: list[list[float]], point: str
) -> None:
    digest = varied.identity.digest
    there = _compared(varied_client, *vectors, digest, operating_point=point)
    back = _compared(varied_client, *vectors[::-1], digest, operating_point=point)
    assert there["same"] is (there["distance"] < there["threshold"])
    assert [there[key] for key in ("same", "distance")] == [back[key] for key in ("same", "distance")]
    assert there["threshold"] == pytest.approx(back["threshold"], rel=1e-9)
    assert "photos are not known here" in there["threshold_reason"]


@given(vectors=Vectors, one=st.sampled_from(POINTS), other=st.sampled_from(POINTS))
@settings(max_examples=50)
def test_a_stricter_point_never_accepts_more(
    varied_client: TestClient, varied: FaceEmbedder, vectors: list[list[float]], one: str, other: str
) -> None:
    loose, strict = sorted((one, other), key=POINTS.index)
    digest = varied.identity.digest
    accepted = [_compared(varied_client, *vectors, digest, operating_point=name)["same"] for name in (loose, strict)]
    assert accepted != [False, True]


def test_a_threshold_of_the_callers_own_holds_for_every_pair(
    varied_client: TestClient, photos: dict[str, bytes]
) -> None:
    parts = [("probe", photos["001-neutral"]), *(("reference", each) for each in photos.values())]
    answer = varied_client.post("/v1/verify/many", files=parts, data={"threshold": "0.5"}).json()
    found = [result["verdict"] for result in answer["results"]]
    assert {(each["threshold"], each["operating_point"]) for each in found} == {(0.5, None)}
    assert {each["threshold_reason"] for each in found} == {"The threshold was given by the caller."}
    assert all(each["normalized_distance"] is not None for each in found)


def test_a_card_without_own_thresholds_has_one_for_all_pairs_and_says_so(
    client: TestClient, photos: dict[str, bytes]
) -> None:
    for reference in ("001-smiling", "005-neutral"):
        pair = {"probe": photos["001-neutral"], "reference": photos[reference]}
        found = client.post("/v1/verify", files=pair).json()
        assert found["threshold"] == found["operating_point"]["threshold"] > 0
        assert found["threshold_reason"].startswith("This model has one threshold for all pairs")
        assert found["normalized_distance"] is None


def test_the_model_tells_its_own_thresholds(varied_client: TestClient, varied: FaceEmbedder) -> None:
    told = varied_client.get("/v1/model").json()
    assert (told.pop("card_digest"), told.pop("precision")) == (varied.identity.card_digest, "f32")
    assert told == varied.card.model_dump(mode="json")
    assert [point["threshold"] for point in told["own_threshold"]["operating_points"]] == [-1.5, -3.7, -6.0]
