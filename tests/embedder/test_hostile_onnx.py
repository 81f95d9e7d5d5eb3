"""Networks to import that are malformed or hostile: each is refused with its reason, within bounds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from embedder import BundleError, NetworkFacts, import_onnx, read_bundle
from embedder.explain import inspect_bundle

pytestmark = pytest.mark.slow

SIDE, CHANNELS, OPSET = 32, 64, 18
Made = ModelProto | bytes
RNG = np.random.default_rng(0)
FLOAT = TensorProto.FLOAT
MIB = 2**20
MEMORY = 3 * 2**30  # of address space: Python, OpenVINO and onnx take about 1.3 GiB of it


def constant(name: str, value: object) -> TensorProto:
    return numpy_helper.from_array(np.array(value), name)


def value(name: str, shape: Sequence[object], kind: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


WEIGHTS = constant("weights", RNG.normal(size=(3, CHANNELS)).astype(np.float32))
GIVEN, MADE = value("data", ["n", 3, SIDE, SIDE]), value("vector", ["n", CHANNELS])
HEAD = (
    helper.make_node("GlobalAveragePool", ["data"], ["pooled"], name="pool"),
    helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
)
PRODUCT = helper.make_node("MatMul", ["flat", "weights"], ["vector"], name="product")


def network(
    nodes: Sequence[NodeProto] = (*HEAD, PRODUCT),
    *,
    given: Sequence[ValueInfoProto] = (GIVEN,),
    made: Sequence[ValueInfoProto] = (MADE,),
    constants: Sequence[TensorProto] = (WEIGHTS,),
    opset: int = OPSET,
    ir_version: int = 9,
) -> ModelProto:
    """A small network that may be imported, but for what a test changes: the mean colour, times a matrix."""
    graph = helper.make_graph(nodes, "g", given, made, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def ending(*nodes: NodeProto, constants: Sequence[TensorProto] = ()) -> ModelProto:
    """The small network, whose product `x` is changed by further operations to `vector`."""
    product = helper.make_node("MatMul", ["flat", "weights"], ["x"], name="product")
    return network([*HEAD, product, *nodes], constants=[WEIGHTS, *constants])


def external(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def copied(tensor: TensorProto, **facts: object) -> TensorProto:
    other = TensorProto()
    other.CopyFrom(tensor)
    for name, each in facts.items():
        other.ClearField(name)
        if isinstance(each, list):
            getattr(other, name).extend(each)
        else:
            setattr(other, name, each)
    return other


def body(n_inputs: int) -> object:
    given = [value(f"in{index}", [], TensorProto.BOOL) for index in range(n_inputs)]
    return helper.make_graph([helper.make_node("Identity", ["c"], ["b"])], "body", given, [value("b", [])])


def flow(kind: str, **graphs: object) -> ModelProto:
    return ending(helper.make_node(kind, ["x"], ["vector"], name="turn", **graphs))


def with_part(part: str, **facts: object) -> ModelProto:
    model = network()
    getattr(model, part).add(**facts)
    return model


def with_sparse() -> ModelProto:
    model = network()
    model.graph.sparse_initializer.add().values.CopyFrom(WEIGHTS)
    return model


def message(number: int, content: bytes) -> bytes:
    """A field of a message that contains a message, as protobuf encodes it."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def nested_sequences() -> bytes:
    """A value whose type is a sequence of sequences, 5,000 deep."""
    kind = b""
    for _ in range(5000):
        kind = message(4, message(1, kind))
    return network().SerializeToString() + message(7, message(13, message(2, kind)))


def nested_graphs() -> bytes:
    """Operations with a graph of operations with a graph, 5,000 deep."""
    graph = b""
    for _ in range(5000):
        graph = message(1, message(5, message(6, graph)))
    return message(7, graph)


def many_dims() -> bytes:
    """A value of 20 million dimensions."""
    dims = b"\x0a\x00" * 20_000_000
    return network().SerializeToString() + message(7, message(13, message(2, message(1, message(2, dims)))))


def packed_dims() -> bytes:
    return network().SerializeToString() + message(7, message(5, message(1, b"\x02" * 20_000_000)))


def packed_numbers() -> bytes:
    """An operation with an attribute of 100 million numbers."""
    ints = message(1, b"a") + message(8, b"\x01" * 100_000_000)
    return network().SerializeToString() + message(7, message(1, message(4, b"Relu") + message(5, ints)))


def many_nodes() -> bytes:
    node = helper.make_node("Relu", ["data"], ["x"]).SerializeToString()
    return message(7, message(1, node) * 1_000_000)


