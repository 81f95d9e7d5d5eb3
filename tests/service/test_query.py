"""Options may stand in the query instead of the body; what is not documented is refused, on every route."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.request_parsing import (
    EMBEDDING,
    EXPLAIN,
    FACES,
    MAPS,
    MAX_QUERY_BYTES,
    VERIFY,
    VERIFY_MANY,
    RequestSpec,
)
from service.routes import pages
from service.wire import DecisionOptions, Message

COMPARE = "/v1/embeddings/compare"
SPECS: dict[str, RequestSpec[Any]] = {
    "/v1/verify": VERIFY,
    "/v1/verify/many": VERIFY_MANY,
    "/v1/faces": FACES,
    "/v1/embeddings": EMBEDDING,
    "/v1/maps": MAPS,
    "/v1/explain": EXPLAIN,
}
OPTIONS_OF: dict[str, type[Message]] = {path: spec.options_model for path, spec in SPECS.items()} | {
    COMPARE: DecisionOptions
}
# For each option a valid value that is not its default.
VALUES: dict[str, object] = {
    "face": "largest",
    "probe_face": "largest",
    "reference_face": "largest",
    "threshold": 0.4,
    "operating_point": "fmr-1e-2",
    "prior": 0.25,
    "quality": "ignore",
    "saliency": False,
    "layer": "conv9",
}
OPTIONS = [(path, name) for path, model in OPTIONS_OF.items() for name in model.model_fields]
FORM_OPTIONS = [(path, name) for path, name in OPTIONS if path != COMPARE]
OWN_KEYS = ("timings_ms", "request_id")  # differ from answer to answer


@dataclass(frozen=True)
class Asking:
    """Sends the same question in different ways."""

    client: TestClient
    images: Mapping[str, bytes]
    vectors: Mapping[str, object]

    def form(self, path: str, fields: Mapping[str, object], query: Mapping[str, object] = {}) -> Response:
        texts = {name: _text(value) for name, value in (_usual(path, query) | fields).items()}
        files = {name: self.images[name] for name in SPECS[path].images}
        return self.client.post(path, files=files, data=texts, params=_texts(query))

    def json(self, path: str, keys: Mapping[str, object], query: Mapping[str, object] = {}) -> Response:
        return self.client.post(path, json={**self._body(path), **_usual(path, query), **keys}, params=_texts(query))

    def _body(self, path: str) -> dict[str, object]:
        if path == COMPARE:
            return dict(self.vectors)
        encoded = {name: base64.b64encode(self.images[name]).decode() for name in SPECS[path].images}
        return encoded | ({"reference": [encoded["reference"]]} if path == "/v1/verify/many" else {})


def _usual(path: str, query: Mapping[str, object]) -> dict[str, object]:
    """The saliency maps take seconds."""
    return {"saliency": False} if path == "/v1/explain" and "saliency" not in query else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}


@pytest.fixture(scope="module")
def asking(client: TestClient, photos: dict[str, bytes], embedder: FaceEmbedder) -> Asking:
    probe, reference = photos["001-neutral"], photos["001-smiling"]
    vectors = [embedder.embed(image).vector.tolist() for image in (probe, reference)]
    return Asking(
        client,
        {"probe": probe, "reference": reference, "image": probe},
        {"probe": vectors[0], "references": vectors[1:], "model_digest": embedder.identity.digest},
    )


def _content(answer: Response) -> dict[str, object]:
    assert answer.status_code == 200, answer.text
    return {key: value for key, value in answer.json().items() if key not in OWN_KEYS}


def _refused(answer: Response) -> str:
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    return str(answer.json()["detail"])


@pytest.mark.parametrize(("path", "name"), OPTIONS)
def test_an_option_in_the_query_is_that_of_the_body(path: str, name: str, asking: Asking) -> None:
    option = {name: VALUES[name]}
    in_query = _content(asking.json(path, {}, option))
    assert in_query == _content(asking.json(path, option))
    if path != COMPARE:
        assert in_query == _content(asking.form(path, option)) == _content(asking.form(path, {}, option))


@pytest.mark.parametrize(("path", "name"), [pair for pair in OPTIONS if pair[1] != "saliency"])
def test_an_option_in_the_query_changes_the_answer(path: str, name: str, asking: Asking) -> None:
    assert _content(asking.json(path, {}, {name: VALUES[name]})) != _content(asking.json(path, {}))


@pytest.mark.parametrize(("path", "name"), OPTIONS)
def test_an_option_in_query_and_body_is_refused(path: str, name: str, asking: Asking) -> None:
    option = {name: VALUES[name]}
    detail = f"{name} was sent in the query and in the body; send it once"
    assert _refused(asking.json(path, option, option)) == detail
    if path != COMPARE:
        assert _refused(asking.form(path, option, option)) == detail


@pytest.mark.parametrize(("path", "name"), OPTIONS)
def test_a_value_in_the_query_is_checked_as_in_a_form(path: str, name: str, asking: Asking) -> None:
    too_long = {name: "x" * 100}
    if name == "operating_point":
        assert "at most 64" in _refused(asking.json(path, {}, too_long))
    elif path == COMPARE:
        assert name in _refused(asking.json(path, {}, too_long))
    else:
        assert _refused(asking.form(path, {}, too_long)) == _refused(asking.form(path, too_long))
        assert _refused(asking.json(path, {}, too_long)) == _refused(asking.form(path, too_long))


@pytest.mark.parametrize("path", [path for path in OPTIONS_OF if "threshold" in OPTIONS_OF[path].model_fields])
def test_a_threshold_in_the_query_and_a_point_in_the_body_are_refused(path: str, asking: Asking) -> None:
    answer = asking.json(path, {"operating_point": "fmr-1e-3"}, {"threshold": 0.5})
    assert _refused(answer) == "send threshold or operating_point, not both"


@pytest.mark.parametrize("path", [path for path in OPTIONS_OF if "threshold" in OPTIONS_OF[path].model_fields])
@pytest.mark.parametrize("name", ["threshold", "prior"])
def test_true_is_no_number(path: str, name: str, asking: Asking) -> None:
    assert _refused(asking.json(path, {name: True})) == f"{name}: must be a number, not true or false"


@pytest.mark.parametrize("path", OPTIONS_OF)
def test_an_unknown_name_is_refused_in_form_json_and_query(path: str, asking: Asking) -> None:
    for answer in (asking.json(path, {"fcae": "only"}), asking.json(path, {}, {"fcae": "only"})):
        assert "'fcae'" in _refused(answer)
    if path != COMPARE:
        assert "unknown part 'fcae'" in _refused(asking.form(path, {"fcae": "only"}))


def test_an_unknown_name_in_the_query_is_answered_with_the_one_meant(asking: Asking) -> None:
    detail = _refused(asking.form("/v1/verify", {}, {"treshold": 0.5}))
    assert "unknown query option 'treshold'; did you mean 'threshold'? the known names are: face, " in detail
    assert _refused(asking.form("/v1/faces", {}, {"face": "only"})).endswith("'face'; this address has none")


GETS = ["/healthz", "/readyz", "/v1/model", "/v1/layers", "/v1/atlas"]
PAGES = [
    getattr(route, "path", "").replace("/page/{name}", "/page/main.js").replace("/docs/{name}", "/docs/start.js")
    for route in pages.router(has_galleries=False).routes
]


@pytest.mark.parametrize("path", [*GETS, *PAGES])
def test_a_query_is_refused_where_none_is_documented(path: str, client: TestClient) -> None:
    assert client.get(path).status_code == client.get(path + "?").status_code == 200
    for query in ("nonsense=1", "nonsense", "face=only", "_=1"):
        assert "this address has none" in _refused(client.get(f"{path}?{query}"))


def test_the_routes_of_these_tests_are_those_of_the_description(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    # The routes of galleries have parameters in the path too: test_gallery_routes.py, test_gallery_photos.py.
    described = {path: methods for path, methods in paths.items() if not path.startswith("/v1/galleries/")}
    assert {path for path, methods in described.items() if "post" in methods} == set(OPTIONS_OF)
    assert {path for path, methods in described.items() if "get" in methods} == set(GETS)
    for path, model in OPTIONS_OF.items():
        parameters = described[path]["post"].get("parameters", [])
        assert [parameter["name"] for parameter in parameters] == list(model.model_fields)
        assert all(parameter["in"] == "query" and not parameter["required"] for parameter in parameters)
        assert all(parameter["description"] for parameter in parameters)
        assert all("default" not in parameter["schema"] for parameter in parameters)  # /docs would send it


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("face=only&face=only", "face was sent more than once in the query"),
        ("face=only&face=largest", "face was sent more than once in the query"),
        ("face", "face: must be dominant"),
        ("face=", "face: must be dominant"),
        ("x" * (MAX_QUERY_BYTES + 1), f"longer than {MAX_QUERY_BYTES} bytes"),
        ("&" * (MAX_QUERY_BYTES + 1), f"longer than {MAX_QUERY_BYTES} bytes"),
        ("%E2%80%AE=1", r"'\u202e'"),
        ("%ff=%ff", "unknown query option"),
        ("face%00=only", r"'face\x00'"),
        ("prior=nan", "prior"),
        ("probe=aGk=", "unknown query option 'probe'"),
    ],
)
def test_an_odd_query_is_refused_in_words(query: str, detail: str, asking: Asking) -> None:
    files = {name: asking.images[name] for name in ("probe", "reference")}
    assert detail in _refused(asking.client.post(f"/v1/verify?{query}", files=files))


def test_a_point_by_rate_needs_no_escape_in_the_query(asking: Asking) -> None:
    files = {name: asking.images[name] for name in ("probe", "reference")}
    answer = asking.client.post("/v1/verify?operating_point=fmr=1e-4&face=only", files=files).json()
    assert (answer["operating_point"]["name"], answer["probe"]["choice"]) == ("fmr-1e-4", "only")


def test_an_unknown_address_stays_unknown_and_a_wrong_method_wrong(client: TestClient) -> None:
    assert client.get("/nothing?face=only").status_code == 404
    assert client.get("/v1/verify?nonsense=1").status_code == 405


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("second", ["face", "\\u0066ace"])
def test_a_key_sent_twice_in_json_is_refused(second: str, client: TestClient, photos: dict[str, bytes]) -> None:
    image = base64.b64encode(photos["001-neutral"]).decode()
    body = f'{{"image": "{image}", "face": "only", "{second}": "largest"}}'
    answer = client.post("/v1/embeddings", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "face was sent more than once in the body; send it once"


def test_a_json_body_with_escaped_slashes_is_read(client: TestClient, photos: dict[str, bytes]) -> None:
    image = base64.b64encode(photos["001-neutral"]).decode().replace("/", "\\/")
    body = f'{{"image": "{image}", "face": "only"}}'
    assert client.post("/v1/faces", content=f'{{"image": "{image}"}}', headers=JSON).status_code == 200
    assert client.post("/v1/embeddings", content=body, headers=JSON).status_code == 200
