"""Export a network: as the ONNX graph of a bundle, or as files for other programs, checked against torch.

A bundle's graph refers to the safetensors file, so that serving needs no torch and the weights are stored once. An ONNX
file for other programs contains the weights, so that there is no second file to lose. Its network is folded, as in
serving.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from onnx import ModelProto
from PIL import Image
from torch import Tensor, nn
from torch.export import Dim

from ..errors import BundleError, ModelError
from ..network import EmbeddingNet, build_network, fuse_batch_norm
from ..types import Chips
from ..weights.bundle import CARD_FILE, WEIGHTS_FILE, Bundle, require_new_folder
from ..weights.card import ModelCard
from ..weights.onnx_graph import Places, places_in, refer
from .openvino import OpenVinoRuntime, convert
from .runtime import EmbeddingSession
from .torch import TorchRuntime

OPSET = 18
INPUT, EMBEDDINGS = "pixels", "embeddings"


def embedding_graph(network: EmbeddingNet, weights: bytes) -> bytes:
    """Export the graph of a network; it refers to a weights file. Its input is uint8 chips (n, side, side, 3)."""
    return _graph_of_chips(deepcopy(network).cpu().eval(), WEIGHTS_FILE, places_in(weights))


def self_standing_graph(network: EmbeddingNet) -> bytes:
    """Export a network in eval mode, including its weights. The graph's input is uint8 chips (n, side, side, 3)."""
    return _graph_of_chips(network, "", {})


def _graph_of_chips(network: EmbeddingNet, file: str, places: Places) -> bytes:
    chips = torch.zeros(2, network.chip_size_px, network.chip_size_px, 3, dtype=torch.uint8)
    return graph(network, chips, {0: Dim("n", min=1)}, [EMBEDDINGS], file, places)


def graph(
    network: nn.Module, example: Tensor, free: Mapping[int, Dim], outputs: Sequence[str], file: str, places: Places
) -> bytes:
    """Export a network in eval mode; `free` are the input's dynamic dimensions, `file` contains its tensors."""
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        optimize=False,  # weights must remain as they are stored
        input_names=[INPUT],
        output_names=outputs,
        dynamic_shapes=(dict(free),),
        opset_version=OPSET,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch exported nothing")
    model: ModelProto = program.model_proto
    _forget_where_it_came_from(model)
    for tensor in model.graph.initializer:
        if tensor.name in places:
            refer(tensor, file, *places[tensor.name])
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return] # protobuf carries no types


def _forget_where_it_came_from(model: ModelProto) -> None:
    """Remove the exporter's metadata: stack traces with local paths, and shapes that can be inferred."""
    for noted in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    model.graph.ClearField("value_info")
    model.ClearField("functions")


ExportFormat = Literal["onnx", "openvino"]
SUFFIXES: Mapping[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}
ABOUT_FILE = "README.txt"
BAR = 1e-4  # largest allowed distance between an exported embedding and torch's
SEED, N_CHIPS = 0, 5
PATCH_SIZE_PX = 6  # of the noise that is enlarged to chips, so that they are smooth like faces


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export."""

    files: tuple[str, ...]
    about: str  # describes input and output
    difference: float  # the largest distance between an exported embedding and torch's


def export(bundle: Bundle, folder: Path, file_format: ExportFormat) -> Exported:
    """Write a bundle's network, its card and a description of input and output into a new folder.

    OpenVINO then loads the exported network, and its embeddings are compared with torch's. Raises BundleError if it
    cannot be written and ModelError if the embeddings differ; in both cases no folder is created.
    """
    require_new_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".export-") as beside:
            made = Path(beside) / "made"
            made.mkdir()
            exported = _written(bundle, made, file_format)
            made.rename(folder)
    except OSError as error:
        raise BundleError(f"the export cannot be written: {error.strerror}") from error
    return exported


def sample_chips(side_px: int) -> Chips:
    """Return reproducible test chips of smooth noise: uint8 (5, side, side, 3)."""
    noise = np.random.default_rng(SEED).integers(0, 256, (N_CHIPS, PATCH_SIZE_PX, PATCH_SIZE_PX, 3), np.uint8)
    size = side_px, side_px
    return np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in noise])


def largest_difference(one: EmbeddingSession, other: EmbeddingSession, chips: Chips) -> float:
    """The largest distance between two networks' embeddings of a chip, (n, side, side, 3), alone and among others."""
    return max(
        float(np.linalg.norm(one(part) - other(part), axis=1).max())  # NaN propagates
        for part in (chips, chips[:1])
    )


def about(card: ModelCard, file: str) -> str:
    """Describe the input and output of an exported network, and the steps left to the caller."""
    side_px = card.alignment.chip_size_px
    length = "of unit length" if card.architecture.unit_length else "not of unit length"
    return f"""\
{file}: the network of the model {card.name}, {card.digest}.
in:  {INPUT}, uint8 (n, {side_px}, {side_px}, 3): n RGB chips with pixel values 0 to 255. A chip is a face
     aligned as `alignment` in {CARD_FILE} specifies. The network includes the normalisation.
out: {EMBEDDINGS}, float32 (n, {card.architecture.embedding_size}), {length}.
{_mirroring(card)}
Origin and licence of the weights: `provenance` in {CARD_FILE}.
"""


def _mirroring(card: ModelCard) -> str:
    if not card.architecture.mirror:
        return "The output is a face's embedding; the card's thresholds are Euclidean distances of embeddings."
    return (
        "A face's embedding is the mean output over its chip and the chip's mirror image (left and right exchanged).\n"
        "The network does not include the averaging; the card's thresholds are Euclidean distances of such means."
    )


def _written(bundle: Bundle, folder: Path, file_format: ExportFormat) -> Exported:
    network = folder / (bundle.card.name + SUFFIXES[file_format])
    _write_network(bundle, network, file_format)
    difference = _difference_from_torch(bundle, network)
    text = about(bundle.card, network.name)
    (folder / CARD_FILE).write_text(bundle.card.to_json(), encoding="utf-8")
    (folder / ABOUT_FILE).write_text(text, encoding="utf-8")
    return Exported(tuple(sorted(path.name for path in folder.iterdir())), text, difference)


def _write_network(bundle: Bundle, file: Path, file_format: ExportFormat) -> None:
    graph = self_standing_graph(fuse_batch_norm(build_network(bundle).eval()))
    if file_format == "onnx":
        file.write_bytes(graph)
    else:
        convert(graph, file)


def _difference_from_torch(bundle: Bundle, network: Path) -> float:
    """Compare the exported embeddings with torch's. Raises ModelError if they differ by more than BAR."""
    chips = sample_chips(bundle.card.alignment.chip_size_px)
    difference = largest_difference(
        OpenVinoRuntime().embedding_of_file(network), TorchRuntime().embedding(bundle), chips
    )
    if not difference <= BAR:  # also true for NaN
        raise ModelError(
            f"the exported network's embeddings differ from torch's by up to {difference:.2g}; the limit is {BAR:g}. "
            "Nothing was kept: run this model with visavis"
        )
    return difference
