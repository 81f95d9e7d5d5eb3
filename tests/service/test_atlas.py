"""GET /v1/atlas: what the channels of the served model go with."""

from starlette.testclient import TestClient

from embedder import load
from service.app import create_app
from service.settings import Settings


def test_the_atlas_of_the_default_model_tells_of_all_its_channels(client: TestClient) -> None:
    answer = client.get("/v1/atlas")
    assert answer.headers["content-type"] == "application/json"
    atlas = answer.json()
    assert atlas["model_digest"] == client.get("/v1/model").json()["digest"]
    assert [channel["channel"] for channel in atlas["channels"]] == list(range(128))
    assert {"sentence", "correlations", "histogram", "looks_at", "maximising"} <= set(atlas["channels"][0])


def test_the_sentences_of_an_explanation_are_those_of_the_atlas(client: TestClient, photos: dict[str, bytes]) -> None:
    files = {"probe": photos["001-neutral"], "reference": photos["005-neutral"]}
    explained = client.post("/v1/explain", files=files, data={"saliency": "false"}).json()
    sentences = [channel["sentence"] for channel in client.get("/v1/atlas").json()["channels"]]
    assert all(each["sentences"] == sentences[each["channel"]] for each in explained["channels"])


def test_a_model_that_no_atlas_was_made_of_has_none() -> None:
    with TestClient(create_app(Settings(), load(mirror=True))) as client:  # whose embeddings are others
        refused = client.get("/v1/atlas")
    assert refused.status_code == 404
    assert "visavis atlas makes one" in refused.json()["detail"]
