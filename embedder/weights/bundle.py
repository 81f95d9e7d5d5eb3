"""A model bundle on disk: weights, card and exported networks. No file is read as a pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors, save as save_safetensors

from ..errors import BundleError, RuntimeUnavailable, printable
from ..files import read_regular_file
from .card import (
    Alignment,
    Architecture,
    DetectorFacts,
    ModelCard,
    Preprocessing,
    Provenance,
    embedding_digest,
)
from .card_parts import TrainingRecord
from .graph_check import GraphCheck

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
GRAPH_FILE = "network.onnx"
INT8_GRAPH_FILE = "network-int8.onnx"
BUILT_IN_MODELS: Mapping[str, Path] = {
    name: Path(__file__).parent / name for name in ("sface-128", "dlib-resnet29-128")
}  # the first is the default
BUILT_IN = BUILT_IN_MODELS["sface-128"]
MODELS = "VISAVIS_MODELS"  # the variable that names a folder of further bundles
MAX_CARD_BYTES = 2**20
MAX_WEIGHTS_BYTES = 2**30
MAX_WEIGHTS_HEADER_BYTES = 2**20  # names, shapes and places of the tensors, as JSON
MAX_GRAPH_BYTES = 4 * 2**20
MAX_INT8_GRAPH_BYTES = 2**30  # its weights are inside
MAX_REASON = 600  # characters of a reason that an error shows

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A card with its tensors, which were checked against the card's digest."""

    card: ModelCard
    tensors: Tensors
    graph: Path | None = None  # of the exported network, beside its weights; None: the card has none
    int8_graph: Path | None = None  # of the quantised network, its weights inside; None: the card has none

    def without_spare_tensors(self) -> "Bundle":
        """Return the bundle without its tensors if it has an exported network, which makes them redundant in memory."""
        return self if self.graph is None else replace(self, tensors={})


