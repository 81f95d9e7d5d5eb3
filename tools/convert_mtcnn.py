"""Turn the MTCNN weights in facenet-pytorch's wheel (legacy pickles) into the one safetensors file that serving reads.

There a network takes (pixel - 127.5) / 128. Here its first convolution, which has no padding, takes pixels as they are.

Usage: python tools/convert_mtcnn.py OUT. The same wheel gives the same bytes; a test holds that.
"""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

NETWORKS = ("pnet", "rnet", "onet")
PIXEL_MEAN, PIXEL_SCALE = 127.5, 128


def mtcnn_bytes() -> bytes:
    """The three networks' tensors, named `pnet.conv1.weight` and so on, as a safetensors file."""
    spec = find_spec("facenet_pytorch")
    if spec is None or spec.origin is None:
        sys.exit("facenet-pytorch is not installed; run: make setup")
    data = Path(spec.origin).parent / "data"
    tensors = {
        f"{network}.{name}": tensor.contiguous()
        for network in NETWORKS
        for name, tensor in of_pixels(torch.load(data / f"{network}.pt", weights_only=True)).items()
    }
    return save(tensors)


def of_pixels(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors with the normalisation of its pixels folded into the first convolution."""
    weight, bias = tensors["conv1.weight"] / PIXEL_SCALE, tensors["conv1.bias"]
    offset = PIXEL_MEAN * weight.double().sum(dim=(1, 2, 3))
    return {**tensors, "conv1.weight": weight, "conv1.bias": (bias - offset).float()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(mtcnn_bytes())
