"""A service and the store of its galleries: at the start, after a reload, beside another service, and when it fails."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from serving_process import connected, received, serving, status_of
from starlette.testclient import TestClient

from embedder import FaceEmbedder, load
from gallery import open_store
from service.app import create_app
from service.serving import ServingError, check_gallery
from service.settings import Settings
from service.startup_check import check

Photos = dict[str, bytes]


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


@contextmanager
def service(file: Path, embedder: FaceEmbedder, again: FaceEmbedder | None = None) -> Iterator[TestClient]:
    load_again = None if again is None else lambda: again
    with TestClient(create_app(Settings(gallery=url_of(file)), embedder, load_again=load_again)) as client:
        yield client


def found_by(client: TestClient, probe: bytes) -> str | None:
    (face,) = client.post("/v1/galleries/g/identify", files={"probe": probe}).json()["faces"]
    return None if face["person"] is None else str(face["person"])


@pytest.mark.parametrize(
    "url",
    ["mysql://me:hunter2@db/gallery", "hunter2", "postgresql://me:hunter2@db/gallery", "sqlite:////no/such/hunter2"],
)
def test_a_store_that_cannot_be_opened_stops_the_start_without_a_password(url: str) -> None:
    with pytest.raises(ServingError, match="VISAVIS_GALLERY cannot be used") as refusal:
        check_gallery(Settings(gallery=url))
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in repr(Settings(gallery=url))


def test_a_store_that_pgvector_cannot_search_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"VISAVIS_GALLERY cannot be used: .* in memory"):
        check_gallery(Settings(gallery=url_of(tmp_path / "gallery.db"), gallery_search="pgvector"))


def test_the_check_before_a_start_tells_of_the_store_too() -> None:
    (wrong,) = [each for each in check(port=0, gallery="nonsense") if each.is_wrong]
    assert (wrong.subject, "VISAVIS_GALLERY" in wrong.text) == ("gallery", True)


def test_a_store_of_a_newer_version_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "gallery.db"
    open_store(url_of(file)).close()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ServingError, match="newer visavis"):
        check_gallery(Settings(gallery=url_of(file)))


def test_people_are_there_after_a_restart(embedder: FaceEmbedder, tmp_path: Path, photos: Photos) -> None:
    with service(tmp_path / "gallery.db", embedder) as client:
        client.put("/v1/galleries/g")
        client.post("/v1/galleries/g/people/p1/photos", files={"image": photos["001-neutral"]})
    with service(tmp_path / "gallery.db", embedder) as client:
        assert found_by(client, photos["001-smiling"]) == "p1"


def test_what_another_service_writes_is_seen_at_once(embedder: FaceEmbedder, tmp_path: Path, photos: Photos) -> None:
    file = tmp_path / "gallery.db"
    with service(file, embedder) as one, service(file, embedder) as other:
        one.put("/v1/galleries/g")
        assert found_by(other, photos["001-smiling"]) is None
        one.post("/v1/galleries/g/people/p1/photos", files={"image": photos["001-neutral"]})
        assert found_by(other, photos["001-smiling"]) == "p1"
        other.delete("/v1/galleries/g/people/p1")
        assert found_by(one, photos["001-smiling"]) is None


def test_after_a_reload_only_templates_of_the_new_model_are_compared(tmp_path: Path, photos: Photos) -> None:
    first, second = load(), load("dlib-resnet29-128")  # of its own, because a reload closes the first one
    with second, service(tmp_path / "gallery.db", first, second) as client:
        client.put("/v1/galleries/g")
        image = {"image": photos["001-neutral"]}
        client.post("/v1/galleries/g/people/p1/photos", files=image)
        assert client.app.state.reloader.reload().is_reloaded
        answer = client.post("/v1/galleries/g/identify", files={"probe": photos["001-smiling"]}).json()
        assert (answer["model"]["digest"], answer["faces"][0]["claim"]) == (second.identity.digest, None)
        client.post("/v1/galleries/g/people/p1/photos", files=image)
        assert found_by(client, photos["001-smiling"]) == "p1"
        counts = client.get("/v1/galleries/g").json()["n_templates"]
        assert counts == {first.identity.digest: 1, second.identity.digest: 1}


def test_a_store_that_fails_is_answered_with_503_and_logged(
    embedder: FaceEmbedder, tmp_path: Path, photos: Photos, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "gallery.db"
    with service(file, embedder) as client:
        client.put("/v1/galleries/g")
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("ALTER TABLE people RENAME TO nobody")
        caplog.set_level(logging.INFO)
        answer = client.put("/v1/galleries/g/people/secret-name")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert str(tmp_path) not in answer.text
        pair = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}
        assert client.post("/v1/verify", files=pair).status_code == 200
    assert "the store of galleries" in caplog.text
    assert "secret-name" not in "".join(each.getMessage() for each in caplog.records if "visavis" in each.name)


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_a_body_that_no_route_reads_may_be_slow_while_the_store_is_waited_for(framing: str, tmp_path: Path) -> None:
    file = tmp_path / "gallery.db"
    with open_store(url_of(file)) as store:
        store.create_gallery("g")
    head = f"DELETE /v1/galleries/g HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n\r\n".encode()
    with (
        serving(VISAVIS_GALLERY=url_of(file)) as (_, url),
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        connected(url) as connection,
    ):
        other.execute("BEGIN IMMEDIATE")  # what is to be deleted waits for this transaction
        connection.sendall(head)
        time.sleep(6.0)  # longer than the 5 s in which a body must come to the least rate
        other.execute("ROLLBACK")
        answer = received(connection)
    assert (status_of(answer), b'"n_people":0' in answer) == (200, True), answer
    with open_store(url_of(file)) as store:
        assert store.galleries() == []
