"""Every route with real photos, in both forms a request may have."""

import base64

import numpy as np
import pytest
from odd_images import plain, two_faces
from starlette.testclient import TestClient

from embedder import FaceEmbedder, load
from service.app import create_app
from service.client import ModelResponse
from service.settings import Settings
from service.wire import CompareResponse, EmbeddingResponse, FacesResponse, VerifyManyResponse, VerifyResponse


def _pair(photos: dict[str, bytes], probe: str, reference: str) -> dict[str, bytes]:
    return {"probe": photos[probe], "reference": photos[reference]}


def test_two_photos_of_one_person_are_the_same(client: TestClient, photos: dict[str, bytes]) -> None:
    answer = client.post("/v1/verify", files=_pair(photos, "001-neutral", "001-smiling"))
    verdict = VerifyResponse.model_validate_json(answer.content)
    assert answer.status_code == 200
    assert verdict.same
    assert verdict.distance < verdict.threshold
    assert verdict.operating_point.name == "fmr-1e-3"
    assert verdict.prior == 0.5 < verdict.probability
    assert verdict.probe.n_faces is verdict.reference.n_faces is None
    assert verdict.timings_ms.total >= verdict.timings_ms.embed > 0


def test_photos_of_two_people_are_different(client: TestClient, photos: dict[str, bytes]) -> None:
    assert not client.post("/v1/verify", files=_pair(photos, "001-neutral", "005-neutral")).json()["same"]


def test_the_answer_over_http_is_that_of_the_embedder(
    client: TestClient, photos: dict[str, bytes], embedder: FaceEmbedder
) -> None:
    answer = client.post("/v1/verify", files=_pair(photos, "021-neutral", "041-neutral")).json()
    comparison = embedder.verify(photos["021-neutral"], photos["041-neutral"])
    assert answer["distance"] == pytest.approx(comparison.distance, abs=1e-6)
    assert answer["model"]["digest"] == embedder.identity.digest
    assert answer["probe"]["box"]["x"] == pytest.approx(comparison.probe.face.box.x)


def test_json_gets_the_same_answer_as_a_form(client: TestClient, photos: dict[str, bytes]) -> None:
    pair = _pair(photos, "001-neutral", "001-smiling")
    form = client.post("/v1/verify", files=pair).json()
    texts = {name: base64.b64encode(image).decode() for name, image in pair.items()}
    assert client.post("/v1/verify", json=texts).json()["distance"] == pytest.approx(form["distance"], abs=1e-6)


def test_json_takes_an_index_as_a_number_and_a_form_as_text(client: TestClient, photos: dict[str, bytes]) -> None:
    pair = _pair(photos, "001-neutral", "001-smiling")
    texts = {name: base64.b64encode(image).decode() for name, image in pair.items()}
    form = client.post("/v1/verify", files=pair, data={"face": "0", "probe_face": "only"}).json()
    answer = client.post("/v1/verify", json=texts | {"face": 0, "probe_face": "only"}).json()
    assert [(each["probe"]["choice"], each["reference"]["choice"]) for each in (form, answer)] == [("only", "0")] * 2


@pytest.mark.parametrize("face", ["at:1", "-1", "biggest", "1e2", ""])
def test_a_face_that_is_neither_rule_nor_place_is_refused_with_the_forms(
    client: TestClient, photos: dict[str, bytes], face: str
) -> None:
    pair = _pair(photos, "001-neutral", "001-smiling")
    texts = {name: base64.b64encode(image).decode() for name, image in pair.items()}
    asked = {"files": pair, "data": {"reference_face": face}}, {"json": texts | {"reference_face": face}}
    for each in asked:
        answer = client.post("/v1/verify", **each)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
        assert "reference_face: must be dominant, only, largest, center, at:x,y" in answer.json()["detail"]


@pytest.mark.parametrize("face", [True, -1, 1.5, ["0"], {"at": 1}])
def test_a_face_of_another_type_is_refused_in_json(client: TestClient, photos: dict[str, bytes], face: object) -> None:
    text = base64.b64encode(photos["001-neutral"]).decode()
    for path in ("/v1/embeddings", "/v1/maps"):
        answer = client.post(path, json={"image": text, "face": face})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


def test_a_threshold_of_the_callers_decides_and_no_point_is_named(client: TestClient, photos: dict[str, bytes]) -> None:
    pair = _pair(photos, "001-neutral", "001-smiling")
    strict = client.post("/v1/verify", files=pair, data={"threshold": "0.01"}).json()
    assert (strict["same"], strict["threshold"], strict["operating_point"]) == (False, 0.01, None)
    assert strict["threshold_reason"] == "The threshold was given by the caller."


