"""The example photos as folders of people, what `prepare` makes of them, and made-up chips for what is counted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder import MEASURES, FaceEmbedder
from train.data.photos import read_source
from train.data.prepared import PreparedData, Shards, open_prepared
from train.data.preparing import ChipCutter, prepare

SIDE_PX = 240  # a quarter of the time that the photos take as they are

MadeUp = Callable[..., PreparedData]


@pytest.fixture
def people(examples: Path, tmp_path: Path) -> Path:
    """Four people with two photos each, in LFW's layout; a test may change them."""
    return lay_out(examples, tmp_path / "people")


@pytest.fixture(scope="session")
def cutter(embedder: FaceEmbedder) -> ChipCutter:
    return ChipCutter(embedder, "largest")


@pytest.fixture(scope="session")
def prepared(examples: Path, cutter: ChipCutter, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Eight chips of four people; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(read_source(lay_out(examples, folder / "people")), folder / "data", cutter)
    return open_prepared(folder / "data")


def lay_out(examples: Path, folder: Path) -> Path:
    for photo in sorted(examples.glob("*.jpg")):
        person = folder / photo.name.split("-")[0]
        person.mkdir(parents=True, exist_ok=True)
        path = person / f"{person.name}_{len(list(person.iterdir())) + 1:04}.jpg"
        Image.open(photo).resize((SIDE_PX, SIDE_PX)).save(path, quality=95)
    return folder


@pytest.fixture
def made_data(prepared: PreparedData) -> MadeUp:
    """Prepared data of any people, without chips."""

    def made_up(identities: Sequence[str], images: Sequence[str] | None = None, name: str = "x") -> PreparedData:
        n = len(identities)
        return replace(
            prepared,
            folder=Path(name),
            names=tuple(f"{identity}/{k}.jpg" for k, identity in enumerate(identities)),
            identities=tuple(identities),
            image_digests=tuple(images or (f"{name} {k}" for k in range(n))),
            measures=np.zeros((n, len(MEASURES)), np.float32),
            shards=Shards(Path(name)),
        )

    return made_up
