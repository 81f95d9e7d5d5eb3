"""The bundle sface-128 made again from the OpenCV Zoo's file: byte for byte what travels."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from exact_versions import needs_exact_versions
from sface_file import sface_file, sface_network

from embedder import BUILT_IN, ModelCard, read_bundle
from embedder.weights.sface import SFACE_FILE_SHA256, import_sface

pytestmark = pytest.mark.slow

TOOL = Path(__file__).parents[2] / "tools" / "make_sface_bundle.py"
# What calibration adds, and the network in int8, which is made for the weights once they are there.
LATER = {
    "operating_points": (),
    "default_point": None,
    "quality_penalties": (),
    "calibration": None,
    "int8_graph_sha256": None,
}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = spec_from_file_location("make_sface_bundle", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # as dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bundle(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "bundle"
    tool.main(sface_file(), folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@needs_exact_versions
def test_weights_and_graph_are_those_that_travel(bundle: Path) -> None:
    made, ours = contents(bundle), contents(BUILT_IN)
    assert set(made) == {"card.json", "network.onnx", "weights.safetensors"}
    assert made["weights.safetensors"] == ours["weights.safetensors"]
    assert made["network.onnx"] == ours["network.onnx"]


@needs_exact_versions
def test_the_card_lacks_what_comes_later_and_nothing_else(bundle: Path) -> None:
    assert dict(read_bundle(bundle).card) == dict(read_bundle().card) | LATER


def test_the_card_says_whose_weights_these_are_and_claims_no_error_rates(bundle: Path) -> None:
    card: ModelCard = read_bundle(bundle).card
    assert (card.name, card.provenance.license, card.operating_points) == ("sface-128", "Apache-2.0", ())
    assert card.provenance.source_sha256 == SFACE_FILE_SHA256
    assert card.provenance.stored_parameters == sum(each.numel() for each in sface_network().parameters())
    assert "do not document" in card.provenance.trained_on


def test_a_card_that_is_there_already_is_not_written_over(tool: ModuleType, bundle: Path) -> None:
    made = tool.Made(b"", b"", read_bundle(bundle).card)
    with pytest.raises(SystemExit, match="holds a card already"):
        made.write(bundle)
    assert read_bundle(bundle)


def test_the_import_gives_the_bundle_of_the_package_with_its_terms(tmp_path: Path) -> None:
    card = import_sface(sface_file(), tmp_path / "bundle")
    assert card == read_bundle(tmp_path / "bundle").card == read_bundle().card
    assert contents(tmp_path / "bundle") == contents(BUILT_IN)
