"""Weights of a backbone in the file of another project, which the user has got and names: facenet-pytorch's."""

from pathlib import Path

import torch

from embedder import EmbeddingNet, sha256_of

from ..errors import TrainingError
from ..runfile.run import NetworkConfig


def load_foreign_weights(network: EmbeddingNet, settings: NetworkConfig) -> str:
    """Load them into the backbone, the head stays as it is; return the file's digest. Raises TrainingError."""
    path = settings.weights
    if path is None or settings.backbone != "inception_resnet_v1":
        raise TrainingError(
            "network.weights is for backbone inception_resnet_v1 alone; name a bundle in network.start instead"
        )
    rename = getattr(network.backbone, "own_name")  # noqa: B009 - facenet-pytorch is imported with the backbone alone
    renamed = {own: tensor for name, tensor in _read(path).items() if (own := rename(name)) is not None}
    try:
        network.backbone.load_state_dict(renamed, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise TrainingError(f"{path}: holds other weights than facenet-pytorch's: {first}") from error
    return sha256_of(path.read_bytes())


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be read: {error.strerror}; give the path of facenet-pytorch's .pt file"
        ) from error
    except Exception as error:  # broken bytes may raise anything in there
        raise TrainingError(f"{path}: holds no weights of facenet-pytorch ({type(error).__name__})") from error
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise TrainingError(f"{path}: holds no weights of facenet-pytorch")
    return found