def test_a_point_is_answered_with_its_threshold_rates_and_intervals(
    client: TestClient, photos: dict[str, bytes], embedder: FaceEmbedder
) -> None:
    pair = _pair(photos, "001-neutral", "001-smiling")
    answer = client.post("/v1/verify", files=pair, data={"operating_point": "fmr-1e-4", "prior": "0.01"}).json()
    (point,) = (point for point in embedder.card.operating_points if point.name == "fmr-1e-4")
    assert answer["operating_point"] == point.model_dump(mode="json")
    assert None not in answer["operating_point"].values()
    found = embedder.verify(*pair.values(), operating_point="fmr-1e-4", prior=0.01)
    assert answer["threshold"] == pytest.approx(found.threshold, abs=1e-5)
    assert (answer["threshold_reason"], answer["prior"]) == (found.threshold_reason, 0.01)
    assert answer["probability"] == pytest.approx(found.probability, abs=1e-4)
    assert answer["log_likelihood_ratio"] == pytest.approx(found.log_likelihood_ratio, abs=1e-3)


def test_a_point_stricter_than_all_is_refused_with_the_list_of_those_there_are(
    client: TestClient, photos: dict[str, bytes], embedder: FaceEmbedder
) -> None:
    pair = _pair(photos, "001-neutral", "001-smiling")
    answer = client.post("/v1/verify", files=pair, data={"operating_point": "fmr=1e-9"})
    names = [point.name for point in embedder.card.operating_points]
    assert (answer.status_code, answer.json()["code"]) == (422, "operating_point_unavailable")
    assert answer.json()["available"] == names
    assert all(name in answer.json()["detail"] for name in names)


def test_a_card_without_points_serves_requests_that_give_a_threshold(photos: dict[str, bytes]) -> None:
    bare = load(mirror=not load().card.architecture.mirror)
    assert bare.card.operating_points == ()
    with TestClient(create_app(Settings(), bare)) as client:
        pair = _pair(photos, "001-neutral", "001-smiling")
        refused = client.post("/v1/verify", files=pair)
        assert (refused.status_code, refused.json()["available"]) == (422, [])
        assert "set a threshold" in refused.json()["detail"]
        answer = VerifyResponse.model_validate_json(
            client.post("/v1/verify", files=pair, data={"threshold": "0.6"}).content
        )
        assert answer.same
        assert (answer.operating_point, answer.probability, answer.log_likelihood_ratio) == (None, None, None)
        assert ModelResponse.model_validate_json(client.get("/v1/model").content).default_point is None


def test_the_face_rule_is_obeyed_and_told(client: TestClient, photos: dict[str, bytes]) -> None:
    crowd = {"probe": two_faces(), "reference": photos["001-smiling"]}
    refused = client.post("/v1/verify", files=crowd)
    assert (refused.status_code, refused.json()["image"], refused.json()["n_faces"]) == (422, "probe", 2)
    answered = client.post("/v1/verify", files=crowd, data={"face": "largest"}).json()
    assert (answered["probe"]["choice"], answered["probe"]["n_faces"]) == ("largest", None)


def test_the_image_at_fault_is_named(client: TestClient, photos: dict[str, bytes]) -> None:
    answer = client.post("/v1/verify", files={"probe": photos["001-neutral"], "reference": b"no image"})
    assert (answer.json()["image"], answer.json()["code"]) == ("reference", "not_an_image")


def test_many_references_get_one_result_or_problem_each_in_order(client: TestClient, photos: dict[str, bytes]) -> None:
    names = ("001-smiling", None, "005-neutral")
    references = [("reference", b"no image" if name is None else photos[name]) for name in names]
    answer = client.post("/v1/verify/many", files=[("probe", photos["001-neutral"]), *references])
    first, second, third = answer.json()["results"]
    VerifyManyResponse.model_validate_json(answer.content)
    assert first["verdict"]["same"]
    assert second.keys() == {"problem"}
    assert (second["problem"]["code"], second["problem"]["status"]) == ("not_an_image", 415)
    assert third["verdict"] is not None
    assert not third["verdict"]["same"]


def test_a_threshold_of_the_callers_leaves_the_point_null_in_many(client: TestClient, photos: dict[str, bytes]) -> None:
    answer = client.post(
        "/v1/verify/many", files=_pair(photos, "001-neutral", "001-smiling"), data={"threshold": "0.5"}
    )
    assert answer.json()["results"][0]["verdict"]["operating_point"] is None


def test_a_point_and_a_prior_hold_for_each_of_many(client: TestClient, photos: dict[str, bytes]) -> None:
    references = [("reference", photos[name]) for name in ("001-smiling", "005-neutral")]
    asked = {"operating_point": "fmr=1e-4", "prior": "0.01"}
    answer = client.post("/v1/verify/many", files=[("probe", photos["001-neutral"]), *references], data=asked)
    verdicts = [result.verdict for result in VerifyManyResponse.model_validate_json(answer.content).results]
    assert {(verdict.operating_point.name, verdict.prior) for verdict in verdicts} == {("fmr-1e-4", 0.01)}
    assert verdicts[0].probability > verdicts[1].probability