def circle() -> ModelProto:
    turns = [helper.make_node("Add", ["x", "b"], ["a"], name="there"), helper.make_node("Relu", ["a"], ["b"])]
    return ending(*turns, helper.make_node("Relu", ["b"], ["vector"]))


HUGE = constant("size", [2**17, 2**15])  # 16 GB in float32
ONE = constant("one", np.float32([1]))
SUMMED = [
    helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
    helper.make_node("Add", ["x", "sum"], ["vector"]),
]
NAN = constant("weights", np.full((3, CHANNELS * 2), np.nan, np.float32))
WIDE = value("vector", ["n", CHANNELS * 2])
LONG = np.zeros(300, np.float32)
REFUSED: Mapping[str, tuple[Callable[[], Made], str]] = {
    "external": (lambda: network(constants=[external(copied(WEIGHTS))]), "another file; save the network as one file"),
    "external in a node": (
        lambda: network(
            [*HEAD, helper.make_node("Constant", [], ["weights"], "w", value=external(copied(WEIGHTS))), PRODUCT],
            constants=[],
        ),
        "node 'w' (Constant): the values of a tensor are in another file",
    ),
    "loop": (lambda: flow("Loop", body=body(3)), "node 'turn' (Loop): it contains loops or conditions"),
    "if": (lambda: flow("If", then_branch=body(0), else_branch=body(0)), "node 'turn' (If): it contains loops"),
    "scan": (lambda: flow("Scan", body=body(1), num_scan_inputs=1), "node 'turn' (Scan): it contains loops"),
    "huge constant": (
        lambda: network(constants=[copied(WEIGHTS, dims=[2**40, 64])]),
        "constant 'weights': its shape is [1099511627776, 64], but it has 192 numbers",
    ),
    "negative shape": (lambda: network(constants=[copied(WEIGHTS, dims=[-3, -64])]), "its shape is [-3, -64]"),
    "shape of many dimensions": (packed_dims, "lists of whole numbers have more than 16,777,216 bytes"),
    "numbers stored twice": (lambda: network(constants=[copied(WEIGHTS, float_data=[1.0])]), "has -1 numbers"),
    "numbers in the list of another type": (
        lambda: network(constants=[copied(WEIGHTS, raw_data=b"", int32_data=[0] * WEIGHTS.dims[0] * CHANNELS)]),
        "has -1 numbers",
    ),
    "every second picture of a pass": (
        lambda: ending(
            helper.make_node("Slice", ["x", "first", "last", "first", "step"], ["vector"]),
            constants=[constant(name, [value]) for name, value in (("first", 0), ("last", 2**31 - 1), ("step", 2))],
        ),
        "its answer for a picture depends on the others of the pass",
    ),
    "names of a megabyte": (
        lambda: network(constants=[WEIGHTS, *(constant(f"{n:03}" + "n" * 4000, LONG) for n in range(300))]),
        "the names of its 300 constants take more than 1,048,576 bytes",
    ),
    "constant of 16 GB": (
        lambda: ending(helper.make_node("ConstantOfShape", ["size"], ["big"]), *SUMMED, constants=[HUGE]),
        "memory",
    ),
    "expanded to 16 GB": (
        lambda: ending(helper.make_node("Expand", ["one", "size"], ["big"]), *SUMMED, constants=[HUGE, ONE]),
        "memory",
    ),
    "two inputs": (
        lambda: network(
            [*HEAD, helper.make_node("Add", ["flat", "more"], ["vector"])], given=[GIVEN, value("more", ["n", 3])]
        ),
        "it has 2 inputs ('data', 'more') instead of one",
    ),
    "no input": (lambda: network([helper.make_node("Relu", ["weights"], ["vector"])]), "it has 0 inputs"),
    "two outputs": (lambda: network(made=[MADE, value("flat", ["n", 3])]), "it has 2 outputs ('vector', 'flat')"),
    "no output": (lambda: network(made=[]), "it has 0 outputs"),
    "unmade output": (lambda: network(made=[value("other", ["n", 64])]), "its output 'other' is made by no operation"),
    "custom domain": (
        lambda: ending(helper.make_node("Run", ["x"], ["vector"], name="own", domain="com.example\x1b[31m")),
        "node 'own' (Run): it has an operation of another domain, com.example\\x1b[31m",
    ),
    "unknown operation": (
        lambda: ending(helper.make_node("Frobnicate", ["x"], ["vector"], name="own")),
        "node 'own' (Frobnicate): OpenVINO does not run it",
    ),
    "circle": (circle, "node 'there' (Add): its input 'b' is made by no operation before it"),
    "same output twice": (
        lambda: ending(
            helper.make_node("Relu", ["x"], ["x"], name="again"), helper.make_node("Relu", ["x"], ["vector"])
        ),
        "node 'again' (Relu): another one has an output of the same name",
    ),
    "same constant twice": (lambda: network(constants=[WEIGHTS, WEIGHTS]), "constant 'weights' is there twice"),
    "random": (
        lambda: ending(helper.make_node("RandomNormalLike", ["x"], ["vector"], name="dice")),
        "node 'dice' (RandomNormalLike): its values are random",
    ),
    "truncated": (lambda: network().SerializeToString()[:-3], "is truncated"),
    "empty": (lambda: b"", "its opset is not stated"),
    "text": (lambda: b"hello, this is no graph", "not an ONNX file"),
    "noise": (lambda: RNG.bytes(100_000), "not an ONNX file"),
    "half floats in": (
        lambda: network(given=[value("data", ["n", 3, SIDE, SIDE], TensorProto.FLOAT16)]),
        "its input 'data' is FLOAT16; export it with FLOAT",
    ),
    "bytes in": (lambda: network(given=[value("data", ["n", 3, SIDE, SIDE], TensorProto.UINT8)]), "is UINT8"),
    "double out": (lambda: network(made=[value("vector", ["n", 64], TensorProto.DOUBLE)]), "'vector' is DOUBLE"),
    "sequence in": (
        lambda: network(given=[helper.make_tensor_sequence_value_info("data", FLOAT, None)]),
        "values that are no tensors",
    ),
    "any height and width": (lambda: network(given=[value("data", ["n", 3, "h", "w"])]), "['any', 3, 'any', 'any']"),
    "not square": (lambda: network(given=[value("data", ["n", 3, 32, 64])]), "['any', 3, 32, 64]"),
    "many dimensions": (lambda: network(given=[value("data", [3] * 100_000)]), "is [3, 3, 3, 3, 3"),
    "many sizes of the output": (lambda: network(made=[value("vector", [3] * 100_000)]), "dimensions [3, 3, 3, 3, 3"),
    "grey": (lambda: network(given=[value("data", ["n", 1, SIDE, SIDE])]), "for pictures of 3 colours"),
    "too large": (lambda: network(given=[value("data", ["n", 3, 4096, 4096])]), "32 to 512 px"),
    "batch of 8": (lambda: network(given=[value("data", [8, 3, SIDE, SIDE])]), "any number at a time"),
    "no shape": (lambda: network(given=[value("data", None)]), "for pictures of 3 colours"),  # type: ignore[arg-type] # unknown
    "map": (
        lambda: network(made=[value("vector", ["n", 64, 7, 7])]),
        "[64, 7, 7] for a picture; it must be one vector",
    ),
    "few channels": (
        lambda: network([*HEAD[:1], helper.make_node("Flatten", ["pooled"], ["vector"])], made=[value("vector", None)]),  # type: ignore[arg-type] # the same
        "[3] for a picture; it must be one vector of 64 to 1,024 channels",
    ),
    "strings": (
        lambda: network(constants=[WEIGHTS, helper.make_tensor("s", TensorProto.STRING, [1], [b"x"])]),
        "is STRING",
    ),
    "unknown data type": (lambda: network(constants=[copied(WEIGHTS, data_type=99)]), "its data type is 99"),
    "sparse": (with_sparse, "it contains sparse tensors"),
    "functions": (lambda: with_part("functions", name="f"), "functions; inline them"),
    "training": (lambda: with_part("training_info"), "training information"),
    "devices": (lambda: with_part("configuration", name="d"), "settings of devices"),
    "sequences of sequences": (nested_sequences, "values that are no tensors"),
    "graphs in graphs": (nested_graphs, "it contains loops or conditions"),
    "a million operations": (many_nodes, "more than 20,000 operations"),
    "many dimensions of a value": (many_dims, "more than 500,000 fields"),
    "many numbers": (packed_numbers, "lists of whole numbers have more than"),
    "long name": (
        lambda: ending(helper.make_node("Relu", ["x"], ["vector"], name="n" * MIB)),
        "a name in it has more than 4,096 bytes",
    ),
    "name of bytes": (
        lambda: network().SerializeToString().replace(b"product", b"pro\xff\xfect"),
        "a name in it is not UTF-8 text",
    ),
    "opset": (lambda: network(opset=99), "its opset is 99; export it with one of 9 to"),
    "old opset": (lambda: network(opset=5), "its opset is 5"),
    "weights of another shape": (
        lambda: network(constants=[copied(WEIGHTS, dims=[CHANNELS, 3])]),
        "node 'product' (MatMul): OpenVINO does not run it",
    ),
    "weights that are not numbers": (lambda: network(made=[WIDE], constants=[NAN]), "values that are not finite"),
    "mean over the pictures of a pass": (
        lambda: ending(
            helper.make_node("ReduceMean", ["x", "axis"], ["m"], keepdims=1),
            helper.make_node("Sub", ["x", "m"], ["d"]),
            helper.make_node("Add", ["d", "one"], ["vector"]),
            constants=[constant("axis", [0]), ONE],
        ),
        "its answer for a picture depends on the others of the pass",
    ),
    "one picture": (
        lambda: network(
            [
                *HEAD[:1],
                helper.make_node("Reshape", ["pooled", "shape"], ["flat"], name="reshape"),
                PRODUCT,
            ],
            given=[value("data", [1, 3, SIDE, SIDE])],
            made=[value("vector", [1, CHANNELS])],
            constants=[WEIGHTS, constant("shape", [1, 3])],
        ),
        "export it for any number of pictures at a time",
    ),
}

