"""Exported networks: they stand alone, compute what torch does, and nothing stays of one that does not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from learnt_card import learnt_card
from onnx.reference import ReferenceEvaluator
from untraced import untraced_environment

from embedder import (
    BUILT_IN_MODELS,
    Architecture,
    BundleError,
    build_network,
    load,
    read_bundle,
    serialize_tensors,
    tensors_of,
    write_bundle,
)
from embedder.runtime.export import BAR, about, export, largest_difference, sample_chips
from embedder.runtime.openvino import OpenVinoRuntime
from embedder.runtime.torch import TorchRuntime

VISAVIS = Path(sys.executable).parent / "visavis"


def visavis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VISAVIS, *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=BUILT_IN_MODELS)
def name(request: pytest.FixtureRequest) -> str:
    """Of a built-in model."""
    return str(request.param)


@pytest.fixture(scope="module")
def onnx_folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "new" / "folder"
    export(read_bundle(name), folder, "onnx")
    return folder


def test_onnx_is_one_file_that_refers_to_no_other_and_tells_nothing_of_the_machine(
    name: str, onnx_folder: Path
) -> None:
    assert sorted(path.name for path in onnx_folder.iterdir()) == ["README.txt", "card.json", f"{name}.onnx"]
    content = (onnx_folder / f"{name}.onnx").read_bytes()
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert b"site-packages" not in content
    assert b".py" not in content


def test_an_evaluator_that_is_neither_torch_nor_openvino_computes_the_same(name: str, onnx_folder: Path) -> None:
    model = load(name)
    evaluator = ReferenceEvaluator(str(onnx_folder / f"{name}.onnx"))
    chips = sample_chips(model.card.alignment.chip_size_px)[:1]
    (vectors,) = evaluator.run(None, {"pixels": chips})
    assert np.abs(vectors - model.embed_chips(chips)).max() < 1e-5


def test_openvinos_own_format_keeps_the_weights_in_f32(name: str, tmp_path: Path) -> None:
    bundle = read_bundle(name)
    exported = export(bundle, tmp_path / "out", "openvino")
    assert exported.files == ("README.txt", "card.json", f"{name}.bin", f"{name}.xml")
    assert exported.difference < 1e-5
    assert (tmp_path / "out" / f"{name}.bin").stat().st_size > 4 * 0.98 * bundle.card.provenance.stored_parameters
    assert str(tmp_path) not in (tmp_path / "out" / f"{name}.xml").read_text(encoding="utf-8")


def test_the_card_is_the_bundles(name: str, onnx_folder: Path) -> None:
    assert (onnx_folder / "card.json").read_bytes() == (BUILT_IN_MODELS[name] / "card.json").read_bytes()


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        (
            "sface-128",
            ("pixels, uint8 (n, 112, 112, 3)", "float32 (n, 128), of unit length", "The output is a face's embedding"),
        ),
        (
            "dlib-resnet29-128",
            (
                "pixels, uint8 (n, 150, 150, 3)",
                "float32 (n, 128), not of unit length",
                "does not include the averaging",
            ),
        ),
    ],
)
def test_the_readme_says_what_goes_in_what_comes_out_and_whether_mirroring_is_inside(
    model: str, lines: tuple[str, ...]
) -> None:
    told = about(read_bundle(model).card, "network.onnx")
    assert all(line in told for line in lines)


def test_averaged_as_the_readme_says_it_embeds_faces(name: str, onnx_folder: Path) -> None:
    model = load(name)
    network = OpenVinoRuntime().embedding_of_file(onnx_folder / f"{name}.onnx")
    chips = sample_chips(model.card.alignment.chip_size_px)
    vectors = network(chips)
    if model.card.architecture.mirror:
        vectors = (vectors + network(chips[:, :, ::-1])) / 2
    assert np.abs(vectors - model.embed_faces(chips)).max() < 1e-5


def test_what_is_there_already_is_left_as_it_is(onnx_folder: Path) -> None:
    before = {path: path.read_bytes() for path in onnx_folder.iterdir()}
    done = visavis("export", "--format", "openvino", "--out", onnx_folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "choose a new folder" in done.stderr
    assert {path: path.read_bytes() for path in onnx_folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written: File exists"):
        export(read_bundle(), tmp_path / "file" / "out", "onnx")


def test_nothing_stays_of_a_network_that_is_not_torchs_to_1e_4(tmp_path: Path) -> None:
    bundle = so_large_that_f32_does_not_suffice(tmp_path / "bundle")
    done = visavis("export", "--format", "openvino", "--out", tmp_path / "out", "--model", bundle)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the limit is 0.0001. Nothing was kept" in done.stderr
    assert list(tmp_path.iterdir()) == [bundle]


def so_large_that_f32_does_not_suffice(folder: Path) -> Path:
    """Dlib's network with embeddings of some 100,000: the last bits of their channels are above 1e-4."""
    bundle = read_bundle("dlib-resnet29-128")
    network = build_network(bundle)
    for parameter in network.head.parameters():
        parameter.data *= 1e5
    weights = serialize_tensors(tensors_of(network))
    architecture = Architecture(backbone="dlib_resnet", embedding_size=128, unit_length=False, mirror=False)
    card = learnt_card(weights, architecture, bundle.card.preprocessing, alignment=bundle.card.alignment)
    write_bundle(folder, card, weights)
    return folder


def test_the_largest_difference_is_a_distance_that_a_single_channel_suffices_for() -> None:
    one = TorchRuntime().embedding(read_bundle())

    def moved(chips: np.ndarray) -> np.ndarray:
        return one(chips) + np.float32(0.25) * (np.arange(128) == 7)

    assert largest_difference(one, moved, sample_chips(112)) == pytest.approx(0.25, abs=1e-6)  # type: ignore[arg-type] # a network too


def test_sample_chips_are_smooth_varied_and_the_same_each_time() -> None:
    chips = sample_chips(150).astype(int)
    assert (chips == sample_chips(150)).all()
    assert np.abs(np.diff(chips, axis=2)).mean() < 5 < chips.std(axis=(1, 2)).min()


OFFLINE = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise SystemExit(f"{event} {args[1:]}")
sys.addaudithook(refuse)
from visavis.cli.main import main
main(sys.argv[1:], standalone_mode=False)
print(sys.modules["openvino_telemetry"])
"""


def test_the_command_tells_the_largest_difference_and_opens_no_connection(tmp_path: Path) -> None:
    words = ["export", "--format", "openvino", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", OFFLINE, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=untraced_environment())
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "None"), done.stderr
    assert 0 < float(done.stdout.rpartition(" chips: ")[2].split()[0]) < BAR
    assert (tmp_path / "out" / "README.txt").read_text(encoding="utf-8") in done.stdout
