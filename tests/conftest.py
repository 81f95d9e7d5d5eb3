"""What all tests share: the built-in models, the example photos, and where the larger test data lies."""

import os
from pathlib import Path

import pytest
from penalty_bundle import RULE, write_with
from small_chips import write_small_chips

from embedder import FaceEmbedder, load

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("TEST_DATA", ROOT.parent / "shared" / "data"))

os.environ["VISAVIS_HOSTS"] = "testserver,a"  # by which Starlette's TestClient asks, and tests that write bytes

# Tests with these fixtures run whole networks on photographs, in all kinds of ways; `make test-fast` leaves them out.
SLOW_FIXTURES = {
    "backbone", "bare_bundle", "chromium", "data", "dat_file", "dlib", "each_model", "embedder", "examples", "finder",
    "network", "penalty_bundle", "small_bundle", "small_chips", "url",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what runs whole networks or starts programs of its own."""
    for item in items:
        names, module = set(getattr(item, "fixturenames", ())), getattr(item, "module", None)
        if SLOW_FIXTURES & names or "subprocess" in vars(module):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def embedder() -> FaceEmbedder:
    """The default model."""
    return load()


@pytest.fixture(scope="session")
def dlib() -> FaceEmbedder:
    """The other built-in model."""
    return load("dlib-resnet29-128")


@pytest.fixture(scope="session", params=["embedder", "dlib"])
def each_model(request: pytest.FixtureRequest) -> FaceEmbedder:
    """Each of the built-in models in turn."""
    model: FaceEmbedder = request.getfixturevalue(request.param)
    return model


@pytest.fixture(scope="session")
def penalty_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose card has a made-up penalty for poor photos."""
    return write_with(tmp_path_factory.mktemp("penalty") / "bundle", *RULE)


@pytest.fixture(scope="session")
def bare_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose card has no penalty for poor photos."""
    return write_with(tmp_path_factory.mktemp("bare") / "bundle")


@pytest.fixture(scope="session")
def small_chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of another network than the built-in ones, which has learnt nothing."""
    return write_small_chips(tmp_path_factory.mktemp("small-chips") / "bundle")


@pytest.fixture(scope="session")
def penalty_embedder(penalty_bundle: Path) -> FaceEmbedder:
    return load(penalty_bundle)


@pytest.fixture(scope="session")
def bare_embedder(bare_bundle: Path) -> FaceEmbedder:
    return load(bare_bundle)


@pytest.fixture(scope="session")
def examples() -> Path:
    return ROOT / "examples" / "faces"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real faces that is not part of the project."""
    if not DATA.is_dir():
        pytest.skip("the test photos beside the checkout are absent (set TEST_DATA to their folder)")
    return DATA
