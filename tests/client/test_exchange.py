"""How an outcome is read, where a real socket cannot easily bring it about."""

import httpx2
import pytest

from service.client import Retry, TimedOut, Unreachable, calls
from service.client.transport import answer_of, origin_of, request_of

ASKED = httpx2.Request("GET", "http://someone:s3cret@127.0.0.1:81/token/readyz?key=s3cret")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ConnectTimeout, Unreachable),  # nobody is there to have begun
        (httpx2.ConnectError, Unreachable),
        (httpx2.ReadTimeout, TimedOut),
        (httpx2.WriteTimeout, TimedOut),
        (httpx2.PoolTimeout, TimedOut),
        (httpx2.LocalProtocolError, Unreachable),
    ],
)
def test_what_is_lost_has_its_kind_and_its_cause(error: type[httpx2.RequestError], kind: type[Unreachable]) -> None:
    lost = error("so it went", request=ASKED)
    with pytest.raises(Unreachable) as caught:
        answer_of(calls.ready(), lost, Retry())
    assert type(caught.value) is kind
    assert caught.value.__cause__ is lost
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://someone:s3cret@host:81/path?key=s3cret#s3cret", "http://host:81"),
        ("https://host/", "https://host"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_scheme_host_and_port_and_no_more(url: str, origin: str) -> None:
    assert origin_of(httpx2.URL(url)) == origin


def test_a_time_of_the_callers_own_bounds_every_step_of_the_request() -> None:
    with httpx2.Client(base_url="http://host", timeout=9) as http:
        own, default = (request_of(calls.ready(), http, timeout_s) for timeout_s in (2.5, None))
    assert set(own.extensions["timeout"].values()) == {2.5}
    assert set(default.extensions["timeout"].values()) == {9}
