"""POST /v1/explain: what verify says, and why; refused as verify refuses."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from odd_images import blurred, plain, truncated_jpeg, two_faces
from PIL import Image
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from embedder.explain import Explainer
from embedder.explain.explanation import REGIONS
from service.app import create_app
from service.settings import Settings
from service.wire import ExplainResponse

OF_ONE_ANSWER = {"timings_ms", "request_id"}
REASONS = {"chips", "channels", "saliency"}


@pytest.fixture(scope="module")
def pair(photos: dict[str, bytes]) -> dict[str, bytes]:
    return {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}


@pytest.fixture(scope="module")
def answer(client: TestClient, pair: dict[str, bytes]) -> dict[str, Any]:
    return dict(client.post("/v1/explain", files=pair).raise_for_status().json())


def without(answer: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in names}


def test_all_that_verify_says_is_in_the_answer(
    client: TestClient, pair: dict[str, bytes], answer: dict[str, Any]
) -> None:
    verdict = client.post("/v1/verify", files=pair).json()
    assert without(answer, OF_ONE_ANSWER | REASONS) == without(verdict, OF_ONE_ANSWER)
    assert set(answer) - set(verdict) == REASONS


def test_the_reasons_are_those_of_the_embedder(
    answer: dict[str, Any], pair: dict[str, bytes], embedder: FaceEmbedder
) -> None:
    found, told = Explainer(embedder).explain(**pair), ExplainResponse.model_validate(answer)
    assert [(each.channel, each.share) for each in told.channels] == [
        (each.channel, each.share) for each in found.channels
    ]
    assert found.saliency is not None
    assert told.saliency is not None
    for one, other in (
        (told.saliency.probe, found.saliency.probe),
        (told.saliency.reference, found.saliency.reference),
    ):
        assert [(each.region, each.share, each.toward) for each in one.regions] == [
            (each.region, each.share, each.toward) for each in other.regions
        ]
        assert np.allclose(one.map, other.coarse, atol=6e-4)


def test_chips_are_as_large_as_the_card_says(dlib: FaceEmbedder, pair: dict[str, bytes]) -> None:
    with TestClient(create_app(Settings(), dlib)) as other:
        side = other.get("/v1/model").json()["alignment"]["chip_size_px"]
        told = other.post("/v1/explain", files=pair, data={"threshold": "0.9"}).raise_for_status().json()
    assert side == 150
    for face in ("probe", "reference"):
        picture = base64.b64decode(told["chips"][face]["picture"].partition(",")[2])
        assert Image.open(io.BytesIO(picture)).size == (side, side)
        assert np.shape(told["saliency"][face]["map"]) == (30, 30)


def test_shares_add_up_and_every_region_is_there(answer: dict[str, Any]) -> None:
    assert sum(each["share"] for each in answer["channels"]) == pytest.approx(1)
    assert len({each["channel"] for each in answer["channels"]}) == 128
    for face in answer["saliency"].values():
        assert {each["region"] for each in face["regions"]} == set(REGIONS)
        assert sum(each["share"] for each in face["regions"]) == pytest.approx(1)


@pytest.mark.parametrize("role", ["probe", "reference"])
def test_the_chips_are_pictures_of_what_the_network_saw(
    role: str, answer: dict[str, Any], pair: dict[str, bytes], embedder: FaceEmbedder
) -> None:
    header, _, content = answer["chips"][role]["picture"].partition(",")
    assert header == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content)), formats=["PNG"]) as picture:
        assert np.array_equal(np.asarray(picture), embedder.chip(pair[role]).pixels)
    wanted = embedder.card.alignment.points
    assert np.abs(np.subtract(answer["chips"][role]["landmarks"], wanted)).max() < 10  # no face is the card's exactly


@pytest.mark.parametrize("as_json", [True, False])
def test_without_saliency_the_rest_is_answered(
    *, as_json: bool, client: TestClient, pair: dict[str, bytes], answer: dict[str, Any]
) -> None:
    if as_json:
        body = {name: base64.b64encode(image).decode() for name, image in pair.items()} | {"saliency": False}
        quick = client.post("/v1/explain", json=body).json()
    else:
        quick = client.post("/v1/explain", files=pair, data={"saliency": "false"}).json()
    assert quick["saliency"] is None
    assert without(quick, OF_ONE_ANSWER | {"saliency"}) == without(answer, OF_ONE_ANSWER | {"saliency"})


def test_json_gets_the_answer_that_a_form_gets(
    client: TestClient, pair: dict[str, bytes], answer: dict[str, Any]
) -> None:
    body = {name: base64.b64encode(image).decode() for name, image in pair.items()}
    assert without(client.post("/v1/explain", json=body).json(), OF_ONE_ANSWER) == without(answer, OF_ONE_ANSWER)


@pytest.mark.parametrize("value", ["", "maybe", "2"])
def test_a_saliency_that_is_neither_yes_nor_no_is_refused_in_words(
    value: str, client: TestClient, pair: dict[str, bytes]
) -> None:
    refused = client.post("/v1/explain", files=pair, data={"saliency": value})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_request")
    assert refused.json()["detail"].startswith("saliency: ")


def test_verify_takes_no_saliency(client: TestClient, pair: dict[str, bytes]) -> None:
    refused = client.post("/v1/verify", files=pair, data={"saliency": "true"})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("role", ["probe", "reference"])
@pytest.mark.parametrize("image", [plain(), two_faces(), truncated_jpeg(), b"no image", b""], ids=len)
def test_a_photo_that_verify_refuses_is_refused_alike(
    role: str, image: bytes, client: TestClient, pair: dict[str, bytes]
) -> None:
    asked = pair | {role: image}
    by_verify, refused = (client.post(f"/v1/{route}", files=asked) for route in ("verify", "explain"))
    assert refused.status_code == by_verify.status_code >= 400
    assert without(refused.json(), {"instance", "request_id"}) == without(by_verify.json(), {"instance", "request_id"})


@pytest.mark.parametrize(
    "options",
    [{"threshold": "-1"}, {"prior": "1"}, {"operating_point": "fmr=1e-9"}, {"face": "first"}, {"layer": "conv1"}],
)
def test_an_option_that_verify_refuses_is_refused_alike(
    options: dict[str, str], client: TestClient, pair: dict[str, bytes]
) -> None:
    by_verify, refused = (client.post(f"/v1/{route}", files=pair, data=options) for route in ("verify", "explain"))
    assert refused.status_code == by_verify.status_code >= 400
    assert refused.json()["code"] == by_verify.json()["code"]


def test_a_photo_that_is_too_poor_is_refused_unless_quality_is_to_be_ignored(
    penalty_client: TestClient, photos: dict[str, bytes]
) -> None:
    pair = {"probe": photos["001-neutral"], "reference": blurred(8)}
    refused = penalty_client.post("/v1/explain", files=pair)
    assert (refused.status_code, refused.json()["code"], refused.json()["image"]) == (422, "low_quality", "reference")
    ignored = penalty_client.post("/v1/explain", files=pair, data={"quality": "ignore", "saliency": "false"})
    assert (ignored.status_code, ignored.json()["quality"]) == (200, "ignore")


def test_the_same_photo_twice_is_explained(client: TestClient, photos: dict[str, bytes]) -> None:
    found = client.post("/v1/explain", files=dict.fromkeys(("probe", "reference"), photos["001-neutral"])).json()
    assert found["distance"] == pytest.approx(0, abs=1e-6)
    assert sum(each["share"] for each in found["channels"]) == pytest.approx(0 if found["distance"] == 0 else 1)
    assert np.isfinite(found["saliency"]["probe"]["map"]).all()


def test_one_face_may_be_chosen_among_several(client: TestClient, photos: dict[str, bytes]) -> None:
    pair = {"probe": two_faces(), "reference": photos["001-neutral"]}
    found = client.post("/v1/explain", files=pair, data={"face": "largest", "saliency": "false"}).json()
    assert found["probe"]["choice"] == "largest"
