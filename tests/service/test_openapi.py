"""The API's description is whole: bodies, examples that fit, every problem, and no reference into nothing."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from embedder import MEASURES, Grade
from service import gallery_openapi, openapi, wire
from service.wire import Problem

POSTS = (
    "/v1/verify",
    "/v1/verify/many",
    "/v1/faces",
    "/v1/embeddings",
    "/v1/maps",
    "/v1/explain",
    "/v1/embeddings/compare",
)
PERSON = "/v1/galleries/{gallery}/people/{person}"
UPLOADS = ("/v1/galleries/{gallery}/identify", f"{PERSON}/photos", f"{PERSON}/verify")
OF_GALLERIES = {
    "/v1/galleries/{gallery}": {"put", "get", "delete"},
    "/v1/galleries/{gallery}/people": {"get"},
    PERSON: {"put", "get", "delete"},
    f"{PERSON}/templates/{{template}}": {"delete"},
    **{path: {"post"} for path in UPLOADS},
}
GETS = ("/v1/model", "/v1/layers", "/v1/atlas", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def described(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


def test_every_route_is_described_and_nothing_else(described: dict[str, Any]) -> None:
    of_path = {path: set(methods) for path, methods in described["paths"].items()}
    assert of_path == {**{path: {"post"} for path in POSTS}, **{path: {"get"} for path in GETS}, **OF_GALLERIES}


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert "Problem" in names
    assert names <= set(described["components"]["schemas"])
    assert "#/$defs/" not in json.dumps(described)


@pytest.mark.parametrize("path", OF_GALLERIES)
def test_the_names_and_problems_of_a_gallery_are_described(path: str, described: dict[str, Any]) -> None:
    for method, operation in described["paths"][path].items():
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        good = {"200", "201"} if method == "put" else {"200"}
        assert good < set(operation["responses"])
        assert {"400", "401", "403", "404", "429", "500", "503"} <= set(operation["responses"])
        examples = operation["responses"]["404"]["content"]["application/problem+json"]["examples"]
        assert {"galleries_off", "no_such_gallery"} <= set(examples)


@pytest.mark.parametrize("path", POSTS)
def test_every_status_of_a_route_is_described_as_a_problem(path: str, described: dict[str, Any]) -> None:
    answers = described["paths"][path]["post"]["responses"]
    assert {"200", "400", "401", "403", "408", "413", "415", "421", "429", "500", "503"} <= set(answers)
    problems = {status: answer["content"] for status, answer in answers.items() if status != "200"}
    assert all(set(content) == {"application/problem+json"} for content in problems.values())


def test_the_headers_to_come_back_with_are_described(described: dict[str, Any]) -> None:
    """The version of a gallery or a person, and when to ask again."""
    gallery, person = "/v1/galleries/{gallery}", "/v1/galleries/{gallery}/people/{person}"
    with_version = {(path, method) for path in (gallery, person) for method in ("put", "get")}
    with_version.add((f"{person}/photos", "post"))
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            headers = {status: set(answer.get("headers", {})) for status, answer in operation["responses"].items()}
            good = [named for status, named in headers.items() if status in ("200", "201", "304")]
            assert good
            assert all(named == ({"ETag"} if (path, method) in with_version else set()) for named in good)
            assert all(headers[status] == {"Retry-After"} for status in headers if status in ("429", "503"))


def test_the_key_is_described_where_one_may_be_needed(described: dict[str, Any]) -> None:
    (name,) = described["components"]["securitySchemes"]
    assert described["components"]["securitySchemes"][name]["scheme"] == "bearer"
    operations = [(path, each) for path, methods in described["paths"].items() for each in methods.values()]
    of_path = {path: operation.get("security") for path, operation in operations}
    public = {path for path, security in of_path.items() if security is None}
    assert public == {"/healthz", "/readyz"}
    assert all(security == [{}, {name: []}] for path, security in of_path.items() if path not in public)


@pytest.mark.parametrize("path", [path for path in POSTS if path not in ("/v1/embeddings/compare", "/v1/faces")])
def test_the_problems_of_faces_are_described(path: str, described: dict[str, Any]) -> None:
    content = described["paths"][path]["post"]["responses"]["422"]["content"]["application/problem+json"]
    of_pairs = (
        {"operating_point_unavailable", "low_quality", "face_covered"}
        if "verify" in path or "explain" in path
        else set()
    )
    of_one = {"unknown_layer"} if "maps" in path else {"too_many_faces"} if "embeddings" in path else set()
    assert {
        "no_face",
        "several_faces",
        "no_such_face",
        "image_unreadable",
        "image_too_slow",
    } | of_pairs | of_one == set(content["examples"])


def test_every_example_of_a_problem_is_one(described: dict[str, Any]) -> None:
    found = re.findall(r'\{"type": "/errors#[^{}]*\}', json.dumps(described))
    assert len(found) > 20
    for example in found:
        Problem.model_validate_json(example)


@pytest.mark.parametrize("path", [*POSTS[:6], *UPLOADS])
def test_a_body_is_described_in_both_forms(path: str, described: dict[str, Any]) -> None:
    content = described["paths"][path]["post"]["requestBody"]["content"]
    form, other = content["multipart/form-data"]["schema"], content["application/json"]["schema"]
    assert set(form["properties"]) == set(other["properties"])
    assert set(form["required"]) == set(other["required"])
    assert set(content["application/json"]["example"]) <= set(other["properties"])


@pytest.mark.parametrize(
    ("example", "model"),
    [
        (openapi.VERIFY_ANSWER, wire.VerifyResponse),
        (openapi.EXPLAIN_ANSWER, wire.ExplainResponse),
        (openapi.VERIFY_MANY_ANSWER, wire.VerifyManyResponse),
        (openapi.FACES_ANSWER, wire.FacesResponse),
        (openapi.EMBED_ALL_ANSWER, wire.EmbedAllResponse),
        (openapi.COMPARE_ANSWER, wire.CompareResponse),
        (openapi.COMPARE_QUESTION, wire.CompareRequest),
        (gallery_openapi.GALLERY_ANSWER, wire.GalleryResponse),
        (gallery_openapi.PERSON_REQUEST, wire.PersonRequest),
        (gallery_openapi.PERSON_ANSWER, wire.PersonResponse),
        (gallery_openapi.PEOPLE_ANSWER, wire.PeopleResponse),
        (gallery_openapi.ENROL_ANSWER, wire.EnrolResponse),
        (gallery_openapi.RECEIPT_ANSWER, wire.ForgetResponse),
        (gallery_openapi.IDENTIFY_ANSWER, wire.IdentifyResponse),
        (gallery_openapi.PERSON_VERIFY_ANSWER, wire.PersonVerifyResponse),
    ],
)
def test_an_example_fits_its_model(example: dict[str, object], model: type) -> None:
    TypeAdapter(model).validate_json(json.dumps(example))


COVER = ("covered", "covered_part")


def test_every_measure_of_quality_is_described(described: dict[str, Any]) -> None:
    properties = described["components"]["schemas"]["Quality"]["properties"]
    assert set(properties) == {*MEASURES, *COVER, "embedding_length", *(field.name for field in fields(Grade))}
    assert properties["embedding_length"]["deprecated"] is True
    assert all(each["description"] for each in properties.values())


@pytest.mark.parametrize("measure", [*MEASURES, *COVER, *(field.name for field in fields(Grade))])
def test_the_document_of_the_api_has_every_measure_of_quality(measure: str) -> None:
    document = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{measure}` \|", document, re.MULTILINE)


@pytest.mark.parametrize("path", [*POSTS, *GETS, *OF_GALLERIES])
def test_the_document_of_the_api_has_every_route(path: str) -> None:
    document = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"^## .*{re.escape(path)}(?![\w/])", document, re.MULTILINE)


def links(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in described["paths"].values():
        for operation in methods.values():
            yield from operation["responses"]["200"].get("links", {}).values()


def test_a_link_names_an_operation_and_what_it_accepts(described: dict[str, Any]) -> None:
    found = list(links(described))
    assert len(found) == 7
    for link in found:
        root, paths, path, method = unquote(link["operationRef"]).split("/")
        assert (root, paths) == ("#", "paths")
        linked = described["paths"][path.replace("~1", "/")][method]
        assert set(link.get("parameters", {})) <= {each["name"] for each in linked["parameters"]}
        needed = {each["name"] for each in linked["parameters"] if each["required"]}
        assert needed <= set(link.get("parameters", {}))
        if "requestBody" in link:
            properties = linked["requestBody"]["content"]["application/json"]["schema"]["properties"]
            assert set(link["requestBody"]) <= set(properties)


@pytest.mark.parametrize("given", [7, 7.0, "7"])
def test_the_index_of_a_face_may_be_any_json_integer(given: object) -> None:
    assert wire.FaceOption.model_validate({"face": given}).face == "7"


@pytest.mark.parametrize("given", [-1, 1.5, 1_000_000, 1e300, float("nan"), float("inf"), True])
def test_the_described_bounds_of_an_index_are_those_of_the_service(given: float) -> None:
    described = wire.FaceOption.model_json_schema()["properties"]["face"]
    assert (described["minimum"], described["maximum"]) == (0, 999_999)
    assert wire.FaceOption.model_validate({"face": 999_999}).face == "999999"
    with pytest.raises(ValueError, match="must be dominant"):
        wire.FaceOption.model_validate({"face": given})


@pytest.mark.parametrize("path", POSTS)
def test_a_documented_request_is_answered_as_it_stands(
    path: str, described: dict[str, Any], client: TestClient
) -> None:
    example = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = client.post(path, json=example)
    assert answer.status_code == 200, answer.text


def test_the_pictures_in_the_description_are_small(client: TestClient) -> None:
    assert len(openapi.EXAMPLE_IMAGE) < 1000
    assert client.get("/openapi.json").text.count(openapi.EXAMPLE_IMAGE) >= 6
