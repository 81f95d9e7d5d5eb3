"""The service under test: the real app with the real model, in this process and behind a real socket."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.settings import Settings

# The table of odd inputs and the live service are shared with a script; pytest imports no file by another's side.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from live_service import small_site
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