PROGRAM = """
import json, re, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from embedder import BundleError, NetworkFacts, import_onnx
facts = NetworkFacts(name="own", licence="MIT", color_order="rgb", normalisation="inside", alignment="arcface")
found = {}
for file in sorted(Path(sys.argv[2]).iterdir()):
    start = time.perf_counter()
    try:
        import_onnx(file, Path(sys.argv[2] + "-bundles") / file.name, facts)
        reason = "imported"
    except BundleError as error:
        reason = str(error)
    found[file.name] = reason, time.perf_counter() - start
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())  # ru_maxrss counts the parent's too
print(json.dumps([found, int(peak[1])]))
"""
ODD_FILES: Mapping[str, str] = {
    "fifo.onnx": "not a regular file",
    "folder.onnx": "not a regular file",
    "link.onnx": "/files/good.onnx",
    "device.onnx": "is a symbolic link, and links are not followed; give the file that it leads to: /dev/zero",
    "sparse-file.onnx": "more than 536,870,912 bytes",
}


def write_odd_files(folder: Path) -> None:
    os.mkfifo(folder / "fifo.onnx")
    (folder / "folder.onnx").mkdir()
    (folder / "good.onnx").write_bytes(network().SerializeToString())
    (folder / "link.onnx").symlink_to("good.onnx")
    (folder / "device.onnx").symlink_to("/dev/zero")
    (folder / "sparse-file.onnx").touch()
    os.truncate(folder / "sparse-file.onnx", 2**40)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, tuple[str, float]], int]:
    """The reason and seconds for each file, and the largest memory in MiB, of one process that imports them all."""
    folder = tmp_path_factory.mktemp("hostile") / "files"
    folder.mkdir()
    for kind, (make, _) in REFUSED.items():
        made = make()
        (folder / kind).write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    write_odd_files(folder)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(MEMORY), folder], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found, peak_kib = json.loads(done.stdout)
    return found, peak_kib // 1024