def test_sixteen_references_are_taken(client: TestClient, photos: dict[str, bytes]) -> None:
    references = [("reference", photos["001-smiling"])] * 16
    answer = client.post("/v1/verify/many", files=[("probe", photos["001-neutral"]), *references])
    assert [result["verdict"]["same"] for result in answer.json()["results"]] == [True] * 16


def test_a_probe_at_fault_fails_the_whole_of_many(client: TestClient, photos: dict[str, bytes]) -> None:
    answer = client.post("/v1/verify/many", files={"probe": b"no image", "reference": photos["001-smiling"]})
    assert (answer.status_code, answer.json()["image"]) == (415, "probe")


def test_faces_are_found_largest_first(client: TestClient) -> None:
    answer = client.post("/v1/faces", files={"image": two_faces()})
    areas = [face.box.width * face.box.height for face in FacesResponse.model_validate_json(answer.content).faces]
    assert len(areas) == 2
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("number", [0.0, 1e-30, 0.1, 0.5 * 128**-0.5])
def test_an_embedding_of_a_length_that_the_model_cannot_make_is_refused(
    client: TestClient, embedder: FaceEmbedder, number: float
) -> None:
    """Zeros would be nearer to every face than the threshold, and so "same" with anybody."""
    good, bad = [128**-0.5] * 128, [number] * 128
    for probe, references, name in ((bad, [good], "probe"), (good, [good, bad], "references.1")):
        question = {"probe": probe, "references": references, "model_digest": embedder.identity.digest}
        answer = client.post("/v1/embeddings/compare", json=question)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
        assert answer.json()["detail"].startswith(f"{name} has the length ")


def test_no_face_is_an_empty_list_of_faces(client: TestClient) -> None:
    answer = client.post("/v1/faces", files={"image": plain()})
    assert (answer.status_code, answer.json()["faces"]) == (200, [])


def test_embeddings_of_one_person_compare_as_the_photos_do(client: TestClient, photos: dict[str, bytes]) -> None:
    names = ("001-neutral", "001-smiling", "005-neutral")
    answers = [client.post("/v1/embeddings", files={"image": photos[name]}) for name in names]
    embeddings = [EmbeddingResponse.model_validate_json(answer.content) for answer in answers]
    question = {
        "probe": embeddings[0].embedding,
        "references": [each.embedding for each in embeddings],
        "model_digest": embeddings[0].model.digest,
    }
    compared = CompareResponse.model_validate_json(client.post("/v1/embeddings/compare", json=question).content)
    assert [result.same for result in compared.results] == [True, True, False]
    assert compared.results[0].distance == 0
    of_photos = client.post("/v1/verify", files=_pair(photos, "001-neutral", "001-smiling")).json()
    assert compared.results[1].distance == pytest.approx(of_photos["distance"], abs=1e-5)
    assert compared.results[1].probability == pytest.approx(of_photos["probability"], abs=1e-3)


def test_a_point_and_a_prior_hold_for_embeddings(client: TestClient, embedder: FaceEmbedder) -> None:
    vector = [128**-0.5] * 128
    question = {"probe": vector, "references": [vector], "model_digest": embedder.identity.digest}
    answer = client.post("/v1/embeddings/compare", json={**question, "operating_point": "fmr-1e-5", "prior": 0.2})
    compared = CompareResponse.model_validate_json(answer.content)
    assert (compared.operating_point.name, compared.prior) == ("fmr-1e-5", 0.2)
    refused = client.post("/v1/embeddings/compare", json={**question, "operating_point": "fmr-1e-9"})
    assert refused.json()["code"] == "operating_point_unavailable"


def test_the_model_is_told_by_its_card_and_digests(client: TestClient, embedder: FaceEmbedder) -> None:
    told = client.get("/v1/model").json()
    assert ModelResponse.model_validate(told).name == told["name"]  # as the client reads it
    assert told.pop("card_digest") == embedder.identity.card_digest
    assert told.pop("precision") == "f32"
    assert told == embedder.card.model_dump(mode="json")
    assert any("live" in limit for limit in told["limits"])


def test_a_thousand_embeddings_are_compared(client: TestClient, embedder: FaceEmbedder) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(1001, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    question = {"probe": vectors[0].tolist(), "references": vectors[1:].tolist()}
    answer = client.post("/v1/embeddings/compare", json={**question, "model_digest": embedder.identity.digest})
    distances = [result["distance"] for result in answer.json()["results"]]
    np.testing.assert_allclose(distances, np.linalg.norm(vectors[1:] - vectors[0], axis=1), atol=1e-5)
