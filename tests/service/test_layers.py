"""GET /v1/layers and POST /v1/maps: the inside of the network that is served."""

import base64
import io
import json

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from embedder.explain import Explainer, draw_maps
from service import problems
from service.request_body import BodyReader
from service.request_context import RequestContextMiddleware
from service.request_execution import ConcurrencyLimiter, RequestExecutor
from service.routes import explain
from service.served_model import ServedModel
from service.wire import LayersResponse, MapsResponse
from visavis.cli.output import layer_record


def test_the_layers_are_those_that_the_command_describes(client: TestClient, embedder: FaceEmbedder) -> None:
    answer = client.get("/v1/layers").raise_for_status().json()
    told = LayersResponse.model_validate(answer)
    assert (told.total_macs, told.total_parameters, told.stored_parameters) == (574_138_880, 9_631_680, 9_642_880)
    assert answer["layers"] == json.loads(
        json.dumps([layer_record(layer) for layer in Explainer(embedder).describe().layers])
    )
    assert told.model.digest == embedder.identity.digest


def test_maps_come_as_a_picture_with_the_channels_in_its_order(
    client: TestClient, embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    photo = photos["001-neutral"]
    answer = client.post("/v1/maps", files={"image": photo}, data={"layer": "conv9"}).raise_for_status().json()
    told, made = MapsResponse.model_validate(answer), Explainer(embedder).maps(photo, layer="conv9")
    assert [(each.channel, each.peak, each.mean) for each in told.maps] == [
        (each.channel, each.peak, each.mean) for each in made.responses
    ]
    assert told.scale == made.scale
    assert told.picture == "data:image/png;base64," + base64.b64encode(draw_maps(made).png).decode()
    assert told.layer.notation == made.layer.notation
    assert told.sample.quality.eye_distance_px == made.chip.sample.quality.eye_distance_px


def test_the_picture_has_its_cells_where_the_answer_says(client: TestClient, photos: dict[str, bytes]) -> None:
    answer = client.post("/v1/maps", files={"image": photos["001-neutral"]}, data={"layer": "head"}).json()
    header, _, content = answer["picture"].partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert header == "data:image/png;base64"
    assert picture.size == (answer["columns"] * answer["cell_px"], 128 // answer["columns"] * answer["cell_px"])
    strongest = np.asarray(picture)[answer["cell_px"] // 2, answer["cell_px"] // 2, :3]
    end = answer["colors"][-1 if answer["maps"][0]["peak"] > 0 else 0]
    assert strongest.tolist() == [int(end[place : place + 2], 16) for place in (1, 3, 5)]


def test_json_is_answered_as_a_form_is(client: TestClient, photos: dict[str, bytes]) -> None:
    photo = photos["001-neutral"]
    form = client.post("/v1/maps", files={"image": photo}, data={"layer": "conv3", "face": "largest"}).json()
    body = {"image": base64.b64encode(photo).decode(), "layer": "conv3", "face": "largest"}
    by_json = client.post("/v1/maps", json=body).json()
    assert form | {"request_id": ""} == by_json | {"request_id": ""}


def test_without_a_layer_the_first_one_is_meant(client: TestClient, photos: dict[str, bytes]) -> None:
    assert client.post("/v1/maps", files={"image": photos["001-neutral"]}).json()["layer"]["name"] == "conv1"


def test_a_layer_that_is_not_there_is_answered_with_those_that_are(
    client: TestClient, photos: dict[str, bytes]
) -> None:
    refused = client.post("/v1/maps", files={"image": photos["001-neutral"]}, data={"layer": "conv99"})
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "unknown_layer")
    assert problem["available"] == [layer["name"] for layer in client.get("/v1/layers").json()["layers"]]


@pytest.mark.parametrize("layer", ["", "x" * 65, "<b>"])
def test_a_layer_of_any_other_name_is_refused_in_words(
    client: TestClient, photos: dict[str, bytes], layer: str
) -> None:
    refused = client.post("/v1/maps", files={"image": photos["001-neutral"]}, data={"layer": layer})
    assert refused.status_code in (400, 422)
    assert "layer" in refused.json()["detail"]


def test_a_photo_without_a_face_is_told_so(client: TestClient) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (200, 200), "grey").save(grey, "PNG")
    refused = client.post("/v1/maps", files={"image": grey.getvalue()})
    assert (refused.status_code, refused.json()["code"]) == (422, "no_face")


def test_what_does_not_belong_to_maps_is_refused(client: TestClient, photos: dict[str, bytes]) -> None:
    refused = client.post("/v1/maps", files={"image": photos["001-neutral"]}, data={"threshold": "0.5"})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_request")
    assert client.get("/v1/maps").status_code == 405


async def test_a_full_house_is_told_at_once(embedder: FaceEmbedder) -> None:
    limiter = ConcurrencyLimiter(max_concurrent=1, max_waiting=0)
    app = FastAPI()
    app.include_router(explain.router(RequestExecutor(ServedModel(embedder), BodyReader(1000, 1.0), limiter)))
    problems.install_exception_handlers(app)
    app.add_middleware(RequestContextMiddleware)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
        with limiter.slot():
            refused = [await client.get("/v1/layers"), await client.post("/v1/maps", files={"image": b"photo"})]
        assert [(each.status_code, each.json()["code"]) for each in refused] == [(503, "busy")] * 2
        assert (await client.get("/v1/layers")).status_code == 200
