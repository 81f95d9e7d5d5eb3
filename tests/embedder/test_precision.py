"""Embeddings in f32, bf16 and int8: close to each other, never mixed, and refused where they cannot be had."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import ModelProto, TensorProto, numpy_helper

from embedder import (
    BUILT_IN,
    BundleError,
    DigestMismatch,
    FaceEmbedder,
    OperatingPoint,
    Precision,
    RuntimeOptions,
    RuntimeUnavailable,
    build_network,
    copy_bundle,
    fuse_batch_norm,
    load,
    read_bundle,
    write_bundle,
)
from embedder.weights.bundle import INT8_GRAPH_FILE
from visavis.cli.main import main

pytestmark = pytest.mark.slow

ONES = np.ones(128, np.float32)
MOST_MOVED = 0.1  # in distance; of LFW's 1.2 million pairs int8 moves none by more


@pytest.fixture(scope="module")
def in_int8() -> FaceEmbedder:
    return load(running=RuntimeOptions(precision="int8"))


@pytest.fixture(scope="module")
def with_a_point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in weights and graphs, under a card with a made-up point."""
    folder, card = tmp_path_factory.mktemp("point") / "bundle", read_bundle().card
    point = OperatingPoint(name="fmr-1e-3", threshold=1.1, fmr=1e-3, fnmr=None, note="Made up.")
    parts = {"operating_points": (point,), "default_point": point.name, "quality_penalties": (), "calibration": None}
    copy_bundle(None, folder, card.model_validate(dict(card) | parts))
    return folder


@pytest.fixture(scope="module")
def graph() -> ModelProto:
    return onnx.load(BUILT_IN / INT8_GRAPH_FILE)


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_int8_gives_the_same_verdicts_at_nearly_the_same_distances(
    embedder: FaceEmbedder, in_int8: FaceEmbedder, examples: Path
) -> None:
    photos = [photo.read_bytes() for photo in sorted(examples.glob("*.jpg"))]
    one, other = (each.verify_many(photos[0], photos[1:], threshold=1.0).results for each in (embedder, in_int8))
    assert [result.same for result in one] == [result.same for result in other]
    assert {result.same for result in one} == {True, False}
    moved = [abs(ours.distance - theirs.distance) for ours, theirs in zip(one, other, strict=True)]
    assert 1e-4 < max(moved) < MOST_MOVED


def test_an_answer_in_int8_is_by_the_points_of_the_model(with_a_point: Path, examples: Path) -> None:
    probe, reference = ((examples / f"001-{name}.jpg").read_bytes() for name in ("neutral", "smiling"))
    answer = load(with_a_point, running=RuntimeOptions(precision="int8")).verify(probe, reference)
    assert answer.same
    assert answer.operating_point is not None
    assert (answer.operating_point.name, answer.threshold) == ("fmr-1e-3", 1.1)


def test_each_precision_has_a_digest_of_its_own_under_the_same_card() -> None:
    card = read_bundle().card
    digests = {precision: card.identity(precision).digest for precision in ("f32", "bf16", "int8")}
    assert digests["f32"] == card.digest
    assert len(set(digests.values())) == len(digests)
    assert all(card.precision_of(digest) == precision for precision, digest in digests.items())
    assert {card.identity(precision).card_digest for precision in ("f32", "bf16", "int8")} == {card.card_digest}


def test_another_int8_graph_makes_another_digest_in_int8_alone() -> None:
    card = read_bundle().card
    other = card.model_copy(update={"int8_graph_sha256": "sha256:" + "0" * 64})
    assert other.digest_in("int8") != card.digest_in("int8")
    assert (other.digest_in("f32"), other.digest_in("bf16")) == (card.digest_in("f32"), card.digest_in("bf16"))


def test_a_mirrored_model_keeps_its_int8_graph_and_has_another_digest(in_int8: FaceEmbedder) -> None:
    mirrored = load(mirror=True, running=RuntimeOptions(precision="int8"))
    assert mirrored.runtime_description == "openvino int8"
    assert mirrored.identity.digest not in (in_int8.identity.digest, mirrored.card.digest)


@pytest.mark.parametrize(("ours", "theirs"), [("int8", "f32"), ("f32", "int8"), ("f32", "bf16")])
def test_embeddings_of_another_precision_are_refused_with_both_named(ours: Precision, theirs: Precision) -> None:
    digest = read_bundle().card.digest_in(theirs)
    with pytest.raises(
        DigestMismatch, match=f"the same model, but in {theirs}, and this computes in {ours}"
    ) as refusal:
        load(running=RuntimeOptions(precision=ours)).compare(ONES, [ONES], model_digest=digest, threshold=1.0)
    assert refusal.value.precisions == (ours, theirs)


def test_those_of_another_model_are_refused_as_before(in_int8: FaceEmbedder) -> None:
    with pytest.raises(DigestMismatch, match="was made by model sha256:0") as refusal:
        in_int8.compare(ONES, [ONES], model_digest="sha256:" + "0" * 64, threshold=1.0)
    assert refusal.value.precisions is None


