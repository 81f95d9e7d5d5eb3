"""The service under test: the real app with the real model, in this process and behind a real socket."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.settings import Settings

# The table of odd inputs and the live service are shared with a script; pytest imports no file by another's side.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from live_service import served, small_site
from odd_inputs import Site


@pytest.fixture(scope="session")
def client(embedder: FaceEmbedder) -> Iterator[TestClient]:
    """A service of the default model."""
    with TestClient(create_app(Settings(), embedder)) as opened:
        yield opened


@pytest.fixture(scope="session")
def penalty_client(penalty_embedder: FaceEmbedder) -> Iterator[TestClient]:
    """A service whose card has a made-up penalty for poor photos."""
    with TestClient(create_app(Settings(), penalty_embedder)) as opened:
        yield opened


@pytest.fixture(scope="session")
def bare_client(bare_embedder: FaceEmbedder) -> Iterator[TestClient]:
    """A service whose card has no penalty for poor photos."""
    with TestClient(create_app(Settings(), bare_embedder)) as opened:
        yield opened


@pytest.fixture(scope="session")
def photos(examples: Path) -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in sorted(examples.glob("*.jpg"))}


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with small_site() as opened:
        yield opened


@pytest.fixture(scope="module")
def gallery_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service of galleries keeps its files."""
    return tmp_path_factory.mktemp("galleries")


@pytest.fixture(scope="module")
def gallery_app(embedder: FaceEmbedder, gallery_folder: Path) -> FastAPI:
    """A service that keeps galleries in a file, with an audit log."""
    store, audit = f"sqlite:///{gallery_folder / 'gallery.db'}", str(gallery_folder / "audit")
    return create_app(Settings(gallery=store, audit=audit), embedder)


@pytest.fixture(scope="module")
def gallery_client(gallery_app: FastAPI) -> Iterator[httpx2.Client]:
    """That service on a socket."""
    with served(gallery_app) as url, httpx2.Client(base_url=url, timeout=60) as opened:
        yield opened


@pytest.fixture
def gallery(gallery_client: httpx2.Client) -> Iterator[str]:
    """The address of an empty gallery."""
    url = f"/v1/galleries/{uuid4()}"
    assert gallery_client.put(url).status_code == 201
    yield url
    gallery_client.delete(url)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of a certificate for localhost, of its key, and of that key with a passphrase."""
    folder = tmp_path_factory.mktemp("tls")
    made = {name: str(folder / f"{name}.pem") for name in ("certificate", "key", "locked", "other")}
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    lock = ["openssl", "ec", "-aes128", "-passout", "pass:hunter2", "-in", made["key"], "-out", made["locked"]]
    for command in (
        [*new, *about, "-keyout", made["other"], "-out", str(folder / "unused.pem")],
        [*new, *about, "-keyout", made["key"], "-out", made["certificate"]],
        lock,
    ):
        subprocess.run(command, check=True, capture_output=True)
    return made
