"""The SFace network with its own weights: pinned values by torch and by OpenVINO, folded and not; that it learns."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sface_file import sface_network
from torch import Tensor, nn
from torch.export import Dim

from embedder import fuse_batch_norm
from embedder.explain import Layer
from embedder.explain.inspector import NetworkInspector
from embedder.runtime.export import graph
from embedder.runtime.openvino import OpenVinoRuntime, folded, watched
from embedder.runtime.torch import run

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5
N_PARAMETERS = 9_642_880
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def pattern() -> NDArray[np.uint8]:
    y, x = np.mgrid[:112, :112]
    channels = [(3 * x + 5 * y) % 256, (7 * x + 2 * y + 31) % 256, (x * y + 11) % 256]
    return np.stack(channels, axis=-1).astype(np.uint8)


# Of the Zoo's file, its weights dequantised, run by OpenVINO in f32: first and last channels, length, sum.
PINNED = {
    "pattern": (
        pattern(),
        [-0.1287298, 0.2024896, 0.4104137, 0.3762273, 0.2379253, 0.3167582, 0.0166342, 0.0943465],
        [-0.0346461, -0.0975556],
        3.7069638,
        3.2434964,
    ),
    "grey": (
        np.full((112, 112, 3), 128, np.uint8),
        [-0.1115365, -0.0014593, 0.0972567, -0.1700005, 0.8250387, 0.5402318, 0.0059953, -0.4387478],
        [-0.0578782, 0.516129],
        4.1373463,
        0.465832,
    ),
}


class OfPixels(nn.Module):
    """The network for pictures (n, 112, 112, 3) that were cut to its size before."""

    def __init__(self, *, unit_length: bool = False) -> None:
        super().__init__()
        self.network = sface_network(unit_length=unit_length)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map uint8 (n, 112, 112, 3) to float32 (n, 128)."""
        return self.network.embed_pictures(pixels.permute(0, 3, 1, 2))


@cache
def exported() -> bytes:
    pixels = torch.zeros(2, 112, 112, 3, dtype=torch.uint8)
    return graph(OfPixels().eval(), pixels, {0: Dim("n", min=1)}, ["embeddings"], "", {})


def by_torch(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return run(OfPixels().eval(), pixels)[0]


def by_torch_folded(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return run(fuse_batch_norm(OfPixels().eval()), pixels)[0]


def by_openvino(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    with NamedTemporaryFile(suffix=".onnx") as file:
        file.write(exported())
        file.flush()
        return OpenVinoRuntime().embedding_of_file(Path(file.name))(pixels)


def by_openvino_folded(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    model = folded(exported())
    (result,) = model.get_results()
    return watched(model, [result.input_value(0).get_node()])(pixels)[0]


@pytest.mark.parametrize("embed", [by_torch, by_torch_folded, by_openvino, by_openvino_folded])
@pytest.mark.parametrize("name", PINNED)
def test_the_network_gives_the_vectors_that_the_zoos_file_gives(embed: Embed, name: str) -> None:
    pixels, first, last, length, total = PINNED[name]
    (vector,) = embed(pixels[None])
    assert np.abs(vector[:8] - first).max() < TOLERANCE
    assert np.abs(vector[-2:] - last).max() < TOLERANCE
    assert abs(np.linalg.norm(vector) - length) < TOLERANCE
    assert abs(vector.sum() - total) < TOLERANCE * 10


def test_of_unit_length_the_vectors_point_the_same_way() -> None:
    pixels = np.stack([pixels for pixels, *_ in PINNED.values()])
    raw, (unit,) = by_torch(pixels), run(OfPixels(unit_length=True).eval(), pixels)
    assert np.abs(unit - raw / np.linalg.norm(raw, axis=1, keepdims=True)).max() < 1e-6


def test_it_has_as_many_parameters_as_its_layers_say() -> None:
    counted = 32 * 3 * 9 + 3 * 32  # the stem: kernels, scales and shifts of its normalisation, slopes
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    for below, channels in pairwise(widths):
        counted += below * 9 + 3 * below + below * channels + 3 * channels
    counted += 2 * 1024 + 128 * 1024 * 49 + 128 + 2 * 128
    assert sum(parameter.numel() for parameter in sface_network().parameters()) == counted == N_PARAMETERS


def test_folding_leaves_one_normalisation_which_stands_before_a_convolution_and_not_after() -> None:
    norms = [
        name for name, module in fuse_batch_norm(sface_network()).named_modules() if isinstance(module, nn.BatchNorm2d)
    ]
    assert norms == ["backbone.bn1"]


def test_a_step_down_the_gradient_of_every_stage_brings_it_nearer_to_what_it_is_taught() -> None:
    network, generator = sface_network().train(), torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (4, 3, 112, 112), dtype=torch.uint8, generator=generator)
    taught = torch.randn(4, 128, generator=generator)

    def loss() -> Tensor:
        return (network.embed_pictures(pictures) - taught).square().mean()

    before = loss()
    before.backward()  # type: ignore[no-untyped-call] # torch's own
    for stage in network.stages().values():
        gradients = [parameter.grad for parameter in stage.parameters()]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().max() > 0 for gradient in gradients)
    torch.optim.SGD(network.parameters(), lr=1e-3).step()
    assert loss() < before - 0.1


@pytest.fixture(scope="module")
def layers() -> tuple[Layer, ...]:
    return NetworkInspector(exported(), N_PARAMETERS).description.layers


def test_depthwise_layers_are_told_to_mix_space_and_1x1_layers_channels_in_turns(layers: tuple[Layer, ...]) -> None:
    stem, *between, head = layers
    assert (stem.mixes, head.mixes) == ("both", "both")
    assert [layer.mixes for layer in between] == ["space", "channels"] * 13
    assert {layer.kind for layer in between[::2]} == {"depthwise convolution"}
    assert between[0].notation == (
        "32@112x112 -> 32 kernels 1@3x3, each on its own channel, stride 1, padding 1 -> 32@112x112"
    )
    assert between[1].notation == "32@112x112 -> 64 kernels 32@1x1, stride 1 -> 64@112x112"


def test_the_head_is_told_as_kernels_that_cover_the_last_map(layers: tuple[Layer, ...]) -> None:
    head = layers[-1]
    assert (head.name, head.activation) == ("head", "")
    assert head.notation == "1024@7x7 -> 128 kernels 1024@7x7, stride 1 -> 128@1x1"
    assert head.parameters == 128 * 1024 * 49 + 128


def test_every_layer_but_the_head_ends_in_a_prelu_whose_slopes_are_counted(layers: tuple[Layer, ...]) -> None:
    assert {layer.activation for layer in layers[:-1]} == {"PReLU"}
    assert layers[0].parameters == 32 * 3 * 9 + 32 + 32
    folded_network = fuse_batch_norm(sface_network())
    assert sum(layer.parameters for layer in layers) == sum(each.numel() for each in folded_network.parameters())
    assert sum(layer.macs for layer in layers) == 574_138_880


def test_the_maps_of_a_layer_are_those_that_torch_makes() -> None:
    inside, pixels = NetworkInspector(exported(), N_PARAMETERS), pattern()
    backbone = sface_network().backbone
    with torch.inference_mode():
        maps = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127.5) / 128
        for name, stage in zip(("conv1", "conv3", "conv7"), list(backbone.stages().values())[:3], strict=True):
            maps = stage(maps)
            assert np.abs(inside.maps(name, pixels) - maps[0].numpy()).max() < 1e-4
