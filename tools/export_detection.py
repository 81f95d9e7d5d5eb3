"""Write the cascade's three networks as ONNX graphs, which take their weights from mtcnn.safetensors beside them.

Usage: python tools/export_detection.py FOLDER. A test holds that they compute what the networks of torch do.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from embedder.detection.graphs import OUTPUT, PROPOSAL, REFINEMENT
from embedder.detection.weights import FILE, load_networks
from embedder.runtime.graph import graph, places_in

SIDES = {PROPOSAL: 64, REFINEMENT: 24, OUTPUT: 48}
NAMES = ("scores", "corrections", "landmarks")


def write(folder: Path) -> None:
    networks = load_networks()
    parts = {PROPOSAL: networks.proposal, REFINEMENT: networks.refinement, OUTPUT: networks.output}
    for (path, network), prefix in zip(parts.items(), ("pnet.", "rnet.", "onet."), strict=True):
        (folder / path.name).write_bytes(exported(network, path, prefix))


def exported(network: nn.Module, path: Path, prefix: str) -> bytes:
    side = SIDES[path]
    free = {0: Dim("n", min=1)} | ({1: Dim("height", min=12), 2: Dim("width", min=12)} if path == PROPOSAL else {})
    pixels = torch.zeros(2, side, side, 3)
    outputs = NAMES if path == OUTPUT else NAMES[:2]
    return graph(network, pixels, free, outputs, FILE.name, places_in(FILE.read_bytes(), prefix))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
