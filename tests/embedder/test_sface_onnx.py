"""The reader of SFace's file on the real file: whole, cut short, altered, and put together otherwise."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings, strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sface_file import sface_file, sface_network

from embedder import BUILT_IN, RuntimeUnavailable, SFaceFileError, tensors_of
from embedder.weights.sface import SFACE_FILE_BYTES, SFACE_FILE_SHA256, parse_sface, read_sface_file

ROOT = Path(__file__).parents[2]
VISAVIS = Path(sys.executable).parent / "visavis"


@pytest.fixture(scope="module")
def content() -> bytes:
    return sface_file().read_bytes()


@pytest.fixture
def model(content: bytes) -> ModelProto:
    return onnx.load_from_string(content)


def node_of(model: ModelProto, output: str) -> NodeProto:
    return next(node for node in model.graph.node if list(node.output) == [output])


def constant_of(model: ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def attribute_of(node: NodeProto, name: str) -> onnx.AttributeProto:
    return next(attribute for attribute in node.attribute if attribute.name == name)


def test_the_real_file_is_the_one_the_reader_knows(content: bytes) -> None:
    assert (len(content), hashlib.sha256(content).hexdigest()) == (SFACE_FILE_BYTES, SFACE_FILE_SHA256)


def test_the_tensors_have_the_names_and_shapes_of_the_networks() -> None:
    tensors, network = read_sface_file(sface_file()), tensors_of(sface_network())
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        name: tensor.shape for name, tensor in network.items()
    }
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ("conv_1_conv2d_weight_reshaped", "backbone.stem.conv.weight"),
        ("conv_13_dw_conv2d_weight_reshaped", "backbone.stage5.0.space.conv.weight"),
        ("conv_12_conv2d_weight_reshaped", "backbone.stage4.5.channels.conv.weight"),
        ("pre_fc1_weight_dequantized", "head.projection.weight"),
        ("pre_fc1_bias_dequantized", "head.projection.bias"),
    ],
)
def test_weights_are_those_that_onnx_itself_dequantises(model: ModelProto, made: str, name: str) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("DequantizeLinear", "Reshape") and node.output[0].startswith(made.rpartition("_")[0]):
            taken = {each: constants[each] for each in node.input}
            (constants[node.output[0]],) = ReferenceEvaluator(node).run(None, taken)
    found = read_sface_file(sface_file())[name]
    assert np.array_equal(constants[made].reshape(found.shape), found)


def test_normalisations_and_slopes_are_those_of_the_file(model: ModelProto) -> None:
    tensors = read_sface_file(sface_file())
    for name, wanted in {
        "backbone.stem.norm.weight": "conv_1_batchnorm_gamma",
        "backbone.stage2.1.channels.norm.running_var": "conv_4_batchnorm_moving_var",
        "backbone.stage5.1.space.activation.weight": "conv_14_dw_relu_gamma",
        "backbone.bn1.bias": "bn1_beta",
        "head.norm.running_mean": "fc1_moving_mean",
    }.items():
        assert np.array_equal(tensors[name], numpy_helper.to_array(constant_of(model, wanted)).ravel())


def refused(content: bytes, folder: Path) -> None:
    """By nothing but an error of ours, whatever the bytes are."""
    altered = folder / "altered.onnx"
    altered.write_bytes(content)
    with pytest.raises(SFaceFileError):
        read_sface_file(altered)


def test_every_truncation_is_refused(content: bytes) -> None:
    random = np.random.default_rng(3).integers(0, len(content), 60)
    for length in (*range(200), *random.tolist(), len(content) - 1):
        with pytest.raises(SFaceFileError, match="not the known SFace file"):
            parse_sface(content[:length])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sface")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_altered_bytes_anywhere_are_refused(content: bytes, folder: Path, data: st.DataObject) -> None:
    """Half of the places lie where the graph is written down, and not in the weights, which are most of the file."""
    last = data.draw(st.sampled_from([40_000, len(content) - 1]))
    altered = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(0, last))] ^= data.draw(st.integers(1, 255))
    if bytes(altered) != content:
        refused(bytes(altered), folder)


def test_a_changed_weight_is_refused_by_the_digest(content: bytes, tmp_path: Path) -> None:
    altered = bytearray(content)
    altered[len(content) // 2] ^= 0x01
    (tmp_path / "altered.onnx").write_bytes(altered)
    with pytest.raises(SFaceFileError, match="sha256 differs"):
        read_sface_file(tmp_path / "altered.onnx")


@given(content=st.binary(max_size=300))
@example(content=b"")
@example(content=b"hello")
@example(content=b"\xff" * 1000)
def test_files_of_another_kind_are_refused(content: bytes) -> None:
    with pytest.raises(SFaceFileError, match="not the known SFace file"):
        parse_sface(content)


def test_another_network_is_refused() -> None:
    with pytest.raises(SFaceFileError, match="not the known SFace file"):
        parse_sface((BUILT_IN / "network.onnx").read_bytes())


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SFaceFileError, match="No such file"):
        read_sface_file(tmp_path / "none.onnx")


def test_a_file_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(SFaceFileError, match="not a regular file"):
        read_sface_file(Path("/dev/zero"))
    (tmp_path / "long").touch()
    os.truncate(tmp_path / "long", 2**40)
    with pytest.raises(SFaceFileError, match=r"more than 10,667,852 bytes"):
        read_sface_file(tmp_path / "long")


def test_without_onnx_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(RuntimeUnavailable, match=r"onnx is not installed.*pip install 'visavis\[train\]'"):
        parse_sface(content)


def other_operation(model: ModelProto) -> None:
    node_of(model, "conv_3_relu").op_type = "LeakyRelu"


def other_domain(model: ModelProto) -> None:
    node_of(model, "conv_3_relu").domain = "com.microsoft"


def other_order(model: ModelProto) -> None:
    nodes = list(model.graph.node)
    at = next(place for place, node in enumerate(nodes) if node.output[0] == "conv_3_relu")
    nodes[at], nodes[at - 1] = nodes[at - 1], nodes[at]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def layer_left_out(model: ModelProto) -> None:
    node_of(model, "conv_9_dw_conv2d").input[0] = "conv_8_dw_relu"


def layer_more(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["fc1"], ["more"]))
    model.graph.output[0].name = "more"


def ends_early(model: ModelProto) -> None:
    model.graph.output[0].name = "pre_fc1"


def two_outputs(model: ModelProto) -> None:
    model.graph.output.add(name="bn1")


def other_stride(model: ModelProto) -> None:
    attribute_of(node_of(model, "conv_3_dw_conv2d"), "strides").ints[:] = [1, 1]


def other_padding(model: ModelProto) -> None:
    attribute_of(node_of(model, "conv_2_conv2d"), "pads").ints[:] = [1, 1, 1, 1]


def other_groups(model: ModelProto) -> None:
    attribute_of(node_of(model, "conv_2_dw_conv2d"), "group").i = 1


def other_eps(model: ModelProto) -> None:
    attribute_of(node_of(model, "bn1"), "epsilon").f = 1e-3


def attribute_gone(model: ModelProto) -> None:
    del node_of(model, "bn1").attribute[:]


def attribute_twice(model: ModelProto) -> None:
    node = node_of(model, "bn1")
    node.attribute.append(attribute_of(node, "epsilon"))


def attribute_of_another_type(model: ModelProto) -> None:
    attribute = attribute_of(node_of(model, "bn1"), "epsilon")
    attribute.type, attribute.s = onnx.AttributeProto.STRING, b"small"


def integer_for_a_float(model: ModelProto) -> None:
    attribute = attribute_of(node_of(model, "pre_fc1"), "alpha")
    attribute.type, attribute.i = onnx.AttributeProto.INT, 1


def other_block_size(model: ModelProto) -> None:
    attribute_of(node_of(model, "conv_9_conv2d_weight_dequantized"), "block_size").i = 32


def other_axis(model: ModelProto) -> None:
    attribute_of(node_of(model, "pre_fc1_weight_dequantized"), "axis").i = 0


def other_shape(model: ModelProto) -> None:
    constant_of(model, "conv_9_conv2d_weight_quantized").dims[:] = [256, 1024]


def shape_that_its_numbers_do_not_fill(model: ModelProto) -> None:
    constant_of(model, "conv_9_conv2d_weight_quantized").dims[:] = [512, 2**40]


def shape_of_less_than_nothing(model: ModelProto) -> None:
    constant_of(model, "conv_9_conv2d_weight_quantized").dims[:] = [-512, -512]


def other_shape_of_kernels(model: ModelProto) -> None:
    constant_of(model, "conv_2_dw_conv2d_weight_shape").raw_data = np.array([32, 9, 1, 1], "<i8").tobytes()


def other_kind_of_number(model: ModelProto) -> None:
    constant_of(model, "conv_9_conv2d_weight_quantized").data_type = TensorProto.UINT8


def halved_scales(model: ModelProto) -> None:
    scales = constant_of(model, "conv_9_conv2d_weight_scales")
    scales.dims[:] = [512, 4]
    scales.raw_data = scales.raw_data[: 512 * 4 * 4]


def scale_that_is_no_number(model: ModelProto) -> None:
    scales = constant_of(model, "conv_9_conv2d_weight_scales")
    scales.raw_data = np.float32(np.nan).tobytes() + scales.raw_data[4:]


def scale_beyond_float32(model: ModelProto) -> None:
    scales = constant_of(model, "conv_9_conv2d_weight_scales")
    scales.raw_data = np.full(512 * 8, 3e38, "<f4").tobytes()


def infinite_slope(model: ModelProto) -> None:
    constant_of(model, "conv_3_relu_gamma").float_data[0] = float("inf")


def numbers_twice(model: ModelProto) -> None:
    constant_of(model, "conv_9_conv2d_weight_scales").float_data.append(1.0)


def external_data(model: ModelProto) -> None:
    tensor = constant_of(model, "conv_9_conv2d_weight_quantized")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def constant_missing(model: ModelProto) -> None:
    model.graph.initializer.remove(constant_of(model, "conv_3_relu_gamma"))
    for each in [each for each in model.graph.input if each.name == "conv_3_relu_gamma"]:
        model.graph.input.remove(each)


def constant_made_an_input(model: ModelProto) -> None:
    model.graph.initializer.remove(constant_of(model, "conv_3_relu_gamma"))


def constant_twice(model: ModelProto) -> None:
    model.graph.initializer.append(constant_of(model, "conv_3_relu_gamma"))


def constant_shared(model: ModelProto) -> None:
    node_of(model, "conv_3_relu").input[1] = "conv_4_relu_gamma"


def constant_more(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "more"))


def weights_shared(model: ModelProto) -> None:
    node_of(model, "conv_9_conv2d").input[1] = "conv_10_conv2d_weight_reshaped"


def weights_made_twice(model: ModelProto) -> None:
    model.graph.node.append(node_of(model, "conv_9_conv2d_weight_reshaped"))


def weights_without_a_scale(model: ModelProto) -> None:
    del node_of(model, "conv_9_conv2d_weight_dequantized").input[2:]


def weights_not_dequantised(model: ModelProto) -> None:
    node_of(model, "pre_fc1").input[1] = "pre_fc1_weight_quantized"


def other_mean(model: ModelProto) -> None:
    constant_of(model, "scalar_op1").float_data[0] = 128


def other_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 224


def other_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 22


def other_dropout(model: ModelProto) -> None:
    node_of(model, "_v_265").attribute[0].t.float_data[0] = 0.5


def dropout_without_a_share(model: ModelProto) -> None:
    del node_of(model, "dropout5").input[1:]


def nothing(model: ModelProto) -> None:
    model.Clear()


REASONS: dict[Callable[[ModelProto], None], str] = {
    other_operation: "'LeakyRelu' found instead of PRelu",
    other_domain: "another domain",
    other_order: "'PRelu' found instead of BatchNormalization",
    layer_left_out: "does not use the previous node's output",
    layer_more: "does not end where the network does",
    ends_early: "does not end where the network does",
    two_outputs: "2 outputs instead of one",
    other_stride: r"strides of a Conv is \(1, 1\), not \(2, 2\)",
    other_padding: "pads of a Conv",
    other_groups: "group of a Conv is 1, not 32",
    other_eps: "epsilon of a BatchNormalization",
    attribute_gone: "has attributes",
    attribute_twice: "attribute 'epsilon' occurs twice",
    attribute_of_another_type: "attribute 'epsilon' is of type 3",
    integer_for_a_float: "alpha of a Gemm is 1, not 1.0",
    other_block_size: "block_size of a DequantizeLinear is 32, not 64",
    other_axis: "axis of a DequantizeLinear is 0, not 1",
    other_shape: r"is int8 \(256, 1024\), not int8 \(512, 512\)",
    shape_that_its_numbers_do_not_fill: "has 262,144 numbers",
    shape_of_less_than_nothing: "has 262,144 numbers",
    other_shape_of_kernels: r"do not have shape \(32, 1, 3, 3\)",
    other_kind_of_number: "data type 2",
    halved_scales: r"is float32 \(512, 4\), not float32 \(512, 8\)",
    scale_that_is_no_number: "not finite",
    scale_beyond_float32: "weights are not finite",
    infinite_slope: "not finite",
    numbers_twice: "incomplete, or stored twice",
    external_data: "stored in another file",
    constant_missing: "'conv_3_relu_gamma' is missing",
    constant_made_an_input: "2 inputs that are not constants",
    constant_twice: "constant 'conv_3_relu_gamma' occurs twice",
    constant_shared: "two layers use it",
    constant_more: "constants that no layer uses",
    weights_shared: "weights come from nothing",
    weights_made_twice: "produce weights of the same name",
    weights_without_a_scale: "DequantizeLinear with 3 inputs",
    weights_not_dequantised: "weights come from nothing",
    other_mean: "the constant of the first Sub is not 127.5",
    other_input: r"input has shape \(1, 3, 224, 112\)",
    other_opset: "not opset 21",
    other_dropout: "value of a Constant",
    dropout_without_a_share: "Dropout does not use",
    nothing: "not opset 21",
}


@pytest.mark.parametrize("alter", REASONS, ids=lambda alter: alter.__name__)
def test_what_is_put_together_otherwise_is_refused_with_its_reason(
    model: ModelProto, alter: Callable[[ModelProto], None]
) -> None:
    alter(model)
    with pytest.raises(SFaceFileError, match=REASONS[alter]):
        parse_sface(model.SerializeToString())


def test_a_name_that_is_no_text_is_refused(content: bytes) -> None:
    place = content.index(b"conv_3_relu_gamma")
    altered = content[:place] + b"\xff" + content[place + 1 :]
    with pytest.raises(SFaceFileError, match="not text"):
        parse_sface(altered)


def test_the_command_refuses_a_file_that_is_not_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "file.onnx").write_bytes(b"hello")
    words = [VISAVIS, "import-sface", tmp_path / "file.onnx", "--out", tmp_path / "bundle"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not the known SFace file" in done.stderr
    assert not (tmp_path / "bundle").exists()
