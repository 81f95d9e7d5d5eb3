"""A service in int8: it says so, and refuses embeddings that were made in another precision."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from embedder import FaceEmbedder, RuntimeOptions, load
from service.app import create_app
from service.client import ModelResponse
from service.settings import Settings, SettingsError, load_settings


@pytest.fixture(scope="module")
def int8_client() -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), load(running=RuntimeOptions(precision="int8")))) as opened:
        yield opened


def embedded(client: TestClient, photo: Path) -> dict[str, object]:
    answer: dict[str, object] = client.post("/v1/embeddings", files={"image": photo.read_bytes()}).json()
    return answer


def question(answer: dict[str, object]) -> dict[str, object]:
    digest = answer["model"]["digest"]  # type: ignore[index] # JSON
    return {
        "probe": answer["embedding"],
        "references": [answer["embedding"]],
        "model_digest": digest,
        "threshold": 1.0,
    }


@pytest.mark.parametrize(
    ("made", "asked", "words"),
    [
        ("f32", "int8", "but in f32, and this computes in int8"),
        ("int8", "f32", "but in int8, and this computes in f32"),
    ],
)
def test_embeddings_of_another_precision_get_a_409_that_names_both(
    client: TestClient, int8_client: TestClient, examples: Path, made: str, asked: str, words: str
) -> None:
    clients = {"f32": client, "int8": int8_client}
    given = question(embedded(clients[made], examples / "001-neutral.jpg"))
    assert clients[made].post("/v1/embeddings/compare", json=given).status_code == 200
    refused = clients[asked].post("/v1/embeddings/compare", json=given)
    assert (refused.status_code, refused.json()["code"]) == (409, "digest_mismatch")
    assert words in refused.json()["detail"]


def test_the_model_is_told_with_its_precision_and_the_digest_of_its_embeddings(
    int8_client: TestClient, embedder: FaceEmbedder, examples: Path
) -> None:
    told = ModelResponse.model_validate_json(int8_client.get("/v1/model").content)
    answered = embedded(int8_client, examples / "001-neutral.jpg")["model"]
    assert told.precision == "int8"
    assert answered == {"name": told.name, "digest": told.digest, "card_digest": told.card_digest}
    assert told.digest != embedder.card.digest


def test_the_setting_takes_int8_and_nothing_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_PRECISION", "int8")
    assert load_settings().precision == "int8"
    with pytest.raises(SettingsError, match="VISAVIS_PRECISION"):
        load_settings(precision="int4")
