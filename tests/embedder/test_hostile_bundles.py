"""Bundles made to hang or exhaust the process that loads them: each is refused in one line, within bounds."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, load_from_string, numpy_helper

from embedder import BUILT_IN, BundleError, RuntimeOptions, is_built_in, load, read_bundle, sha256_of
from embedder.weights.bundle import CARD_FILE, GRAPH_FILE, INT8_GRAPH_FILE, MAX_CARD_BYTES, WEIGHTS_FILE
from embedder.weights.card import ModelCard
from embedder.weights.graph_check import GraphCheck

pytestmark = pytest.mark.slow

OPSET = 18
FOREIGN = {"operating_points": [], "default_point": None, "calibration": None, "quality_penalties": []}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copied(tmp_path / "bundle")


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(BUILT_IN, folder, ignore=shutil.ignore_patterns(INT8_GRAPH_FILE)))


def described(folder: Path, **facts: object) -> Path:
    """Make the card describe the files of the folder, as its author would."""
    card = json.loads((BUILT_IN / CARD_FILE).read_text())
    card |= FOREIGN | {"int8_graph_sha256": None, "weights_sha256": sha256_of((folder / WEIGHTS_FILE).read_bytes())}
    card |= {"graph_sha256": sha256_of((folder / GRAPH_FILE).read_bytes())} | facts
    card["digest"] = ModelCard.model_construct(
        **dict(read_bundle().card) | {name: card[name] for name in ("weights_sha256", "graph_sha256")}
    ).computed_digest()
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder


def with_graph(folder: Path, graph: bytes) -> Path:
    (folder / GRAPH_FILE).write_bytes(graph)
    return described(folder)


def constant(name: str, value: object) -> TensorProto:
    return numpy_helper.from_array(np.array(value), name)


def graph_of(nodes: Sequence[NodeProto], constants: Sequence[TensorProto]) -> bytes:
    """A network whose embeddings are the brightness of the chip plus `r`, a number that `nodes` compute."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 112, 112, 3])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", 128])
    rest = [
        helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f", "axes"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "flat"], ["one"]),
        helper.make_node("Add", ["one", "r"], ["sum"]),
        helper.make_node("Expand", ["sum", "wide"], ["embeddings"]),
    ]
    own = [constant("axes", [1, 2, 3]), constant("flat", [-1, 1]), constant("wide", [1, 128])]
    graph = helper.make_graph([*nodes, *rest], "g", [pixels], [embeddings], [*own, *constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9).SerializeToString()


def expanded(kind: str, inputs: Sequence[str], constants: Sequence[TensorProto]) -> bytes:
    """A network that sums up one huge constant."""
    nodes = [helper.make_node(kind, inputs, ["b"]), helper.make_node("ReduceSum", ["b"], ["r"], keepdims=0)]
    return graph_of(nodes, constants)


ONE = constant("one_number", np.float32([1]))
HUGE = constant("s", [2**17, 2**15])  # 16 GB in float32


def shape_from_a_huge_constant() -> bytes:
    """The shape of one constant is taken from another one of 4 GB, which is then computed as the file is read."""
    nodes = [
        helper.make_node("Expand", ["o", "s"], ["b"]),
        helper.make_node("Slice", ["b", "from", "to"], ["r0"]),
        helper.make_node("Reshape", ["r0", "flat1"], ["r1"]),
        helper.make_node("ConstantOfShape", ["r1"], ["r2"]),
        helper.make_node("ReduceSum", ["r2"], ["r"], keepdims=0),
    ]
    constants = {"o": [[1]], "s": [2**15, 2**14], "from": [0, 0], "to": [1, 1], "flat1": [1]}
    return graph_of(nodes, [constant(name, value) for name, value in constants.items()])


HUGE_GRAPHS: dict[str, Callable[[], bytes]] = {
    "a constant of a shape": lambda: expanded("ConstantOfShape", ["s"], [HUGE]),
    "an expanded number": lambda: expanded("Expand", ["one_number", "s"], [ONE, HUGE]),
    "a product": lambda: expanded(
        "Mul",
        ["a", "c"],
        [constant("a", np.zeros((2**16, 1), np.float32)), constant("c", np.zeros((1, 2**16), np.float32))],
    ),
    "a shape": shape_from_a_huge_constant,
}


@pytest.mark.parametrize("kind", HUGE_GRAPHS)
def test_a_graph_that_needs_all_memory_is_refused_before_this_process_loads_it(kind: str, copy: Path) -> None:
    with pytest.raises(BundleError, match=r"^network\.onnx is not a network that visavis runs: it needs .* memory"):
        load(with_graph(copy, HUGE_GRAPHS[kind]()))


def test_a_graph_of_unknown_origin_that_computes_embeddings_is_loaded(copy: Path) -> None:
    graph = graph_of([helper.make_node("Identity", ["number"], ["r"])], [constant("number", np.float32(1))])
    served = load(with_graph(copy, graph))
    assert served.embed_chips(np.full((1, 112, 112, 3), 7, np.uint8)).tolist() == [[8.0] * 128]


def loop() -> bytes:
    """A network that counts to 2^40."""
    numbers = [("step", TensorProto.INT64), ("go", TensorProto.BOOL), ("x", TensorProto.FLOAT)]
    inputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in numbers]
    outputs = [
        helper.make_tensor_value_info("still", TensorProto.BOOL, []),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, []),
    ]
    steps = [helper.make_node("Identity", ["go"], ["still"]), helper.make_node("Add", ["x", "x"], ["y"])]
    body = helper.make_graph(steps, "body", inputs, outputs)
    constants = [constant("m", np.int64(2**40)), constant("k", np.array(1, bool)), constant("o", np.float32(1))]
    return graph_of([helper.make_node("Loop", ["m", "k", "o"], ["r"], body=body)], constants)