@pytest.mark.parametrize("kind", [*REFUSED, *ODD_FILES])
def test_a_file_is_refused_in_one_line_with_the_reason(
    kind: str, outcome: tuple[dict[str, tuple[str, float]], int]
) -> None:
    wanted = ODD_FILES[kind] if kind in ODD_FILES else REFUSED[kind][1]
    reason, seconds = outcome[0][kind]
    assert wanted in reason
    assert reason.isprintable()
    assert len(reason) < 600
    assert seconds < 60


def test_the_good_network_beside_them_is_imported(outcome: tuple[dict[str, tuple[str, float]], int]) -> None:
    assert outcome[0]["good.onnx"][0] == "imported"


def test_layers_that_cannot_be_described_are_told_in_one_line(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["data", "rows"], ["in_a_row"]),
        helper.make_node("Conv", ["in_a_row", "kernels"], ["vectors"]),
        helper.make_node("ReduceMax", ["vectors", "last"], ["vector"], keepdims=0),
    ]
    kernels = constant("kernels", RNG.normal(size=(CHANNELS, 3, 5)).astype(np.float32))
    model = network(nodes, constants=[kernels, constant("rows", [0, 3, SIDE * SIDE]), constant("last", [2])])
    (tmp_path / "rows.onnx").write_bytes(model.SerializeToString())
    facts = {"name": "own", "licence": "MIT", "color_order": "rgb", "normalisation": "inside", "alignment": "eyes"}
    import_onnx(tmp_path / "rows.onnx", tmp_path / "own", NetworkFacts.model_validate(facts))
    with pytest.raises(BundleError, match="the network has layers that visavis cannot describe"):
        inspect_bundle(read_bundle(tmp_path / "own"))


def test_refusals_take_little_memory(outcome: tuple[dict[str, tuple[str, float]], int]) -> None:
    assert outcome[1] < 700, "MiB"
