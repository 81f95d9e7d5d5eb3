"""Several services share galleries in one PostgreSQL: what one is told all know, also after one or the server ended."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from postgres_server import new_database, running_postgres
from serving_process import serving

PATIENCE_S = 20.0

Photos = dict[str, bytes]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of its own, because it is stopped."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def url(postgres: Any) -> str:
    return new_database(postgres)


@pytest.fixture(scope="module")
def replicas(url: str) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    """Two processes."""
    with ExitStack() as stack:
        addresses = [stack.enter_context(serving(VISAVIS_GALLERY=url))[1] for _ in range(2)]
        one, other = (stack.enter_context(httpx2.Client(base_url=each, timeout=60)) for each in addresses)
        yield one, other


@pytest.fixture
def gallery(replicas: tuple[httpx2.Client, httpx2.Client]) -> str:
    """The address of an empty gallery."""
    address = f"/v1/galleries/{uuid4()}"
    assert replicas[0].put(address).status_code == 201
    return address


def enrol(client: httpx2.Client, gallery: str, person: str, photo: bytes) -> None:
    answer = client.post(f"{gallery}/people/{person}/photos", files={"image": photo})
    assert answer.status_code == 200, answer.text


def found(client: httpx2.Client, gallery: str, probe: bytes) -> str | None:
    answer = client.post(f"{gallery}/identify", files={"probe": probe})
    assert answer.status_code == 200, answer.text
    (face,) = answer.json()["faces"]
    return None if face["person"] is None else str(face["person"])


def test_what_one_replica_is_told_both_know_at_once(
    replicas: tuple[httpx2.Client, httpx2.Client], gallery: str, photos: Photos
) -> None:
    one, other = replicas
    assert [found(each, gallery, photos["001-smiling"]) for each in replicas] == [None, None]
    enrol(one, gallery, "p1", photos["001-neutral"])
    assert found(other, gallery, photos["001-smiling"]) == "p1"  # the first search after it, so no time is measured
    assert other.delete(f"{gallery}/people/p1").status_code == 200
    assert [found(each, gallery, photos["001-smiling"]) for each in replicas] == [None, None]


def test_a_replica_that_is_killed_takes_nothing_with_it(
    replicas: tuple[httpx2.Client, httpx2.Client], gallery: str, photos: Photos, url: str
) -> None:
    with (
        serving(VISAVIS_GALLERY=url, VISAVIS_GALLERY_SEARCH="pgvector") as (process, address),
        httpx2.Client(base_url=address, timeout=60) as third,
    ):
        enrol(third, gallery, "p1", photos["001-neutral"])
        assert found(third, gallery, photos["001-smiling"]) == "p1"
        (face,) = third.post(f"{gallery}/identify", files={"probe": photos["001-smiling"]}).json()["faces"]
        assert face["claim"]["is_exact"] is False
        process.kill()
        process.wait(PATIENCE_S)
        assert [found(each, gallery, photos["001-smiling"]) for each in replicas] == ["p1", "p1"]
        enrol(replicas[0], gallery, "p2", photos["005-neutral"])
        assert found(replicas[1], gallery, photos["005-smiling"]) == "p2"


def test_without_the_server_both_answer_503_and_go_on_once_it_is_back(
    replicas: tuple[httpx2.Client, httpx2.Client], gallery: str, photos: Photos, postgres: Any
) -> None:
    enrol(replicas[0], gallery, "p1", photos["001-neutral"])
    ended = Event()

    def ask(client: httpx2.Client) -> list[httpx2.Response]:
        answers = []
        while not ended.wait(0.02):
            answers.append(client.post(f"{gallery}/identify", files={"probe": photos["001-smiling"]}))
            answers.append(client.put(f"{gallery}/people/{uuid4()}", json={"note": "x"}))
        return answers

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, each) for each in replicas]
        try:
            sleep(0.5)
            postgres.stop()
            for each in replicas:
                assert each.get(gallery).status_code == 503
                pair = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}
                assert each.post("/v1/verify", files=pair).status_code == 200  # needs no store
            postgres.ensure_postgres_running()
            until = monotonic() + PATIENCE_S
            for each in replicas:
                while each.get(gallery).status_code != 200:
                    assert monotonic() < until
                    sleep(0.05)
        finally:
            ended.set()
    answers = [answer for each in asking for answer in each.result()]
    assert {each.status_code for each in answers} == {200, 201, 503}
    for each in answers:
        if each.status_code == 503:
            assert each.headers["content-type"] == "application/problem+json"
            assert (each.json()["code"], int(each.headers["retry-after"]) >= 1) == ("store_unavailable", True)
    enrol(replicas[1], gallery, "p2", photos["005-neutral"])
    assert [found(each, gallery, photos["005-smiling"]) for each in replicas] == ["p2", "p2"]