def bundle_folder(model: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a bundle's path or a known model's name; None is the default model.

    Of a path and a name in the folder VISAVIS_MODELS, the path is meant.
    """
    if model is None:
        return BUILT_IN
    if isinstance(model, str) and model in BUILT_IN_MODELS:
        return BUILT_IN_MODELS[model]
    given = Path(model)
    return given if given.name != str(model) or given.exists() else _further_bundles().get(given.name, given)


def known_bundles() -> dict[str, Path]:
    """Return the folders of the known models by name, the built-in ones first. Raises BundleError."""
    return {
        **BUILT_IN_MODELS,
        **{name: path for name, path in _further_bundles().items() if name not in BUILT_IN_MODELS},
    }


def _further_bundles() -> dict[str, Path]:
    """The folders in that of the variable VISAVIS_MODELS, by name; none if it is not set. Raises BundleError."""
    folder = os.environ.get(MODELS)
    try:
        entries = sorted(Path(folder).iterdir()) if folder else []
        return {each.name: each for each in entries if each.is_dir() and not each.name.startswith(".")}
    except OSError as error:
        raise BundleError(f"the folder that {MODELS} names cannot be read: {error.strerror}") from error


def read_bundle(model: str | os.PathLike[str] | None = None) -> Bundle:
    """Read and check a bundle, located as by `bundle_folder`. Raises BundleError with the reason."""
    folder = bundle_folder(model)
    if not folder.is_dir():
        raise BundleError(
            "there is no model bundle at that path; a bundle is a folder that contains card.json, and the built-in "
            f"ones are {' and '.join(BUILT_IN_MODELS)}; visavis models lists all that are known"
        )
    card = _parse_card(_read_file(folder / CARD_FILE, MAX_CARD_BYTES))
    weights = _described(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES, card.weights_sha256)
    tensors = _parse_tensors(weights)
    return Bundle(card, tensors, *_graphs(folder, card, len(weights)))


def is_built_in(card: ModelCard) -> bool:
    """Whether the card is, to the last number, that of a built-in model."""
    return card.card_digest in {built_in.card_digest for built_in in _built_in_cards()}


def is_built_in_graph(graph: Path, card: ModelCard) -> bool:
    """Whether the exported network, in f32 or int8, is that of a built-in model."""
    name = "int8_graph_sha256" if graph.name == INT8_GRAPH_FILE else "graph_sha256"
    return getattr(card, name) in {getattr(built_in, name) for built_in in _built_in_cards()}


@cache
def _built_in_cards() -> tuple[ModelCard, ...]:
    return tuple(_parse_card(_read_file(folder / CARD_FILE, MAX_CARD_BYTES)) for folder in BUILT_IN_MODELS.values())


def write_bundle(
    folder: Path,
    card: ModelCard,
    weights: bytes,
    graph: bytes | None = None,
    int8_graph: bytes | None = None,
) -> None:
    """Write a new bundle, reproducibly to the byte. Existing files are never overwritten."""
    given = {WEIGHTS_FILE: weights, GRAPH_FILE: graph, INT8_GRAPH_FILE: int8_graph}
    contents = _as_described(card, given) | {CARD_FILE: card.to_json().encode()}
    require_new_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with (folder / name).open("xb") as file:
                file.write(content)
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror}") from error


def require_new_folder(folder: Path) -> None:
    """Raise BundleError unless the folder is missing or empty."""
    try:
        is_free = not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror}") from error
    if not is_free:
        raise BundleError("the path already exists and is not an empty folder; choose a new folder for the bundle")


def copy_bundle(source: str | os.PathLike[str] | None, folder: Path, card: ModelCard) -> None:
    """Write a new bundle with the weights of another (located as by `bundle_folder`) and a new card.

    Raises BundleError.
    """
    original = bundle_folder(source)
    weights = _read_file(original / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    graphs = (None if path is None else path.read_bytes() for path in _graphs(original, card, len(weights)))
    write_bundle(folder, card, weights, *graphs)


def graphs_of(bundle: Bundle) -> tuple[bytes | None, bytes | None]:
    """Read the bundle's graph and int8 graph, for `write_bundle`."""
    graph, int8_graph = (None if path is None else path.read_bytes() for path in (bundle.graph, bundle.int8_graph))
    return graph, int8_graph


def int8_graph_of(bundle: Bundle) -> Path:
    """Return the path of the bundle's int8 graph. Raises RuntimeUnavailable if it has none."""
    if bundle.int8_graph is None:
        raise RuntimeUnavailable(
            f"{bundle.card.name} has no int8 network ({INT8_GRAPH_FILE}): use f32, or make one from photos of people, "
            "in a checkout of visavis: python tools/quantise_network.py BUNDLE --photos DIR"
        )
    return bundle.int8_graph


def serialize_tensors(tensors: Tensors) -> bytes:
    """Serialise tensors as a safetensors file, reproducibly to the byte."""
    return save_safetensors({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def sha256_of(data: bytes) -> str:
    """The digest of a file's bytes, in the format of cards."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _as_described(card: ModelCard, given: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Return the files that the card describes. Raises ValueError if one is missing or differs."""
    described = {
        WEIGHTS_FILE: card.weights_sha256,
        GRAPH_FILE: card.graph_sha256,
        INT8_GRAPH_FILE: card.int8_graph_sha256,
    }
    contents = {}
    for name, sha256 in described.items():
        content = given[name]
        if sha256 is None:
            continue
        if content is None or sha256_of(content) != sha256:
            raise ValueError(f"this is not the {name} that the card describes")
        contents[name] = content
    return contents


def _graphs(folder: Path, card: ModelCard, n_weight_bytes: int) -> tuple[Path | None, Path | None]:
    """Return the paths of the network's graph and int8 graph; None if the card has none. Raises BundleError."""
    return (
        _graph(folder / GRAPH_FILE, MAX_GRAPH_BYTES, card.graph_sha256, n_weight_bytes),
        _graph(folder / INT8_GRAPH_FILE, MAX_INT8_GRAPH_BYTES, card.int8_graph_sha256, n_weight_bytes),
    )


def _graph(path: Path, max_bytes: int, sha256: str | None, n_weight_bytes: int) -> Path | None:
    if sha256 is None:
        return None
    GraphCheck(path.name, (WEIGHTS_FILE, n_weight_bytes))(_described(path, max_bytes, sha256))
    return path


def _described(path: Path, max_bytes: int, sha256: str) -> bytes:
    content = _read_file(path, max_bytes)
    if sha256_of(content) != sha256:
        raise BundleError(
            f"{path.name} is not the file that the card describes (sha256 differs); copy the bundle again"
        )
    return content


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        return read_regular_file(path, max_bytes)
    except OSError as error:
        raise BundleError(f"the bundle's {path.name} cannot be read: {error.strerror}") from error


def _parse_card(text: bytes) -> ModelCard:
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "card"
        reason = f"{printable(place)}: {printable(first['msg'], MAX_REASON)}"
        raise BundleError(f"card.json is not a valid model card: {reason}{_ADVICE.get(place, '')}") from error


_ADVICE = {
    "detector": "; an earlier visavis with a detector that was removed wrote it: make the bundle again",
    "own_threshold": "; own thresholds were removed: delete this key from card.json; the operating points remain valid",
}


def _parse_tensors(content: bytes) -> Tensors:
    if int.from_bytes(content[:8], "little") > MAX_WEIGHTS_HEADER_BYTES:
        raise BundleError(f"{WEIGHTS_FILE} is not a safetensors file with a header of at most 1 MiB")
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, json.JSONDecodeError, KeyError, ValueError) as error:
        raise BundleError(f"{WEIGHTS_FILE} is not a safetensors file: {printable(str(error))}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise BundleError(f"tensor {printable(name)} must contain only finite float32 numbers")
    return tensors


def new_card(  # noqa: PLR0913 - one for each part of a card
    *,
    name: str,
    summary: str,
    limits: tuple[str, ...],
    architecture: Architecture,
    preprocessing: Preprocessing,
    alignment: Alignment,
    detector: DetectorFacts,
    provenance: Provenance,
    weights: bytes,
    graph: bytes | None = None,
    training: TrainingRecord | None = None,
) -> ModelCard:
    """Return a card without operating points, for the bytes of weights and graph. Raises pydantic's ValidationError."""
    weights_sha256, graph_sha256 = sha256_of(weights), None if graph is None else sha256_of(graph)
    return ModelCard(
        format="visavis-bundle/1",
        name=name,
        summary=summary,
        limits=limits,
        architecture=architecture,
        preprocessing=preprocessing,
        alignment=alignment,
        detector=detector,
        metric="euclidean",
        operating_points=(),
        default_point=None,
        provenance=provenance,
        training=training,
        weights_sha256=weights_sha256,
        graph_sha256=graph_sha256,
        digest=embedding_digest((weights_sha256, graph_sha256), architecture, preprocessing, alignment, detector),
    )
