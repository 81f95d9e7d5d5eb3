"""Every error of both trees has its row in the one table, and its place in the documents."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from embedder import (
    FaceEmbedder,
    ImageTooLarge,
    LowQuality,
    ModelError,
    NoFace,
    OperatingPointUnavailable,
    VisavisError,
)
from gallery import ClaimUnavailable, EnrolmentRefused, PhotoRefusal
from service import problems
from service.app import create_app
from service.errors import Busy, ServiceError
from service.problem_types import TABLE, KnownError, problem_type_of
from service.problems import problem_of, problem_response
from service.settings import Settings

ERRORS_DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
PERSONAL = "alice-smith.jpg 0.123 0.456"


def _tree(root: KnownError) -> Iterator[KnownError]:
    yield root
    for below in root.__subclasses__():
        yield from _tree(below)


ALL = [
    error
    for root in (VisavisError, ServiceError)
    for error in _tree(root)
    if error.__module__.split(".")[0] in ("embedder", "gallery", "service")
    and not error.__module__.startswith(
        ("embedder.bulk", "embedder.explain.atlas", "embedder.photo_files", "gallery.link_rule")
    )  # of commands, never over HTTP
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_class_has_its_own_row(error: KnownError) -> None:
    assert error in TABLE
    assert 400 <= TABLE[error].status < 600


def test_codes_are_unique() -> None:
    codes = [error.code for error in TABLE]
    assert len(set(codes)) == len(codes) == len(ALL)


def test_a_class_without_a_row_gets_that_of_its_parent() -> None:
    child = type("Unlisted", (NoFace,), {})
    assert problem_type_of(child) is TABLE[NoFace]


@pytest.mark.parametrize("error", list(TABLE), ids=lambda error: error.code)
def test_the_document_of_errors_has_a_row_with_code_and_status(error: KnownError) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", ERRORS_DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert (error.code, str(TABLE[error].status)) in rows


def test_the_page_of_errors_has_an_anchor_for_every_type(client: TestClient) -> None:
    page = client.get("/errors")
    for error in TABLE:
        _, anchor = problems.type_uri(error.code).split("#")
        assert f'id="{anchor}"' in page.text


def test_what_a_problem_does_not_know_is_left_out() -> None:
    assert problem_of(Busy()).model_dump(exclude_unset=True).keys() == {"type", "title", "status", "detail", "code"}
    assert problem_of(NoFace(), "id").model_dump(exclude_unset=True)["n_faces"] == 0
    assert problem_of(OperatingPointUnavailable(None, {})).model_dump(exclude_unset=True)["available"] == []
    assert "limit" not in problem_of(ImageTooLarge(3, 2, "bytes")).model_dump(exclude_unset=True)


def test_a_photo_that_is_too_poor_is_told_with_the_measure_and_by_how_much() -> None:
    problem = problem_of(LowQuality("sharpness", 0.0, 0.2, advice="send a sharper photo"))
    assert (problem.measure, problem.value, problem.limit) == ("sharpness", 0.0, 0.2)
    assert "sharpness is 0 and must be at least 0.2; send a sharper photo" in problem.detail


@pytest.mark.parametrize("error", [ModelError(PERSONAL), KeyError(PERSONAL)])
def test_a_failure_is_answered_without_its_message_and_logged_under_its_id(
    error: Exception, embedder: FaceEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(), embedder)

    @app.get("/fails")
    async def fail() -> None:
        raise error

    answer = TestClient(app).get("/fails", headers={"X-Request-Id": "my-id"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "my-id"
    assert PERSONAL not in answer.text
    assert "Traceback" not in answer.text
    assert PERSONAL not in caplog.text
    failures = [record.getMessage() for record in caplog.records if record.name == "visavis.failure"]
    assert len(failures) == 1
    assert "id=my-id" in failures[0]
    assert "in fail" in failures[0]


def test_each_photo_that_was_not_enrolled_is_told_with_the_reason() -> None:
    refusals = [PhotoRefusal(0, "no_face", "no face"), PhotoRefusal(2, "already_enrolled", "it is p2", "p2")]
    problem = problem_of(EnrolmentRefused(refusals)).model_dump(exclude_unset=True)
    assert (problem["status"], problem["code"]) == (422, "enrolment_refused")
    assert problem["refusals"] == [
        {"photo": 0, "code": "no_face", "detail": "no face", "person": None},
        {"photo": 2, "code": "already_enrolled", "detail": "it is p2", "person": "p2"},
    ]


def test_what_could_be_claimed_instead_is_told_if_anything() -> None:
    some = problem_of(ClaimUnavailable(1e-3, 500, largest=20, strictest=0.03)).model_dump(exclude_unset=True)
    assert (some["largest_n"], some["strictest_fpir"]) == (20, 0.03)
    none = problem_of(ClaimUnavailable(1e-3, 500, largest=0, strictest=None)).model_dump(exclude_unset=True)
    assert (none["largest_n"], "strictest_fpir" in none) == (0, False)


def test_an_unknown_method_is_told_what_is_allowed(client: TestClient) -> None:
    answer = client.put("/v1/verify")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert client.post("/healthz").headers["allow"] == client.post("/").headers["allow"] == "GET, HEAD"
    of_several = client.patch("/v1/galleries/g")
    assert (of_several.status_code, of_several.headers["allow"]) == (405, "PUT, GET, HEAD, DELETE")


@pytest.mark.parametrize("error", [each for each in ALL if TABLE[each].status == 503], ids=lambda error: error.__name__)
def test_every_503_says_when_to_ask_again(error: KnownError) -> None:
    made = {
        "deadline_exceeded": (1.0,),
        "unavailable": ("full",),
        "not_ready": ("loading",),
        "gallery_too_large": (1, 2, 1),
    }
    assert problem_response(error(*made.get(error.code, ())), "id").headers["retry-after"] == "1"
