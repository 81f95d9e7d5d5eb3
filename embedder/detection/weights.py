"""The cascade's weights: read from one safetensors file that travels with the package (MIT, see MTCNN-LICENSE.txt)."""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from .networks import ONet, PNet, RNet

FILE = Path(__file__).parent / "mtcnn.safetensors"


@dataclass(frozen=True, slots=True)
class Networks:
    """The three networks, ready for inference."""

    proposal: nn.Module
    refinement: nn.Module
    output: nn.Module


def load_networks() -> Networks:
    """Read the built-in weights."""
    tensors = load_file(FILE)
    return Networks(
        _loaded(PNet(), tensors, "pnet."), _loaded(RNet(), tensors, "rnet."), _loaded(ONet(), tensors, "onet.")
    )


def _loaded(network: nn.Module, tensors: dict[str, Tensor], prefix: str) -> nn.Module:
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    network.load_state_dict(own, strict=True)
    return network.requires_grad_(requires_grad=False).eval()
