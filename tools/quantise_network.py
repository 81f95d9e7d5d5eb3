"""Quantise a bundle's network to int8: writes network-int8.onnx next to its weights and names the file in its card.

Usage: python tools/quantise_network.py BUNDLE --photos DIR. Post-training quantisation with nncf: 300 chips from photos
of DIR and its subfolders, sampled with a seed, run through the network to find the range of every activation. The file
contains no pixel and no embedding, so no face can be recovered from it. The same photos give the same bytes on the
same kind of processor with the same library versions.

Weights are int8, with a scale for each output channel. Activations are int8 with one scale and no zero point: with a
zero point OpenVINO 2026.4 is three times slower on x86. Nodes before the first convolution and after the last one stay
in f32, because a quantised division by the embedding's length costs most of the accuracy. Bias correction is off,
because it made no measurable difference.

embedder/weights/sface-128 was quantised with 300 of 14,968 photos of 1,696 celebrities, none of them in LFW.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import onnx
from dequantise_onnx import dequantised
from onnx import ModelProto

import embedder.runtime.openvino  # noqa: F401 - before nncf: it keeps openvino_telemetry from reporting
from embedder import (
    Bundle,
    Chips,
    FaceEmbedder,
    RuntimeOptions,
    SampleError,
    build_network,
    fuse_batch_norm,
    load,
    read_bundle,
)
from embedder.runtime.export import self_standing_graph
from embedder.weights.bundle import CARD_FILE, INT8_GRAPH_FILE, sha256_of

import nncf  # isort: skip # after the runtime above

SEED, N_CHIPS = 0, 300
FACE = "largest"  # of each photo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    asked = parser.parse_args()
    embedder = load(asked.bundle)
    chips = calibration_chips(asked.photos, embedder)
    keep(quantised(read_bundle(asked.bundle), chips), asked.bundle)
    in_int8 = load(asked.bundle, running=RuntimeOptions(precision="int8"))
    moved = np.linalg.norm(in_int8.embed_chips(chips) - embedder.embed_chips(chips), axis=1)
    print(f"{len(chips)} chips; int8 moves an embedding by {moved.mean():.3f} on average, {moved.max():.3f} at most")


def calibration_chips(folder: Path, embedder: FaceEmbedder) -> Chips:
    """Chips (n, side, side, 3) of the first photos in a random order that show a face."""
    photos = sorted(path for path in folder.rglob("*") if path.is_file())
    Random(SEED).shuffle(photos)  # noqa: S311 - no secret
    chips = list(islice(_chips(photos, embedder), N_CHIPS))
    if not chips:
        raise SystemExit(f"no face was found in the photos of {folder}")
    return np.stack(chips)


def _chips(photos: Sequence[Path], embedder: FaceEmbedder) -> Iterator[Chips]:
    for photo in photos:
        try:
            yield embedder.chip(photo.read_bytes(), face=FACE).pixels
        except SampleError:
            continue


def quantised(bundle: Bundle, chips: Chips) -> bytes:
    """The graph of a bundle's network with int8 weights inside."""
    nncf.set_log_level(logging.WARNING)
    graph = self_standing_graph(fuse_batch_norm(build_network(bundle).eval()))
    model = dequantised(onnx.load_model_from_string(graph))  # nncf takes no weight that a Reshape stands before
    (pixels,) = model.graph.input
    made: ModelProto = nncf.quantize(
        model,
        nncf.Dataset(list(chips), lambda chip: {pixels.name: chip[None]}),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(chips),
        ignored_scope=nncf.IgnoredScope(names=outside_of_the_convolutions(model)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
    )
    made.graph.ClearField("value_info")  # shapes that follow from the rest
    return made.SerializeToString(deterministic=True)


def outside_of_the_convolutions(model: ModelProto) -> list[str]:
    """Names of the nodes before the first convolution and after the last one."""
    kinds = [node.op_type for node in model.graph.node]
    first, last = kinds.index("Conv"), len(kinds) - 1 - kinds[::-1].index("Conv")
    return [node.name for k, node in enumerate(model.graph.node) if not first <= k <= last]


def keep(graph: bytes, folder: Path) -> None:
    """Write the graph into a bundle, in place of the one it may have, and name it in the card."""
    card = read_bundle(folder).card.model_copy(update={"int8_graph_sha256": sha256_of(graph)})
    (folder / INT8_GRAPH_FILE).write_bytes(graph)
    (folder / CARD_FILE).write_text(card.to_json(), "utf-8")
    read_bundle(folder)


if __name__ == "__main__":
    main()
