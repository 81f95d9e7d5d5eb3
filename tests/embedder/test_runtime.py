"""Runtimes: OpenVINO computes what torch does, without torch, from graphs whose weights lie beside them."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from learnt_card import learnt_card
from processor import HAS_BF16
from untraced import untraced_environment

from embedder import (
    BACKBONES,
    BUILT_IN,
    BUILT_IN_MODELS,
    Architecture,
    BundleError,
    EmbeddingNet,
    FaceEmbedder,
    Preprocessing,
    RuntimeOptions,
    RuntimeUnavailable,
    build_network,
    default_input_size_px,
    embedding_graph,
    load,
    new_network,
    read_bundle,
    serialize_tensors,
    tensors_of,
    write_bundle,
)
from embedder.runtime.choice import runtime_for
from embedder.runtime.torch import TorchRuntime
from embedder.weights.onnx_graph import places_in

TOLERANCE = 1e-5
OPENVINO, TORCH = RuntimeOptions(runtime="openvino"), RuntimeOptions(runtime="torch")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def written(network: EmbeddingNet, folder: Path, architecture: Architecture, preprocessing: Preprocessing) -> Path:
    weights = serialize_tensors(tensors_of(network))
    graph = embedding_graph(network, weights)
    card = learnt_card(weights, architecture, preprocessing, graph=graph)
    write_bundle(folder, card, weights, graph=graph)
    return folder


@pytest.mark.parametrize("name", ["001-neutral", "001-smiling", "005-neutral"])
def test_both_have_the_same_faces_and_the_same_embeddings(examples: Path, name: str) -> None:
    photo = (examples / f"{name}.jpg").read_bytes()
    ours, theirs = (load(running=running).embed(photo) for running in (OPENVINO, TORCH))
    assert ours.sample.face == theirs.sample.face  # faces are found the same way beside either
    assert np.abs(ours.vector - theirs.vector).max() < TOLERANCE


def test_both_embed_chips_alike() -> None:
    chips = noise(5, 112, 112, 3)
    one, other = (load(running=running).embed_chips(chips) for running in (OPENVINO, TORCH))
    assert np.abs(one - other).max() < TOLERANCE


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_is_exported_and_computes_the_same(name: str, tmp_path: Path) -> None:
    architecture = Architecture(backbone=name, embedding_size=128, unit_length=True, mirror=False)
    size = default_input_size_px(name)
    preprocessing = Preprocessing(
        input_size_px=size, crop_px=96, color_order="RGB", mean=(127.5, 127.5, 127.5), scale=64.0
    )
    network = new_network(architecture, preprocessing, 112, torch.Generator().manual_seed(0)).eval()
    bundle = read_bundle(written(network, tmp_path / "bundle", architecture, preprocessing))
    ours, theirs = (runtime_for(bundle, running).embedding(bundle) for running in (OPENVINO, TORCH))
    assert np.abs(ours(noise(3, 112, 112, 3)) - theirs(noise(3, 112, 112, 3))).max() < TOLERANCE


def test_several_threads_may_use_one_network(embedder: FaceEmbedder) -> None:
    chips = noise(6, 112, 112, 3)
    expected = [embedder.embed_chips(chip[None]) for chip in chips]
    with ThreadPoolExecutor(3) as pool:
        for vector, right in zip(pool.map(lambda chip: embedder.embed_chips(chip[None]), chips), expected, strict=True):
            assert np.abs(vector - right).max() < TOLERANCE


def test_several_threads_find_the_faces_that_one_finds(embedder: FaceEmbedder, examples: Path) -> None:
    photos = [path.read_bytes() for path in sorted(examples.glob("*.jpg"))] * 8
    alone = [embedder.detect(photo) for photo in photos]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(embedder.detect, photos)) == alone


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not support bf16")
def test_bf16_changes_a_little_where_the_processor_has_it() -> None:
    chips = noise(4, 112, 112, 3)
    quick = load(running=RuntimeOptions(precision="bf16"))
    change = np.linalg.norm(quick.embed_chips(chips) - load().embed_chips(chips), axis=1)
    assert 1e-5 < change.max() < 0.05


@pytest.mark.skipif(HAS_BF16, reason="this processor computes in bf16")
def test_bf16_is_refused_where_the_processor_lacks_it() -> None:
    with pytest.raises(RuntimeUnavailable, match="this processor does not support bf16; use f32"):
        load(running=RuntimeOptions(precision="bf16"))


@pytest.mark.parametrize("capabilities", [{"avx2": True, "avx512_bf16": False}, {}])
def test_torch_refuses_bf16_on_a_processor_without_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)  # as such a processor tells of itself
    with pytest.raises(RuntimeUnavailable, match="cpu does not support bf16; use f32"):
        TorchRuntime(precision="bf16")


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_torch_takes_bf16_on_one_that_has_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: True})
    bundle = read_bundle(BUILT_IN)
    assert TorchRuntime(precision="bf16").embedding(bundle).description == "torch bf16 cpu"


def test_torch_takes_over_where_a_bundle_has_no_graph(tmp_path: Path) -> None:
    folder = without_graph(tmp_path)
    chips = noise(1, 112, 112, 3)
    assert np.abs(load(folder).embed_chips(chips) - load().embed_chips(chips)).max() < TOLERANCE
    with pytest.raises(BundleError, match="no exported network"):
        load(folder, running=OPENVINO)


def without_graph(tmp_path: Path) -> Path:
    folder = Path(copytree(BUILT_IN, tmp_path / "bundle"))
    (folder / "network.onnx").unlink()
    card = read_bundle(BUILT_IN).card.model_copy(
        update={"graph_sha256": None, "operating_points": (), "default_point": None, "calibration": None}
    )
    card = card.model_copy(update={"digest": card.computed_digest()})
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")
    return folder


def test_a_bundle_without_a_graph_has_another_digest_than_with_it(tmp_path: Path) -> None:
    assert read_bundle(without_graph(tmp_path)).card.digest != read_bundle(BUILT_IN).card.digest


def test_another_graph_than_the_card_describes_is_refused(tmp_path: Path) -> None:
    folder = Path(copytree(BUILT_IN, tmp_path / "bundle"))
    with (folder / "network.onnx").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match="not the file that the card describes"):
        load(folder)


@pytest.mark.parametrize(
    ("running", "reason"),
    [
        (RuntimeOptions(runtime="openvino", device="cuda"), "runs on the CPU only, not on cuda; use torch"),
        (RuntimeOptions(device="abacus"), "no device 'abacus' here"),
        (RuntimeOptions(device="meta:7x"), "no device 'meta:7x' here"),
    ],
)
def test_what_is_not_to_be_had_is_refused_in_words(running: RuntimeOptions, reason: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=reason):
        load(running=running)


@pytest.mark.parametrize(
    ("absent", "words", "told"),
    [
        (("openvino", "torch"), (), "openvino is not installed; run: pip install 'visavis[service]'"),
        (("openvino",), ("--runtime", "openvino"), "openvino is not installed; run: pip install 'visavis[service]'"),
        (("torch",), ("--device", "cuda"), "devices other than the CPU need it; run: pip install 'visavis[train]'"),
        (("openvino",), (), "openvino is not installed; run: pip install 'visavis[service]'"),  # faces need it too
        (("torch",), (), ""),
    ],
)
def test_what_is_not_installed_is_named_with_what_brings_it(
    examples: Path, absent: tuple[str, ...], words: tuple[str, ...], told: str
) -> None:
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {absent!r} else found(name, package)
sys.meta_path.insert(0, Absent())
from visavis.cli.main import main
main(sys.argv[1:])
"""
    command = [sys.executable, "-c", program, "detect", str(examples / "001-neutral.jpg"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert told in done.stderr
    assert (done.returncode, "1 face" in done.stdout) == ((2, False) if told else (0, True)), done.stderr


def test_the_graph_holds_no_weights_and_nothing_of_the_machine_that_made_it() -> None:
    content = (BUILT_IN / "network.onnx").read_bytes()
    assert len(content) < 60_000
    assert b"site-packages" not in content
    assert b".py" not in content
    assert b".safetensors" in content


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_the_shipped_graph_is_that_of_the_shipped_weights(name: str) -> None:
    weights = (BUILT_IN_MODELS[name] / "weights.safetensors").read_bytes()
    tensors = read_bundle(name).tensors
    for tensor, (first, length) in places_in(weights).items():
        assert weights[first : first + length] == tensors[tensor].tobytes()
    assert tensors_of(build_network(read_bundle(name))).keys() == places_in(weights).keys()


QUIET_PROCESS = """
import sys, os
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise SystemExit(f"{event} {args[1:]}")
sys.addaudithook(refuse)
from embedder import load
paths = sys.argv[1:]
result = load().verify(*(open(path, "rb").read() for path in paths))
places = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
sockets = [place for place in places if os.path.lexists(place) and os.readlink(place).startswith("socket:")]
loaded = {name for name, module in sys.modules.items() if module is not None}
print(result.same, sockets, sorted({"torch", "torchvision", "onnx", "openvino_telemetry"} & loaded))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="sees open sockets by Linux's /proc")
def test_a_verification_needs_no_torch_and_opens_no_connection(examples: Path) -> None:
    photos = [str(examples / f"001-{name}.jpg") for name in ("neutral", "smiling")]
    command = [sys.executable, "-c", QUIET_PROCESS, *photos]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=untraced_environment())
    assert (done.stdout, done.returncode) == ("True [] []\n", 0), done.stderr
