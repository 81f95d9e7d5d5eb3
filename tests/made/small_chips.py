"""A bundle whose chips are of another size than the built-in model's: an untrained network, with its graph."""

from pathlib import Path

import torch
from learnt_card import learnt_card

from embedder import (
    Alignment,
    Architecture,
    Preprocessing,
    embedding_graph,
    new_network,
    serialize_tensors,
    tensors_of,
    write_bundle,
)

ARCFACE = Alignment(
    chip_size_px=112,
    points=((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
    landmark_offset_px=-0.5,
)


def write_small_chips(
    folder: Path, *, crop_px: int | None = None, input_size_px: int = 56, embedding_size: int = 128
) -> Path:
    architecture = Architecture(backbone="small", embedding_size=embedding_size, unit_length=True, mirror=True)
    preprocessing = Preprocessing(
        input_size_px=input_size_px, crop_px=crop_px, color_order="RGB", mean=(127.5,) * 3, scale=64.0
    )
    generator = torch.Generator().manual_seed(0)
    network = new_network(architecture, preprocessing, ARCFACE.chip_size_px, generator).eval()
    weights = serialize_tensors(tensors_of(network))
    graph = embedding_graph(network, weights)
    card = learnt_card(weights, architecture, preprocessing, graph=graph, alignment=ARCFACE)
    write_bundle(folder, card, weights, graph=graph)
    return folder
