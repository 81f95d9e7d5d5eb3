"""What all tests share: the built-in model, the example photos, and where the larger test data lies."""

import os
from pathlib import Path

import pytest

from embedder import FaceEmbedder, load

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def embedder() -> FaceEmbedder:
    return load()


@pytest.fixture(scope="session")
def examples() -> Path:
    return ROOT / "examples" / "faces"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real faces that is not part of the project."""
    if not DATA.is_dir():
        pytest.skip("the test photos beside the checkout are absent (set TEST_DATA to their folder)")
    return DATA
