"""Slow, idle and many connections: each has a limit, and those who send plainly are served meanwhile."""

import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest
from serving_process import connected, received, serving, status_of, talk

LIMITS = {"HEADER_TIMEOUT_S": "2", "IDLE_TIMEOUT_S": "2", "MAX_CONNECTIONS": "250", "MIN_BODY_RATE": "1000"}
SOON_S = 9.0  # more than the limits above and the 5 s of a rate's window, less than any other limit
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n"
N_SLOW = 200

Service = tuple["subprocess.Popen[str]", str]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(**{f"VISAVIS_{name}": value for name, value in LIMITS.items()}, VISAVIS_LOG_LEVEL="error") as started:
        yield started


def slow_head(url: str) -> bytes:
    with connected(url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        return dripping(connection)


def slow_body(url: str) -> bytes:
    with connected(url) as connection:
        connection.sendall(POST + b"{")
        return dripping(connection)


def dripping(connection: socket.socket) -> bytes:
    """Send a byte now and then until there is an answer; gives it."""
    began = time.monotonic()
    connection.settimeout(0.3)
    while time.monotonic() - began < SOON_S:
        connection.sendall(b"a")
        try:
            first = connection.recv(2**16)
            connection.settimeout(SOON_S)
            return first + received(connection)
        except TimeoutError:
            continue
    raise TimeoutError


def steady_body(url: str) -> bytes:
    with connected(url) as connection:
        connection.sendall(POST.replace(b"90000", b"9000"))
        for _ in range(6):
            connection.sendall(b" " * 1500)
            time.sleep(1.0)
        return connection.recv(2**16)


def no_request(url: str) -> bytes:
    return talk(url, b"", timeout_s=SOON_S)


def no_second_request(url: str) -> bytes:
    return talk(url, GET, timeout_s=SOON_S)


def unread_answers(url: str) -> bytes:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = url.removeprefix("http://").partition(":")
        connection.connect((host, int(port)))
        connection.settimeout(SOON_S)
        try:
            for _ in range(1000):
                connection.sendall(GET.replace(b"healthz", b"openapi.json") * 8)
                time.sleep(0.01)
        except (ConnectionResetError, BrokenPipeError):
            return b"cut"
        return b"not cut"


SLOW = (slow_head, slow_body, steady_body, no_request, no_second_request, unread_answers)


@pytest.fixture(scope="module")
def answers(service: Service) -> dict[str, bytes]:
    """What slow clients get, all at the same time."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        return dict(zip((ask.__name__ for ask in SLOW), pool.map(lambda ask: ask(service[1]), SLOW), strict=True))


def test_a_head_that_comes_a_byte_at_a_time_is_cut(answers: dict[str, bytes]) -> None:
    answer = answers["slow_head"]
    assert (status_of(answer), b'"code":"body_too_slow"' in answer) == (408, True)
    assert b"the head of the request did not arrive within 2 s" in answer


def test_a_body_that_comes_a_byte_at_a_time_is_cut(answers: dict[str, bytes]) -> None:
    answer = answers["slow_body"]
    assert (status_of(answer), b"connection: close" in answer.lower()) == (408, True)
    assert b"5,000 bytes" in answer


def test_a_body_that_comes_slowly_but_at_the_least_rate_is_read_to_its_end(answers: dict[str, bytes]) -> None:
    answer = answers["steady_body"]
    assert (status_of(answer), b"body_too_slow" in answer) == (400, False)


def test_a_connection_without_a_request_is_closed(answers: dict[str, bytes]) -> None:
    assert answers["no_request"] == b""
    assert answers["no_second_request"].count(b"HTTP/1.1 200") == 1


def test_a_client_that_does_not_read_its_answers_is_cut(answers: dict[str, bytes]) -> None:
    assert answers["unread_answers"] == b"cut"


def with_many_open(url: str, first: bytes, then: Callable[[], None], *, source: str = "127.0.0.1") -> None:
    """Do something while there are many slow connections."""
    with ExitStack() as stack:
        for _ in range(N_SLOW):
            connection = stack.enter_context(connected(url, source=source))
            connection.sendall(first)
        then()


def verify_ms(url: str, photos: dict[str, bytes], n: int = 7) -> float:
    """The least time of some comparisons, which must succeed."""
    files = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}
    took = []
    for _ in range(n):
        began = time.perf_counter()
        assert httpx2.post(f"{url}/v1/verify", files=files, timeout=30).status_code == 200
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


@pytest.mark.parametrize("slow", [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", POST + b"{"], ids=["heads", "bodies"])
def test_others_are_served_in_their_usual_time_beside_200_slow_connections(
    slow: bytes, service: Service, photos: dict[str, bytes]
) -> None:
    usual, beside = verify_ms(service[1], photos), []
    with_many_open(service[1], slow, lambda: beside.append(verify_ms(service[1], photos)), source="127.0.0.2")
    assert beside[0] < 2 * usual + 50


def test_a_connection_too_many_is_answered_and_closed() -> None:
    few = {"VISAVIS_MAX_CONNECTIONS": "4", "VISAVIS_LOG_LEVEL": "error"}
    with serving(**few) as (_, url), ExitStack() as stack:
        for _ in range(4):  # at once, so that none counts as slow
            stack.enter_context(connected(url))
        answer = talk(url, GET, timeout_s=SOON_S)
    assert (status_of(answer), b'"code":"busy"' in answer) == (503, True)
    assert b"retry-after: 1" in answer.lower()


@pytest.mark.parametrize("slow", [b"GET", POST + b"{"], ids=["heads", "bodies"])
def test_a_slow_connection_makes_place_for_another_of_the_same_address(slow: bytes, service: Service) -> None:
    def one_too_many() -> None:
        time.sleep(1.0)  # after which they count as slow
        last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        answers.append(talk(service[1], last, timeout_s=SOON_S))

    answers: list[bytes] = []
    with_many_open(service[1], slow, lambda: with_many_open(service[1], slow, one_too_many))
    assert status_of(answers[0]) == 200


def test_the_client_with_most_connections_makes_place_for_another(service: Service) -> None:
    def from_elsewhere() -> None:
        last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with_many_open(service[1], b"GET", lambda: answers.append(talk(service[1], last, source="127.0.0.3")))

    answers: list[bytes] = []
    with_many_open(service[1], b"GET", from_elsewhere, source="127.0.0.2")
    assert status_of(answers[0]) == 200


def test_without_file_descriptors_it_waits_and_writes_one_line() -> None:
    with serving(prefix=("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh")) as (process, url):
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == 512 + 256  # raised as far as the connections need it
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, hard))
        with connected(url) as waiting:
            waiting.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            time.sleep(2.5)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            waiting.settimeout(SOON_S)
            assert status_of(received(waiting)) == 200
        process.terminate()
        said = process.communicate(timeout=30)[1].splitlines()
    assert sum("no file descriptors are left" in line for line in said) == 1
    assert len(said) < 6
