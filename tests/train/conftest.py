"""Made-up people for what is counted, real ones for what is seen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedder import MEASURES
from train.evaluation.compared import ComparedPhotos, compare_photos
from train.evaluation.embedding import EmbeddedSet
from train.evaluation.protocols.protocol import LabeledPhoto, Protocol

MadeUp = Callable[..., ComparedPhotos]


@pytest.fixture
def made_up() -> MadeUp:
    return made_up_people


def made_up_people(
    n_people: int,
    n_each: int,
    *,
    seed: int = 0,
    spread: float = 0.055,
    n_failed: int = 0,
    n_each_of_others: int | None = None,
) -> ComparedPhotos:
    """All photos against all, of people whose embeddings lie about as far apart as those of real faces do."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(scale=0.05, size=(n_people, 1, 128))
    vectors = centres + generator.normal(scale=spread / 2, size=(n_people, n_each, 128))
    n_of = [n_each, *[n_each if n_each_of_others is None else n_each_of_others] * (n_people - 1)]
    names = [(f"{k:05}", i) for k in range(n_people) for i in range(n_of[k])]
    photos = tuple(LabeledPhoto(Path(name, f"{i}.jpg"), f"{name}/{i}.jpg", name) for name, i in names)
    embedded = np.array([vectors[int(name), i] for name, i in names], np.float32)
    embedded[:n_failed] = np.nan
    protocol = Protocol("made-up people", photos, None, "largest")
    return compare_photos(protocol, embedded_set(embedded), seed=0)


def embedded_set(vectors: np.ndarray, n_poor: int = 0) -> EmbeddedSet:
    """Embeddings (n, 128) as of n photos, the last of which are too poor; NaN rows are photos without a face."""
    n, missing = len(vectors), np.isnan(vectors).any(axis=1)
    measures = np.tile(np.array([60, 0.5, 0.5, 120, 40, 0, 0.1, 1], np.float32), (n, 1))
    measures[:, MEASURES.index("sharpness")] = np.random.default_rng(0).uniform(0.2, 0.8, n)
    measures[n - n_poor :, MEASURES.index("sharpness")] = 0.05
    measures[missing] = np.nan
    return EmbeddedSet(
        vectors=vectors,
        measures=measures,
        faults=tuple("no_face" if each else None for each in missing),
        image_digests=tuple(f"sha256:{k:064x}" for k in range(n)),
    )


@pytest.fixture(scope="session")
def twelve_people(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Five photos of each."""
    photos = tmp_path_factory.mktemp("photos")
    for k in range(1, 13):
        (photos / f"s{k}").mkdir()
        for each in sorted((data / "orl" / f"s{k}").iterdir())[:5]:
            (photos / f"s{k}" / each.name).symlink_to(each.resolve())
    return photos


@pytest.fixture(scope="session")
def prepared_people(tmp_path_factory: pytest.TempPathFactory, twelve_people: Path) -> Path:
    """Chips of twelve people, for the default model."""
    return prepared_for("sface-128", twelve_people, tmp_path_factory.mktemp("chips") / "twelve")


@pytest.fixture(scope="session")
def prepared_for_dlib(tmp_path_factory: pytest.TempPathFactory, twelve_people: Path) -> Path:
    """Chips of twelve people, for the other built-in model."""
    return prepared_for("dlib-resnet29-128", twelve_people, tmp_path_factory.mktemp("chips") / "twelve")


def prepared_for(model: str, photos: Path, out: Path) -> Path:
    command = [Path(sys.executable).with_name("visavis"), "prepare", photos, "--out", out, "--model", model]
    subprocess.run(command, check=True, capture_output=True)
    return out
