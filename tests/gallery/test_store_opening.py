"""Which URLs and files a store is opened by, and what is said of those that are refused."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from traceback import format_exception

import pytest
from stored_templates import new_template

from gallery import InvalidValue, StoreUnavailable, open_store

WRONG_URLS = {
    "": "cannot be read",
    "gallery.db": "cannot be read",
    "sqlite://": "names no file",
    "sqlite:///:memory:": "names no file",
    "sqlite:///file:gallery.db": "names no file",
    "sqlite://host/gallery.db": "sqlite:///FILE",
    "sqlite:///gallery.db?mode=ro": "sqlite:///FILE",
    "sqlite+pysqlite:///gallery.db": "opened by sqlite.pysqlite://",
    "mysql://user:hunter2@host/gallery": "mysql://",
    "postgresql://user:hunter2@host/gallery": "it must be sqlite:///FILE or postgresql.psycopg://",
    "postgresql+psycopg://user:hunter2@host:port/gallery": "cannot be read",
}
UNREACHABLE = "postgresql+psycopg://user:hunter2@127.0.0.1:9/gallery"


@pytest.fixture
def mask() -> Iterator[None]:
    """A process whose files anybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidValue, match=WRONG_URLS[url]) as refused:
        open_store(url)
    assert "hunter2" not in "".join(format_exception(refused.value))


@pytest.mark.usefixtures("mask")
def test_all_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/gallery.db") as store:
        store.create_gallery("staff")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("gallery.db", "gallery.db-wal", "gallery.db-shm"), 0o600)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    path.touch()
    path.chmod(0o640)
    with pytest.raises(InvalidValue, match="chmod it to 600"):
        open_store(f"sqlite:///{path}")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_no_link_is_followed(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "target"
    (tmp_path / f"gallery.db{suffix}").symlink_to(target)
    with pytest.raises((InvalidValue, StoreUnavailable), match=r"link|cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/gallery.db")
    assert not target.exists()


@pytest.mark.parametrize("kind", ["folder", "FIFO"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "gallery.db"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises((InvalidValue, StoreUnavailable)):
        open_store(f"sqlite:///{path}")


def test_a_missing_folder_is_named_as_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        open_store(f"sqlite:///{tmp_path}/nowhere/gallery.db")


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    path.write_bytes(b"no database" * 1_000)
    path.chmod(0o600)
    with pytest.raises(StoreUnavailable, match="none of SQLite"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"no database" * 1_000


def test_an_unreachable_server_is_unavailable_and_no_password_is_told() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        open_store(UNREACHABLE)
    assert "hunter2" not in "".join(format_exception(refused.value)).replace(UNREACHABLE, "")
    assert "Connection refused" in str(refused.value)


def test_a_locked_file_is_unavailable_after_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gallery.sqlite.BUSY_TIMEOUT_S", 0.2)
    with (
        open_store(f"sqlite:///{tmp_path}/gallery.db") as store,
        closing(sqlite3.connect(tmp_path / "gallery.db", isolation_level=None)) as other,
    ):
        store.create_gallery("staff")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked it for too long"):
            store.add_templates("staff", "bob", [new_template(1)])
        assert store.people("staff", limit=1) == []  # reading goes on


def test_a_store_opened_again_holds_what_it_held(url: str) -> None:
    with open_store(url) as store:
        store.create_gallery("staff")
        bob = store.add_templates("staff", "bob", [new_template(1, request_id="request 1")])
    with open_store(url) as store:
        assert store.person("staff", "bob") == bob
        assert bob.templates[0].request_id == "request 1"
