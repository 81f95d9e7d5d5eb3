"""A model bundle on disk: a folder with `weights.safetensors` and `card.json`. Nothing here reads a pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from ..errors import BundleError
from .card import ModelCard

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
BUILT_IN = Path(__file__).parent / "dlib-resnet29-128"
MAX_CARD_BYTES = 4 * 2**20
MAX_WEIGHTS_BYTES = 4 * 2**30

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A card with the tensors it speaks of, checked against its digest."""

    card: ModelCard
    tensors: Tensors


def read_bundle(folder: Path) -> Bundle:
    """Read and check a bundle; raises BundleError with the reason."""
    if not folder.is_dir():
        raise BundleError("there is no model bundle at that path; a bundle is a folder with card.json in it")
    card = _parse_card(_read_file(folder / CARD_FILE, MAX_CARD_BYTES))
    weights = _read_file(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    if sha256_of(weights) != card.weights_sha256:
        raise BundleError(
            f"{WEIGHTS_FILE} is not the file that the card describes (sha256 differs); copy the bundle again"
        )
    return Bundle(card, _parse_tensors(weights))


def write_bundle(folder: Path, card: ModelCard, weights: bytes) -> None:
    """Write a new bundle. The same card and weights give the same bytes; an existing file is never overwritten."""
    if sha256_of(weights) != card.weights_sha256:
        raise ValueError("these weights are not those that the card describes")
    require_new_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((WEIGHTS_FILE, weights), (CARD_FILE, card.to_json().encode())):
            with (folder / name).open("xb") as file:
                file.write(content)
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror}") from error


def require_new_folder(folder: Path) -> None:
    """Raise BundleError where there is anything but an empty folder."""
    try:
        is_free = not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror}") from error
    if not is_free:
        raise BundleError("there is something at that path already; choose a new folder for the bundle")


def copy_bundle(source: str | os.PathLike[str] | None, folder: Path, card: ModelCard) -> None:
    """Write a new bundle of another one's weights (None: the built-in one's) under a new card; raises BundleError."""
    weights = _read_file((BUILT_IN if source is None else Path(source)) / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    write_bundle(folder, card, weights)


def serialize_tensors(tensors: Tensors) -> bytes:
    """Tensors as the bytes of a safetensors file: the same tensors give the same bytes."""
    return save_safetensors({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def sha256_of(data: bytes) -> str:
    """The digest of a file's bytes, as cards write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        if path.stat().st_size > max_bytes:
            raise BundleError(f"{path.name} has more than {max_bytes:,} bytes; that is no {path.name} of ours")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"the bundle's {path.name} cannot be read: {error.strerror}") from error


def _parse_card(text: bytes) -> ModelCard:
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "card"
        raise BundleError(f"card.json is not a valid model card: {place}: {first['msg']}") from error


def _parse_tensors(weights: bytes) -> Tensors:
    try:
        tensors = load_safetensors(weights)
    except (SafetensorError, json.JSONDecodeError, KeyError, ValueError) as error:
        raise BundleError(f"{WEIGHTS_FILE} is not a safetensors file: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise BundleError(f"tensor {name} must hold finite float32 numbers only")
    return tensors