def test_those_of_int8_are_compared_in_int8(in_int8: FaceEmbedder, examples: Path) -> None:
    stored = in_int8.embed((examples / "001-neutral.jpg").read_bytes())
    found = in_int8.compare(stored.vector, [stored.vector], model_digest=stored.model.digest, threshold=1.0)
    assert found.results[0].distance == 0


def test_a_model_without_an_int8_graph_refuses_int8_with_what_to_do() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"has no int8 network.*use f32.*tools/quantise_network.py BUNDLE"):
        load("dlib-resnet29-128", running=RuntimeOptions(precision="int8"))


@pytest.mark.parametrize(
    "running", [RuntimeOptions("torch", precision="int8"), RuntimeOptions(device="cuda", precision="int8")]
)
def test_torch_refuses_int8(running: RuntimeOptions) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"does not support int8|no device 'cuda'"):
        load(running=running)


def test_an_altered_int8_graph_is_refused_in_every_precision(tmp_path: Path) -> None:
    folder = Path(copytree(BUILT_IN, tmp_path / "bundle"))
    with (folder / INT8_GRAPH_FILE).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=r"network-int8.onnx is not the file that the card describes"):
        load(folder)


def test_a_copied_bundle_holds_the_int8_graph(with_a_point: Path) -> None:
    assert (with_a_point / INT8_GRAPH_FILE).read_bytes() == (BUILT_IN / INT8_GRAPH_FILE).read_bytes()


@pytest.mark.parametrize("int8_graph", [None, b"another"])
def test_a_bundle_is_not_written_without_the_int8_graph_of_its_card(tmp_path: Path, int8_graph: bytes | None) -> None:
    files = {name: (BUILT_IN / name).read_bytes() for name in ("weights.safetensors", "network.onnx")}
    with pytest.raises(ValueError, match=r"this is not the network-int8.onnx that the card describes"):
        write_bundle(
            tmp_path / "bundle",
            read_bundle().card,
            files["weights.safetensors"],
            graph=files["network.onnx"],
            int8_graph=int8_graph,
        )


def test_every_int8_weight_is_the_networks_own_rounded_to_its_scale(graph: ModelProto) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    weights = [
        parameter.detach().numpy()
        for name, parameter in fuse_batch_norm(build_network(read_bundle()).eval()).named_parameters()
        if name.endswith("weight") and parameter.ndim == 4
    ]
    quantised = [node for node in graph.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    assert len(quantised) == len(weights)
    for node, weight in zip(quantised, weights, strict=True):
        steps, scale, zero = (constants[name] for name in node.input)
        assert (steps.dtype, zero.any()) == (np.int8, False)
        exact = weight / scale.reshape(-1, 1, 1, 1)
        assert np.abs(steps - exact).max() < 0.501


def test_the_int8_graph_is_one_file_that_tells_nothing_of_the_machine_that_made_it(graph: ModelProto) -> None:
    assert all(tensor.data_location == TensorProto.DEFAULT for tensor in graph.graph.initializer)
    content = (BUILT_IN / INT8_GRAPH_FILE).read_bytes()
    assert len(content) < 11_000_000
    assert b"site-packages" not in content
    assert b".py" not in content


def test_the_command_verifies_in_int8(with_a_point: Path, examples: Path) -> None:
    pair = (examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    told = [
        json.loads(visavis("verify", *pair, "--model", with_a_point, "--json", *more).stdout)
        for more in ((), ("--precision", "int8"))
    ]
    assert told[0]["model"]["digest"] != told[1]["model"]["digest"]
    assert told[0]["distance"] == pytest.approx(told[1]["distance"], abs=MOST_MOVED)
    assert told[0]["distance"] != told[1]["distance"]


def test_the_command_tells_no_digest_of_a_network_that_is_not_there() -> None:
    refused = visavis("model", "--precision", "int8", "--model", "dlib-resnet29-128")
    assert refused.exit_code == 2
    assert "dlib-resnet29-128 has no int8 network" in refused.stderr


def test_the_command_tells_the_digest_of_a_precision(in_int8: FaceEmbedder) -> None:
    told = json.loads(visavis("model", "--precision", "int8", "--json").stdout)
    assert (told["digest"], told["precision"]) == (in_int8.identity.digest, "int8")
    assert f"{in_int8.identity.digest}  (of embeddings in int8)" in visavis("model", "--precision", "int8").stdout
    assert f"{in_int8.card.digest}  (of embeddings in f32)" in visavis("model").stdout


def test_points_are_calibrated_in_f32_alone(tmp_path: Path, examples: Path) -> None:
    refused = visavis("calibrate", "--identities", examples, "--out", tmp_path / "bundle", "--precision", "int8")
    assert refused.exit_code == 2
    assert "omit --precision int8" in refused.output.replace("\n", " ")
