"""Turn the MTCNN weights in facenet-pytorch's wheel (legacy pickles) into the one safetensors file that serving reads.

There a network takes (pixel - 127.5) / 128. Here its first convolution divides, which by a power of two changes no bit.

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
PIXEL_SCALE = 128


def mtcnn_bytes() -> bytes:
    """The three networks' tensors, named `pnet.conv1.weight` and so on, as a safetensors file."""
    spec = find_spec("facenet_pytorch")
    if spec is None or spec.origin is None:
        sys.exit("facenet-pytorch is not installed; run: make setup")
    data = Path(spec.origin).parent / "data"
    tensors = {
        f"{network}.{name}": tensor.contiguous()
        for network in NETWORKS
        for name, tensor in undivided(torch.load(data / f"{network}.pt", weights_only=True)).items()
    }
    return save(tensors)


def undivided(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors for pixels that were not divided."""
    return {**tensors, "conv1.weight": tensors["conv1.weight"] / PIXEL_SCALE}


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(mtcnn_bytes())