def with_external(location: str, offset: str = "0", length: str = "4", *, twice: bool = False) -> bytes:
    """A network with a number in another file."""
    number = TensorProto(name="r", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    entries = [("location", location), ("offset", offset), ("length", length)]
    for key, value in entries + entries[:1] * twice:
        number.external_data.add(key=key, value=value)
    return graph_of([], [number])


def of_another_domain() -> bytes:
    return graph_of([helper.make_node("Run", [], ["r"], domain="com.example\x1b[31m")], [])


def with_functions() -> bytes:
    model = load_from_string(graph_of([], [constant("r", np.float32(1))]))
    model.functions.add(name="f")
    return model.SerializeToString()


REFUSED_GRAPHS: dict[str, tuple[Callable[[], bytes], str]] = {
    "loop": (loop, "it contains loops or conditions"),
    "functions": (with_functions, "it contains functions"),
    "domain": (of_another_domain, r"another domain, com\.example\\x1b"),
    "absolute": (lambda: with_external("/etc/passwd"), "in another file"),
    "parent": (lambda: with_external("../weights.safetensors"), "in another file"),
    "twice": (lambda: with_external(WEIGHTS_FILE, twice=True), "given twice"),
    "beyond": (lambda: with_external(WEIGHTS_FILE, "38686143"), "beyond the end"),
    "negative": (lambda: with_external(WEIGHTS_FILE, "-1"), "not a number"),
    "truncated": (lambda: (BUILT_IN / GRAPH_FILE).read_bytes()[:-1], "truncated"),
    "text": (lambda: b"hello, this is no graph", "not an ONNX file"),
    "many": (lambda: b"\x08\x00" * 600_000, "more than 500,000 fields"),
}


@pytest.mark.parametrize("kind", REFUSED_GRAPHS)
def test_a_graph_with_what_visavis_never_exports_is_refused_by_its_bytes(kind: str) -> None:
    make, reason = REFUSED_GRAPHS[kind]
    check = GraphCheck(GRAPH_FILE, (WEIGHTS_FILE, (BUILT_IN / WEIGHTS_FILE).stat().st_size))
    with pytest.raises(BundleError, match=reason) as refusal:
        check(make())
    assert str(refusal.value).isprintable()


def test_a_graph_with_a_loop_is_refused_before_any_runtime_reads_it(copy: Path) -> None:
    with pytest.raises(BundleError, match=r"^network\.onnx .* it contains loops or conditions"):
        read_bundle(with_graph(copy, loop()))


def test_another_graph_has_another_digest_and_is_not_built_in(copy: Path) -> None:
    graph = graph_of([helper.make_node("Identity", ["number"], ["r"])], [constant("number", np.float32(1))])
    card = read_bundle(with_graph(copy, graph)).card
    assert card.digest != read_bundle().card.digest
    assert not is_built_in(card)


@pytest.mark.parametrize("name", ["sface-128", "dlib-resnet29-128"])
def test_a_built_in_card_is_told_from_one_with_another_threshold(name: str) -> None:
    card = read_bundle(name).card
    first, *others = card.operating_points
    eased = first.model_copy(update={"threshold": first.threshold + 0.1})
    assert is_built_in(card)
    assert not is_built_in(card.model_copy(update={"operating_points": (eased, *others)}))


def replaced_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def made_sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 2**40)


