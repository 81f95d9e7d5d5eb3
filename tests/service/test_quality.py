"""How good photos are, and what is done about those that are too poor."""

import base64
from dataclasses import asdict
from typing import Any

import pytest
from odd_images import blurred
from penalty_bundle import BLUR
from starlette.testclient import TestClient

from embedder import MEASURES, FaceEmbedder
from service.wire import EmbeddingResponse, Problem, VerifyManyResponse, VerifyResponse

SLIGHTLY_PX, BADLY_PX = 4, 8  # standard deviation of a blur that costs something, and of one that is too much


@pytest.fixture(scope="module")
def poor() -> bytes:
    return blurred(BADLY_PX)


def as_form(client: TestClient, path: str, images: dict[str, list[bytes]], **options: str) -> Any:
    parts = [(name, image) for name, several in images.items() for image in several]
    return client.post(path, files=parts, data=options)


def as_json(client: TestClient, path: str, images: dict[str, list[bytes]], **options: str) -> Any:
    texts = {name: [base64.b64encode(image).decode() for image in several] for name, several in images.items()}
    is_list = {"reference"} if path.endswith("many") else set()
    body = {name: several if name in is_list else several[0] for name, several in texts.items()}
    return client.post(path, json=body | options)


both_forms = pytest.mark.parametrize("ask", [as_form, as_json])


@both_forms
@pytest.mark.parametrize("role", ["probe", "reference"])
def test_a_photo_that_is_too_poor_is_refused_with_the_measure_and_by_how_much(
    ask: Any, role: str, penalty_client: TestClient, photos: dict[str, bytes], poor: bytes
) -> None:
    pair = {"probe": [photos["001-neutral"]], "reference": [photos["001-neutral"]]} | {role: [poor]}
    answer = ask(penalty_client, "/v1/verify", pair)
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.status, problem.code) == (422, 422, "low_quality")
    assert (problem.image, problem.measure) == (role, "sharpness")
    assert 0 < problem.value < problem.limit == BLUR.min_value
    assert "sharper" in problem.detail
    assert "quality=ignore" in problem.detail


@both_forms
def test_ignoring_quality_answers_and_says_so(
    ask: Any, penalty_client: TestClient, photos: dict[str, bytes], poor: bytes
) -> None:
    pair = {"probe": [photos["001-neutral"]], "reference": [poor]}
    answer = ask(penalty_client, "/v1/verify", pair, quality="ignore")
    found = VerifyResponse.model_validate_json(answer.content)
    assert (answer.status_code, found.quality) == (200, "ignore")
    assert (found.probe.quality.is_too_poor, found.reference.quality.is_too_poor) == (False, True)
    good = ask(penalty_client, "/v1/verify", pair | {"reference": pair["probe"]}).json()
    assert good["quality"] == "refuse"


@both_forms
def test_a_poor_reference_among_many_leaves_its_problem_in_its_place(
    ask: Any, penalty_client: TestClient, photos: dict[str, bytes], poor: bytes
) -> None:
    images = {"probe": [photos["001-neutral"]], "reference": [photos["001-smiling"], poor, photos["005-neutral"]]}
    answer = VerifyManyResponse.model_validate_json(ask(penalty_client, "/v1/verify/many", images).content)
    first, second, third = answer.results
    assert (first.verdict.same, third.verdict.same) == (True, False)
    assert (second.problem.code, second.problem.image, second.problem.measure) == (
        "low_quality",
        "reference",
        "sharpness",
    )
    ignoring = ask(penalty_client, "/v1/verify/many", images, quality="ignore").json()["results"]
    assert [each["verdict"]["quality"] for each in ignoring] == ["ignore"] * 3


@both_forms
def test_a_poor_probe_of_many_fails_the_whole_request(
    ask: Any, penalty_client: TestClient, photos: dict[str, bytes], poor: bytes
) -> None:
    answer = ask(penalty_client, "/v1/verify/many", {"probe": [poor], "reference": [photos["001-neutral"]]})
    assert (answer.status_code, answer.json()["code"], answer.json()["image"]) == (422, "low_quality", "probe")


def test_a_blurred_photo_costs_something_beside_another_one_alone(
    penalty_client: TestClient, photos: dict[str, bytes]
) -> None:
    soft = blurred(SLIGHTLY_PX)
    one, both = (
        as_form(penalty_client, "/v1/verify", {"probe": [soft], "reference": [reference]}).json()
        for reference in (photos["001-smiling"], soft)
    )
    assert both["threshold"] < one["threshold"] == one["operating_point"]["threshold"]
    assert one["probe"]["quality"]["penalty"] > one["reference"]["quality"]["penalty"] == 0
    assert "both photos are blurred (sharpness" in both["threshold_reason"]


@pytest.mark.parametrize("value", ["", "Refuse", "true", "high"])
@both_forms
def test_what_is_no_choice_is_refused_with_those_there_are(
    ask: Any, value: str, penalty_client: TestClient, photos: dict[str, bytes]
) -> None:
    images = {"probe": [photos["001-neutral"]], "reference": [photos["001-smiling"]]}
    answer = ask(penalty_client, "/v1/verify", images, quality=value)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert answer.json()["detail"] == "quality: input should be 'refuse' or 'ignore'"


def test_an_embedding_of_a_poor_photo_is_given_with_its_quality(
    penalty_client: TestClient, penalty_embedder: FaceEmbedder, poor: bytes
) -> None:
    answer = penalty_client.post("/v1/embeddings", files={"image": poor})
    told = EmbeddingResponse.model_validate_json(answer.content).sample.quality
    sample = penalty_embedder.embed(poor).sample
    assert told.model_dump(include=set(MEASURES)) == asdict(sample.quality)
    assert told.penalty == pytest.approx(sample.grade.penalty, abs=1e-5)
    assert told.is_too_poor is True


def test_faces_of_a_poor_photo_are_found_all_the_same(penalty_client: TestClient, poor: bytes) -> None:
    assert len(penalty_client.post("/v1/faces", files={"image": poor}).json()["faces"]) == 1


def test_without_a_rule_quality_is_told_and_nothing_is_refused(
    bare_client: TestClient, photos: dict[str, bytes], poor: bytes
) -> None:
    answer = bare_client.post("/v1/verify", files={"probe": photos["001-neutral"], "reference": poor})
    found = VerifyResponse.model_validate_json(answer.content)
    assert found.quality == "refuse"
    told = found.reference.quality
    assert (told.penalty, told.is_too_poor) == (None, None)
    assert 0 < told.sharpness < found.probe.quality.sharpness
