"""POST /v1/embeddings: one face as ever; every face, or several images, in one request."""

import base64
from pathlib import Path

import numpy as np
import pytest
from odd_images import plain, two_faces
from starlette.testclient import TestClient

from embedder import FaceEmbedder, pipeline
from service.wire import EmbedAllResponse, EmbeddingResponse

PATH = "/v1/embeddings"
KEYS_OF_A_FACE = {"image", "box", "landmarks", "score", "rotation", "quality", "embedding"}
KEYS_OF_A_SAMPLE = {"box", "landmarks", "score", "rotation", "choice", "n_faces", "quality"}


def _files(*images: bytes) -> list[tuple[str, bytes]]:
    return [("image", image) for image in images]


def _text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def test_every_face_of_a_group_is_that_of_faces_and_of_one_request_each(
    client: TestClient, data: Path, embedder: FaceEmbedder
) -> None:
    image = (data / "groups" / "2008_004176.jpg").read_bytes()
    answer = client.post(PATH, files=_files(image), data={"face": "all"})
    found = EmbedAllResponse.model_validate_json(answer.content)
    faces = client.post("/v1/faces", files=_files(image)).json()["faces"]
    assert len(faces) == len(found.faces) > 5
    for index, (face, each) in enumerate(zip(faces, answer.json()["faces"], strict=True)):
        assert each.keys() == KEYS_OF_A_FACE
        assert {key: each[key] for key in face} == face
        alone = client.post(PATH, files=_files(image), data={"face": str(index)}).json()
        assert np.abs(np.subtract(each["embedding"], alone["embedding"])).max() <= 1e-5
        assert each["quality"] == alone["sample"]["quality"]
    assert found.problems == []
    assert found.model.digest == embedder.identity.digest
    assert found.timings_ms.total >= found.timings_ms.embed > 0
    assert found.request_id == answer.headers["x-request-id"]


def test_one_image_with_a_rule_gets_the_answer_of_one_face(client: TestClient, photos: dict[str, bytes]) -> None:
    image = photos["001-neutral"]
    for answer in (client.post(PATH, files=_files(image)), client.post(PATH, json={"image": [_text(image)]})):
        EmbeddingResponse.model_validate_json(answer.content)
        assert answer.json().keys() == {"embedding", "sample", "model", "timings_ms", "request_id"}
        assert answer.json()["sample"].keys() == KEYS_OF_A_SAMPLE
        assert answer.json()["sample"]["n_faces"] is None


def test_several_images_get_one_entry_a_face_in_their_order_in_both_forms(
    client: TestClient, photos: dict[str, bytes]
) -> None:
    images = [two_faces(), photos["001-neutral"], plain(), two_faces()]
    form = client.post(PATH, files=_files(*images), data={"face": "all"}).json()
    text = client.post(PATH, json={"image": [_text(image) for image in images], "face": "all"}).json()
    assert [face["image"] for face in form["faces"]] == [0, 0, 1, 3, 3]
    assert (form["faces"], form["problems"]) == (text["faces"], text["problems"])
    areas = [face["box"]["width"] * face["box"]["height"] for face in form["faces"]]
    assert areas[0] >= areas[1]
    assert form["problems"] == []


def test_a_rule_selects_one_face_of_each_of_several_images(client: TestClient, photos: dict[str, bytes]) -> None:
    answer = client.post(PATH, files=_files(two_faces(), photos["001-neutral"]), data={"face": "largest"}).json()
    assert [face["image"] for face in answer["faces"]] == [0, 1]
    alone = client.post(PATH, files=_files(photos["001-neutral"]), data={"face": "largest"}).json()
    assert np.abs(np.subtract(answer["faces"][1]["embedding"], alone["embedding"])).max() <= 1e-5


def test_an_unusable_image_among_others_gets_a_problem_with_its_place(
    client: TestClient, photos: dict[str, bytes]
) -> None:
    images = [b"no image", photos["001-neutral"], two_faces(), plain()]
    answer = client.post(PATH, files=_files(*images))
    assert answer.status_code == 200
    assert [face["image"] for face in answer.json()["faces"]] == [1]
    told = [(each["image"], each["code"], each["status"]) for each in answer.json()["problems"]]
    assert told == [(0, "not_an_image", 415), (2, "several_faces", 422), (3, "no_face", 422)]
    assert answer.json()["problems"][1]["n_faces"] == 2
    assert all(None not in each.values() for each in answer.json()["problems"])
    nothing = client.post(PATH, files=_files(b"no image", b"none either"), data={"face": "all"})
    assert (nothing.status_code, nothing.json()["faces"], len(nothing.json()["problems"])) == (200, [], 2)


@pytest.mark.parametrize("face", ["dominant", "all"])
def test_a_lone_unusable_image_is_refused(face: str, client: TestClient) -> None:
    answer = client.post(PATH, files=_files(b"no image"), data={"face": face})
    assert (answer.status_code, answer.json()["code"]) == (415, "not_an_image")


def test_a_lone_image_without_a_face_has_no_entry_with_all(client: TestClient) -> None:
    answer = client.post(PATH, files=_files(plain()), data={"face": "all"})
    assert (answer.status_code, answer.json()["faces"], answer.json()["problems"]) == (200, [], [])
    assert client.post(PATH, files=_files(plain())).json()["code"] == "no_face"


def test_too_many_faces_are_refused_in_words(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MAX_FACES", 1)
    answer = client.post(PATH, files=_files(two_faces()), data={"face": "all"})
    assert (answer.status_code, answer.json()["code"], answer.json()["n_faces"]) == (422, "too_many_faces", 2)
    assert "more than the 1 that one request embeds" in answer.json()["detail"]


def test_seventeen_images_are_refused_in_both_forms(client: TestClient) -> None:
    form = client.post(PATH, files=_files(*[plain()] * 17), data={"face": "all"})
    text = client.post(PATH, json={"image": [_text(plain())] * 17, "face": "all"})
    assert [answer.json()["code"] for answer in (form, text)] == ["malformed_request"] * 2
    assert "image was sent more than 16 times" in form.json()["detail"]
    assert "16" in text.json()["detail"]
    sixteen = client.post(PATH, files=_files(*[plain()] * 16), data={"face": "all"})
    assert sixteen.status_code == 200


@pytest.mark.parametrize("image", [[], 1, None, {"a": "b"}, [""], [1], ""])
def test_json_needs_an_image_or_a_list_of_them(image: object, client: TestClient) -> None:
    answer = client.post(PATH, json={"image": image})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert "image" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/verify", "/v1/verify/many", "/v1/explain", "/v1/maps"])
def test_where_one_face_is_needed_all_is_refused_with_where_it_belongs(
    path: str, client: TestClient, photos: dict[str, bytes]
) -> None:
    names = ("image",) if path == "/v1/maps" else ("probe", "reference")
    answer = client.post(path, files=dict.fromkeys(names, photos["001-neutral"]), data={"face": "all"})
    assert answer.status_code == 400
    assert "face: all is for POST /v1/embeddings and identify, which return every face; here" in answer.json()["detail"]


def test_an_unknown_rule_is_told_that_all_is_one(client: TestClient) -> None:
    answer = client.post(PATH, files=_files(plain()), data={"face": "every"})
    assert answer.json()["detail"].startswith("face: must be all, dominant, only")
