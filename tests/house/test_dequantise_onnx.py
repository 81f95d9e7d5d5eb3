"""The tool that gives an ONNX file f32 weights for those quantised in blocks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

TOOL = Path(__file__).resolve().parents[2] / "tools" / "dequantise_onnx.py"
BLOCK = 4
RNG = np.random.default_rng(0)
WEIGHTS = RNG.integers(-128, 128, (3, 10), np.int8)  # the last block of each row has two numbers
SCALES = RNG.random((3, 3), np.float32)
ZEROS = RNG.integers(-8, 8, (3, 3), np.int8)


@pytest.fixture(scope="module")
def quantised() -> ModelProto:
    """A product with weights (6, 5) from three rows of blocks; an input that nothing takes is declared, as by SFace."""
    given = {"q": WEIGHTS, "s": SCALES, "z": ZEROS, "shape": np.array([6, 5])}
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["rows"], axis=1, block_size=BLOCK),
        helper.make_node("Reshape", ["rows", "shape"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    x, y, old = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [2, 6]), ("y", [2, 5]), ("old", [6, 5]))
    )
    initializers = [numpy_helper.from_array(value, name) for name, value in given.items()]
    graph = helper.make_graph(nodes, "blocks", [x, old], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.fixture(scope="module")
def dequantised(quantised: ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    folder = tmp_path_factory.mktemp("onnx")
    onnx.save(quantised, folder / "in.onnx")
    subprocess.run([sys.executable, TOOL, folder / "in.onnx", folder / "out.onnx"], check=True)
    return onnx.load(folder / "out.onnx")


def test_every_weight_is_its_number_less_the_zero_times_the_scale_of_its_block(dequantised: ModelProto) -> None:
    (weights,) = map(numpy_helper.to_array, dequantised.graph.initializer)
    expected = np.empty(WEIGHTS.shape, np.float32)
    for (row, column), number in np.ndenumerate(WEIGHTS):
        block = column // BLOCK
        expected[row, column] = (np.float32(number) - np.float32(ZEROS[row, block])) * SCALES[row, block]
    assert weights.dtype == np.float32
    assert np.array_equal(weights, expected.reshape(6, 5))


def test_only_what_depends_on_the_input_is_left_to_compute(dequantised: ModelProto) -> None:
    assert [node.op_type for node in dequantised.graph.node] == ["MatMul"]
    assert [each.name for each in dequantised.graph.input] == ["x"]


def test_the_function_is_the_same(quantised: ModelProto, dequantised: ModelProto) -> None:
    x = RNG.random((2, 6), np.float32)
    old = np.zeros((6, 5), np.float32)
    (expected,) = ReferenceEvaluator(quantised).run(None, {"x": x, "old": old})
    (found,) = ReferenceEvaluator(dequantised).run(None, {"x": x})
    assert np.array_equal(found, expected)
