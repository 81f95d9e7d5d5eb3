"""Convert an ONNX file with block-quantised weights to f32 weights, which more runtimes support.

Usage: python tools/dequantise_onnx.py IN OUT. A node that depends on constants alone (`DequantizeLinear`, and the
`Reshape` after it) becomes the constant that onnx's reference implementation computes. Unused inputs are removed:
such files still declare the quantised weights as inputs, and OpenCV 5 then refuses to run them.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, numpy_helper
from onnx.reference import ReferenceEvaluator

Constants = dict[str, np.ndarray]


def dequantised(model: ModelProto) -> ModelProto:
    """Return the model with its constants computed; `model` is not changed."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:  # each after those that it depends on, as ONNX demands
        if constants.keys() >= set(node.input):
            constants.update(computed(node, constants))
        else:
            nodes.append(node)
    return with_constants(model, nodes, constants)


def computed(node: NodeProto, constants: Constants) -> Constants:
    values = ReferenceEvaluator(node).run(None, {name: constants[name] for name in node.input})
    return dict(zip(node.output, map(np.asarray, values), strict=True))


def with_constants(model: ModelProto, nodes: list[NodeProto], constants: Constants) -> ModelProto:
    """Return a copy of the model with these nodes, and with the inputs and constants that they use."""
    made = ModelProto()
    made.CopyFrom(model)
    taken = {name for node in nodes for name in node.input}
    for old in (made.graph.node, made.graph.initializer, made.graph.input, made.graph.value_info):
        del old[:]
    made.graph.node.extend(nodes)
    made.graph.input.extend(each for each in model.graph.input if each.name in taken - constants.keys())
    kept = {name: value for name, value in constants.items() if name in taken}
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in kept.items())
    onnx.checker.check_model(made)
    return made


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(dequantised(onnx.load(sys.argv[1])).SerializeToString())
