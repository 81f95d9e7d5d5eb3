"""The fuzzer of a running service notices what it looks for, and its requests are always the same."""

import json
from dataclasses import replace

import pytest
from fuzz_service import ALWAYS, Answer, faults_of, log_faults, request_of, slow_ids
from mutated_requests import FILE_NAME, KINDS, RequestSource

from service.errors import MalformedRequest
from service.problems import problem_of

PROBLEM = problem_of(MalformedRequest("the body is empty"), "abc")
HEADERS = {**ALWAYS, "cache-control": "no-store", "x-request-id": "abc", "content-type": "application/problem+json"}
REFUSED = Answer(400, HEADERS, PROBLEM.model_dump_json(exclude_unset=True).encode())
SERVED = Answer(200, HEADERS | {"content-type": "application/json"}, b'{"distance": 0.5}')
LINE = {
    "logger": "visavis.access",
    "level": "info",
    "duration_ms": 900.0,
    "stages_ms": {"wait": 1.0},
    "request_id": "a",
}


def without(answer: Answer, header: str) -> Answer:
    return replace(answer, headers={name: value for name, value in answer.headers.items() if name != header})


def with_problem(**changes: object) -> Answer:
    return replace(REFUSED, body=json.dumps(json.loads(REFUSED.body) | changes).encode())


@pytest.mark.parametrize("answer", [REFUSED, SERVED])
def test_an_answer_as_it_should_be_has_no_faults(answer: Answer) -> None:
    assert list(faults_of(answer, "image", is_head=False)) == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (replace(SERVED, status=500), "status 500"),
        (without(REFUSED, "x-request-id"), "X-Request-Id is ''"),
        (without(SERVED, "x-content-type-options"), "a header that all answers have"),
        (without(SERVED, "cache-control"), "a header that all answers have"),
        (replace(SERVED, body=b'{"distance": NaN}'), "no strict JSON"),
        (replace(REFUSED, headers=HEADERS | {"content-type": "text/plain"}), "an error of type 'text/plain'"),
        (replace(REFUSED, body=b"{}"), "no problem"),
        (with_problem(status=401), "a problem with status 401"),
        (with_problem(request_id="def"), "and id def"),
        (with_problem(code="oops"), "the unknown code 'oops'"),
        (with_problem(detail=f"{FILE_NAME} is no image"), "repeats the name of a file"),
        (with_problem(detail='File "/srv/app.py", line 3'), "the inside of the service"),
    ],
)
def test_a_fault_of_an_answer_is_noticed(answer: Answer, fault: str) -> None:
    assert any(fault in each for each in faults_of(answer, "image", is_head=False))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("TIFFFetchNormalTag: Warning", "not ours"),
        (json.dumps(LINE | {"logger": "PIL"}), "not ours"),
        (json.dumps(LINE | {"level": "error"}), "the log says"),
        (json.dumps(LINE | {"message": FILE_NAME}), "the name of a file"),
    ],
)
def test_a_fault_of_the_log_is_noticed(line: str, fault: str) -> None:
    assert list(log_faults([json.dumps(LINE)])) == []
    assert any(fault in each for each in log_faults([line]))


def test_a_request_is_slow_without_the_time_in_which_it_waits() -> None:
    lines = [LINE, LINE | {"duration_ms": 9000.0, "stages_ms": {"wait": 8000.0}}]
    slow = LINE | {"duration_ms": 9000.0, "stages_ms": {"wait": 6000.0}, "request_id": "b"}
    assert list(slow_ids([json.dumps(line) for line in (*lines, slow)])) == ["b"]


def test_a_request_is_the_same_for_a_seed_and_a_number_and_every_kind_comes() -> None:
    source = RequestSource("127.0.0.1:8000", None, "sha256:0")
    requests = [request_of(source, 0, n) for n in range(2 * len(KINDS))]
    assert requests == [request_of(source, 0, n) for n in range(2 * len(KINDS))]
    assert {kind for kind, _ in requests} == set(KINDS)
    assert len({request for _, request in requests}) == len(requests)
