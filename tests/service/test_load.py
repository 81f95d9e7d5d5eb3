"""The load that the benchmark puts on a service: it sends what the service takes, and counts what comes back."""

import socket
import threading
from http.client import HTTPConnection
from pathlib import Path

from odd_inputs import Site
from race.clients import HTTP_OK, LOST, Load, ask, multipart, report

N_REQUESTS = 5


def test_so_many_requests_are_sent_as_asked_for_and_each_answer_is_counted(site: Site, examples: Path) -> None:
    body = multipart(examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    load = Load(site.url, [body], seconds=None, requests=N_REQUESTS)
    clients = [threading.Thread(target=load.work) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    told = report(load)
    assert told["statuses"] == {HTTP_OK: N_REQUESTS}
    assert 0 < float(str(told["p50_ms"])) <= float(str(told["p99_ms"]))


def test_a_load_by_time_ends(site: Site) -> None:
    load = Load(site.url, [b"no photograph"], seconds=0.2, requests=None)
    load.work()
    assert {status // 100 for status, _ in load.answers} == {4}


def test_a_request_without_an_answer_counts_as_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert ask(HTTPConnection(address, timeout=5), b"") == (LOST, 0.0)