@pytest.mark.parametrize("name", [CARD_FILE, WEIGHTS_FILE, GRAPH_FILE])
@pytest.mark.parametrize(
    ("change", "reason"),
    [(replaced_by_fifo, "not a regular file"), (replaced_by_device, "not a regular file"), (made_sparse, "more than")],
)
def test_a_file_that_would_never_end_is_refused(
    name: str, change: Callable[[Path], None], reason: str, copy: Path
) -> None:
    change(copy / name)
    with pytest.raises(BundleError, match=f"{name} cannot be read: .*{reason}"):
        load(copy)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_CARD_BYTES,
        '{"a":' * 100_000,
        '{"summary":"' + "x" * MAX_CARD_BYTES + '"}',
        json.dumps({str(number): 0 for number in range(50_000)}),
        '{"\x7f\x1b]0;owned\x07": 1}',
        '{"seed": ' + "9" * 100_000 + "}",
    ],
    ids=["deep lists", "deep objects", "long", "many keys", "control characters", "a huge number"],
)
def test_a_card_that_is_meant_to_hurt_is_refused_in_one_short_line(text: str, copy: Path) -> None:
    (copy / CARD_FILE).write_text(text)
    with pytest.raises(BundleError, match=r"card\.json") as refusal:
        load(copy)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2**21).to_bytes(8, "little") + b"{" * 2**21,
        (2**19).to_bytes(8, "little") + b"[" * 2**19,
        (90).to_bytes(8, "little")
        + b'{"a\x1b":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}'
        + b" " * 20,
    ],
    ids=["empty", "endless header", "long header", "deep header", "shape"],
)
def test_weights_with_a_hostile_header_are_refused(content: bytes, copy: Path) -> None:
    (copy / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=r"weights\.safetensors is not a safetensors file") as refusal:
        load(described(copy))
    assert str(refusal.value).isprintable()


def test_hostile_bundles_are_refused_in_little_memory(tmp_path: Path) -> None:
    """In one process that may have 2.5 GiB of address space, of which Python and OpenVINO take about 1."""
    graphs = {"huge": HUGE_GRAPHS["a shape"](), "loop": loop()}
    for name, graph in graphs.items():
        with_graph(copied(tmp_path / name), graph)
    for name, change in (("fifo", replaced_by_fifo), ("sparse", made_sparse)):
        change(copied(tmp_path / name) / WEIGHTS_FILE)
    program = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (5 * 2**29, 5 * 2**29))
from embedder import BundleError, load
for folder in sys.argv[1:]:
    try:
        load(folder)
    except BundleError as error:
        print(error)
"""
    folders = [str(tmp_path / name) for name in ("huge", "loop", "fifo", "sparse")]
    done = subprocess.run(
        [sys.executable, "-c", program, *folders], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", len(folders)), done.stdout


def test_a_hostile_int8_graph_is_refused_too(copy: Path) -> None:
    (copy / INT8_GRAPH_FILE).write_bytes(HUGE_GRAPHS["an expanded number"]())
    described(copy, int8_graph_sha256=sha256_of((copy / INT8_GRAPH_FILE).read_bytes()))
    with pytest.raises(BundleError, match=r"network-int8\.onnx is not a network that visavis runs"):
        load(copy, running=RuntimeOptions(precision="int8"))
