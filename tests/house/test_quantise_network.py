"""The tool that quantises a bundle's network to int8: on a small network that has learnt nothing."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from embedder import RuntimeOptions, RuntimeUnavailable, load, read_bundle
from embedder.weights.bundle import INT8_GRAPH_FILE

TOOL = Path(__file__).resolve().parents[2] / "tools" / "quantise_network.py"
IN_INT8 = RuntimeOptions(precision="int8")


def quantise(bundle: Path, photos: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, TOOL, bundle, "--photos", photos], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def quantised(small_chips: Path, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(copytree(small_chips, tmp_path_factory.mktemp("quantised") / "bundle"))
    done = quantise(folder, examples)
    assert done.returncode == 0, done.stderr
    assert "8 chips; int8 moves an embedding by 0." in done.stdout
    return folder


def test_the_bundle_is_the_same_model_and_runs_in_int8(quantised: Path, small_chips: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="no int8 network"):
        load(small_chips, running=IN_INT8)
    assert read_bundle(quantised).card.digest == read_bundle(small_chips).card.digest
    chips = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), np.uint8)
    moved = np.linalg.norm(
        load(quantised, running=IN_INT8).embed_chips(chips) - load(quantised).embed_chips(chips), axis=1
    )
    assert 1e-4 < moved.max() < 0.3


def test_quantised_again_it_is_the_same_to_the_byte(quantised: Path, examples: Path) -> None:
    before = {path.name: path.read_bytes() for path in quantised.iterdir()}
    assert quantise(quantised, examples).returncode == 0
    assert {path.name: path.read_bytes() for path in quantised.iterdir()} == before
    assert INT8_GRAPH_FILE in before


def test_photos_without_a_face_are_refused(small_chips: Path, tmp_path: Path) -> None:
    done = quantise(small_chips, tmp_path)
    assert done.returncode == 1
    assert "no face was found" in done.stderr
