"""Build the network of a run file: from scratch, from a bundle, or from a file of facenet-pytorch."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from embedder import (
    Alignment,
    Architecture,
    Bundle,
    EmbeddingNet,
    Preprocessing,
    build_network,
    default_input_size_px,
    new_network,
    read_bundle,
    sha256_of,
    tensors_of,
)

from ..errors import TrainingError
from ..learning.optimizer import HEAD
from ..run_file import NetworkConfig
from ..run_file_reading import BUILT_IN as BUILT_IN_NAME


def load_foreign_weights(network: EmbeddingNet, settings: NetworkConfig) -> str:
    """Load facenet-pytorch's weights into the backbone; return the file's digest. Raises TrainingError."""
    path = settings.weights
    if path is None or settings.backbone != "inception_resnet_v1":
        raise TrainingError(
            "network.weights works only with backbone inception_resnet_v1; name a bundle in network.start instead"
        )
    rename = getattr(network.backbone, "own_name")  # noqa: B009 - only the backbone imports facenet-pytorch
    renamed = {own: tensor for name, tensor in _read(path).items() if (own := rename(name)) is not None}
    try:
        network.backbone.load_state_dict(renamed, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise TrainingError(f"{path}: is not a weights file of facenet-pytorch: {first}") from error
    return sha256_of(path.read_bytes())


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be read: {error.strerror}; give the path of facenet-pytorch's .pt file"
        ) from error
    except Exception as error:  # a damaged file may raise any exception
        raise TrainingError(f"{path}: is not a weights file of facenet-pytorch ({type(error).__name__})") from error
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise TrainingError(f"{path}: is not a weights file of facenet-pytorch")
    return found


# Preprocessing for a network from scratch: channels with a mean near 0 and a standard deviation near 1.
MEAN, SCALE = (127.5, 127.5, 127.5), 64.0
EMBEDDING_SIZE = 128  # of a network from scratch, by default
SCALE_OF_FOREIGN_WEIGHTS = 128.0  # as in facenet-pytorch


@dataclass(frozen=True, slots=True, eq=False)
class BuiltNetwork:
    """A network with the fields of its card."""

    network: EmbeddingNet
    architecture: Architecture
    preprocessing: Preprocessing
    started_from: str | None  # digest of a bundle, or of a weights file


def bundle_named(name: str) -> Bundle:
    """Read the bundle with this name in a run file. Raises BundleError."""
    return read_bundle(None if name == BUILT_IN_NAME else name)


def build_run_network(settings: NetworkConfig, alignment: Alignment, generator: torch.Generator) -> BuiltNetwork:
    """Build the network for chips with this alignment. Raises TrainingError and BundleError."""
    if settings.start is None:
        built = _from_scratch(settings, alignment, generator)
    else:
        built = _from_bundle(settings, alignment, generator)
    if settings.weights is None:
        return built
    return replace(built, started_from=load_foreign_weights(built.network, settings))


def _from_scratch(settings: NetworkConfig, alignment: Alignment, generator: torch.Generator) -> BuiltNetwork:
    backbone = settings.backbone or ""
    preprocessing = Preprocessing(
        input_size_px=settings.input_size_px or default_input_size_px(backbone),
        crop_px=_crop(settings, alignment),
        color_order="RGB",
        mean=MEAN,
        scale=SCALE if settings.weights is None else SCALE_OF_FOREIGN_WEIGHTS,
    )
    architecture = Architecture(
        backbone=backbone,
        embedding_size=settings.embedding_size or EMBEDDING_SIZE,
        unit_length=settings.unit_length is not False,
        mirror=bool(settings.mirror),
    )
    network = new_network(architecture, preprocessing, alignment.chip_size_px, generator)
    return BuiltNetwork(network, architecture, preprocessing, None)


def _from_bundle(settings: NetworkConfig, alignment: Alignment, generator: torch.Generator) -> BuiltNetwork:
    bundle = bundle_named(settings.start or BUILT_IN_NAME)
    card = bundle.card
    if settings.backbone not in (None, card.architecture.backbone):
        raise TrainingError(
            f"network.backbone is {settings.backbone}, but the bundle in network.start has "
            f"{card.architecture.backbone}; "
            "remove network.backbone"
        )
    if card.alignment != alignment:
        raise TrainingError(
            "the chips were prepared for another model than network.start; run visavis prepare with --model"
        )
    architecture = card.architecture.model_copy(
        update=_given(embedding_size=settings.embedding_size, unit_length=settings.unit_length, mirror=settings.mirror)
    )
    preprocessing = card.preprocessing.model_copy(
        update=_given(input_size_px=settings.input_size_px)
        | {"crop_px": _crop(settings, alignment, of_start=card.preprocessing.crop_px)}
    )
    tensors = dict(bundle.tensors)
    if architecture.embedding_size != card.architecture.embedding_size:
        architecture = architecture.model_copy(update={"projected_from": None})
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{HEAD}.")}
        tensors |= _new_head(architecture, preprocessing, alignment, generator)
    changed = Bundle(card.model_copy(update={"architecture": architecture, "preprocessing": preprocessing}), tensors)
    return BuiltNetwork(build_network(changed), architecture, preprocessing, card.digest)


def _new_head(
    architecture: Architecture, preprocessing: Preprocessing, alignment: Alignment, generator: torch.Generator
) -> dict[str, NDArray[np.float32]]:
    untrained = tensors_of(new_network(architecture, preprocessing, alignment.chip_size_px, generator))
    return {name: tensor for name, tensor in untrained.items() if name.startswith(f"{HEAD}.")}


def _crop(settings: NetworkConfig, alignment: Alignment, of_start: int | None = None) -> int | None:
    """Return the side of the centre crop as a card has it; None for the whole chip. Raises TrainingError."""
    crop_px, chip_px = settings.crop_px, alignment.chip_size_px
    if crop_px is None:
        return of_start
    if crop_px > chip_px:
        raise TrainingError(f"network.crop_px is {crop_px}, but the chips have {chip_px} px: set {chip_px} or less")
    return None if crop_px == chip_px else crop_px


def _given(**settings: bool | int | None) -> dict[str, bool | int]:
    """Keep the settings that the run file has; the bundle decides the others."""
    return {name: value for name, value in settings.items() if value is not None}
