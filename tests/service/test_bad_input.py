"""Bad and odd inputs over a real socket: each gets its answer, never a failure, and the service goes on."""

import pytest
from odd_inputs import Case, Site, cases

pytestmark = pytest.mark.slow

CASES = list(cases())
WORDS_OF_A_TRACEBACK = (b"Traceback", b'File "', b"site-packages", b'.py"')
BUSY = 503


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_odd_input_gets_the_answer_of_the_table(case: Case, site: Site) -> None:
    reply = case.ask(site)
    told = (reply.status, reply.problem.get("code"))
    assert told == (case.status, case.code), reply.body[:500]
    assert case.detail in str(reply.problem.get("detail", ""))
    assert reply.status < 500 or reply.status == BUSY
    assert not any(word in reply.body for word in WORDS_OF_A_TRACEBACK)
    assert site.request("GET", "/healthz").status == 200


@pytest.mark.parametrize("case", [case for case in CASES if case.code], ids=lambda case: case.name)
def test_a_refusal_is_a_whole_problem(case: Case, site: Site) -> None:
    reply = case.ask(site)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.problem["status"] == reply.status
    assert reply.problem["request_id"] == reply.headers["x-request-id"]
    assert reply.problem["type"] == f"/errors#{reply.problem['code']}"
    assert all(value is not None for value in reply.problem.values())
    assert len(str(reply.problem["detail"])) < 500


def test_the_table_is_long_enough_and_its_names_are_unique() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
