"""Run a foreign network in a process of its own. Files in a folder are all that it shares with the one that waits.

It imports no onnx: the file was parsed before.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..runtime.openvino import OpenVinoRuntime, compile_small_network
from ..types import Inputs, Vectors
from ..weights.bundle import GRAPH_FILE
from .facts import InputFormat, Layout

ORIGINAL, CHIPS, TASK, RESULT = "original.onnx", "chips.npy", "task.json", "result.npz"
PASS = 16  # pictures
N_COMPARED = 8  # chips, the last ones, that the wrapped network embeds too


def write_task(folder: Path, layout: Layout, formats: list[InputFormat], *, takes_one: bool) -> None:
    """Write what `embed_chips` is to do, into its folder."""
    facts = {"layout": layout, "takes_one": takes_one, "formats": [asdict(each) for each in formats]}
    (folder / TASK).write_text(json.dumps(facts))


def measure_output(folder: str, shape: list[int]) -> None:
    """Write the shape of the original's output for one picture of that shape."""
    place = Path(folder)
    (output,) = compile_small_network(place / ORIGINAL)(np.full(shape, 0.5, np.float32))
    np.savez(place / RESULT, shape=np.array(output.shape))


def embed_chips(folder: str) -> None:
    """Write embeddings: the original's in each format, and the wrapped network's of the last chips."""
    place = Path(folder)
    task, chips = json.loads((place / TASK).read_text()), np.load(place / CHIPS)
    formats = [InputFormat(each["color_order"], tuple(each["mean"]), each["scale"]) for each in task["formats"]]
    original = _Original(place / ORIGINAL, 1 if task["takes_one"] else PASS)
    found = {f"original_{index}": original(each.prepared(chips, task["layout"])) for index, each in enumerate(formats)}
    network, last = OpenVinoRuntime(threads=1).embedding_of_file(place / GRAPH_FILE), chips[-N_COMPARED:]
    alone = np.concatenate([network(last[index : index + 1]) for index in range(len(last))])
    np.savez(place / RESULT, wrapped=alone, together=network(last), **found)


class _Original:
    """The network as it came; `size` pictures a pass."""

    def __init__(self, file: Path, size: int) -> None:
        self._run, self._size = compile_small_network(file), size

    def __call__(self, pictures: Inputs) -> Vectors:
        starts = range(0, len(pictures), self._size)
        passes = [self._run(pictures[start : start + self._size])[0] for start in starts]
        return np.concatenate([each.reshape(len(each), -1) for each in passes])
