"""Ready means: the model has answered a real inference in this process."""

from pathlib import Path

import numpy as np
import pytest
from live_service import until
from starlette.testclient import TestClient

from embedder import BUILT_IN, FaceEmbedder, load, read_bundle
from service.app import create_app
from service.errors import NotReady
from service.routes.health import Readiness, ReadinessState, first_inference
from service.served_model import ServedModel
from service.settings import Settings


class Broken:
    """An embedder whose network gives no numbers."""

    bundle = read_bundle(BUILT_IN)
    card = bundle.card

    def detect(self, _: bytes) -> list[object]:
        return []

    def embed_chips(self, chips: np.ndarray) -> np.ndarray:
        return np.full((len(chips), 128), np.nan, np.float32)


def test_the_service_is_alive_but_not_ready_before_its_first_inference(embedder: FaceEmbedder) -> None:
    client = TestClient(create_app(Settings(), embedder))  # not entered: its start does not run
    assert client.get("/healthz").json() == {"status": "ok"}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_ready", "1")


def test_the_service_is_ready_after_its_first_inference_and_says_so_once(embedder: FaceEmbedder) -> None:
    told: list[bool] = []
    with TestClient(create_app(Settings(), embedder, on_ready=lambda: told.append(True))) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json() == {"status": "ready"}
    assert told == [True]


async def test_a_failed_first_inference_is_never_ready(caplog: pytest.LogCaptureFixture) -> None:
    told: list[bool] = []
    readiness = Readiness(ServedModel(Broken()), on_ready=lambda: told.append(True))
    await readiness.find_out()
    assert readiness.state is ReadinessState.FAILED
    with pytest.raises(NotReady, match="first inference failed"):
        readiness.check()
    assert told == []
    assert "first inference failed" in caplog.text


def test_the_first_inference_of_the_real_model_passes(embedder: FaceEmbedder) -> None:
    first_inference(embedder)


def test_the_first_inference_of_a_model_with_chips_of_another_size_passes(small_chips: Path) -> None:
    first_inference(load(small_chips))
