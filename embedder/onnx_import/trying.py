"""Try a foreign network in a process of its own, as it came and as it was wrapped: do the two agree?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import load_file, save_file

from ..errors import printable
from ..runtime.trial import TIME_S, why_it_fails
from ..types import Chips, Vectors
from ..weights.bundle import GRAPH_FILE, WEIGHTS_FILE
from .facts import InputFormat
from .running import CHIPS, N_COMPARED, ORIGINAL, RESULT, write_task
from .source import SourceNetwork, node_text
from .wrapping import WrappedNetwork

RUNNING = "embedder.onnx_import.running"
PARITY = 1e-5  # largest difference of a channel, for vectors of length 1
ALL_TIME_S = 600.0  # for all chips in all formats


@dataclass(frozen=True, slots=True, eq=False)
class TriedNetwork:
    """What a trial found."""

    originals: tuple[Vectors, ...]  # of all chips, for each format of the input, scaled to length 1
    difference: float  # between original and wrapped network, in the first format


def output_shape(source: SourceNetwork) -> list[int]:
    """Return the dimensions of the output for one picture. Raises BundleError."""
    side = source.side_px
    shape = [1, 3, side, side] if source.layout == "nchw" else [1, side, side, 3]
    with TemporaryDirectory(prefix="visavis-") as name:
        folder = Path(name)
        (folder / ORIGINAL).write_bytes(source.data)
        reason = why_it_fails(f"{RUNNING}:measure_output", [name, shape], [folder / ORIGINAL], TIME_S)
        if reason:
            raise source.refused(_blamed(source, reason))
        return [int(each) for each in load_file(folder / RESULT)["shape"]]


def tried(source: SourceNetwork, network: WrappedNetwork, chips: Chips, formats: Sequence[InputFormat]) -> TriedNetwork:
    """Embed chips with the original in each format, and the last ones with the wrapped network in the first.

    Raises BundleError if the two disagree, or if an answer depends on the other pictures of a pass.
    """
    with TemporaryDirectory(prefix="visavis-") as name:
        folder = Path(name)
        (folder / ORIGINAL).write_bytes(source.data)
        (folder / GRAPH_FILE).write_bytes(network.graph)
        (folder / WEIGHTS_FILE).write_bytes(network.weights)
        save_file({CHIPS: chips}, folder / CHIPS)
        write_task(folder, source.layout, list(formats), takes_one=source.takes_one)
        files = [folder / each for each in (ORIGINAL, ORIGINAL, WEIGHTS_FILE)]  # it runs both
        reason = why_it_fails(f"{RUNNING}:embed_chips", [name], files, ALL_TIME_S)
        if reason:
            raise source.refused(_blamed(source, reason))
        return _compared(source, load_file(folder / RESULT), len(formats), len(chips))


def _compared(source: SourceNetwork, found: dict[str, Vectors], n_formats: int, n_chips: int) -> TriedNetwork:
    originals = tuple(_unit(found[f"original_{index}"]) for index in range(n_formats))
    wrapped, together = _unit(found["wrapped"]), _unit(found["together"])
    size = wrapped.shape[1:]
    has_one_each = all(each.shape == (n_chips, *size) for each in originals)
    has_one_each &= wrapped.shape == together.shape == (min(N_COMPARED, n_chips), *size)
    if not has_one_each or (np.isfinite(wrapped).all() and not _difference(wrapped, together) <= PARITY):
        raise source.refused(
            "its answer for a picture depends on the others of the pass; export it in eval mode, with a dynamic batch "
            "dimension"
        )
    difference = _difference(wrapped, originals[0][-N_COMPARED:])
    if not difference <= PARITY:  # also true for NaN
        raise source.refused(
            f"its embeddings are not finite, or change by {difference:.2g} with the preparation of the input inside; "
            "check mean and scale"
        )
    return TriedNetwork(originals, difference)


AT_NODE = re.compile(r"<Node\((\w+)\): ([^>]*)>")  # kind and first output
OF_KIND = re.compile(r"\b([A-Z]\w*)-\d+|ONNX operations: (\w+)")  # with the opset; the first of a list in 2026.0


def _blamed(source: SourceNetwork, reason: str) -> str:
    """Return the gist of OpenVINO's reason, and the operation, if it can be told."""
    above, has_summary, _ = reason.partition("\nSummary:")
    found = [line for line in above.splitlines() if not line.startswith("Model wasn't fully converted")]
    told = found if found and (AT_NODE.search(above) or not has_summary) else reason.splitlines()
    gist = printable(told[-1].lstrip("- "))
    advice = "export it for any number of pictures at a time" if source.takes_one else "export it with other operations"
    return f"{_node_blamed(source, reason)}OpenVINO does not run it: {gist}; {advice}"


def _node_blamed(source: SourceNetwork, reason: str) -> str:
    at_node, of_kind = AT_NODE.search(reason), OF_KIND.search(reason)
    for node in source.model.graph.node:
        if at_node and (node.op_type, at_node[2]) == (at_node[1], next(iter(node.output), "")):
            return node_text(node)
        if not at_node and of_kind and node.op_type in of_kind.groups():
            return node_text(node)
    return ""


def _unit(vectors: Vectors) -> Vectors:
    with np.errstate(invalid="ignore", over="ignore"):  # a wrong format may give anything
        scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def _difference(one: Vectors, other: Vectors) -> float:
    return float(np.abs(one - other).max())
