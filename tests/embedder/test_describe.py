"""A network layer by layer: held against torch, which runs the same network with hooks on its modules."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from opened_backbones import opened
from torch import Tensor, nn
from torch.export import Dim
from torch.utils.flop_counter import FlopCounterMode

from embedder import BACKBONES, BUILT_IN_MODELS, EmbeddingNet, fuse_batch_norm, read_bundle
from embedder.backbones.backbone import Mean, Pool
from embedder.backbones.dlib_resnet import DlibResNet
from embedder.backbones.small import DIRECTIONS, Kernels, Regions
from embedder.explain.blueprint import draw_blueprint
from embedder.explain.explainer import LazyInspector, inspect_bundle
from embedder.explain.inspector import NetworkInspector
from embedder.explain.layers import Layer, NetworkDescription
from embedder.network import CHIP_SIZE_PX, untrained_network
from embedder.runtime.export import graph

VISAVIS = Path(sys.executable).parent / "visavis"
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, Mean, Regions)


@pytest.fixture(scope="module", params=BUILT_IN_MODELS)
def name(request: pytest.FixtureRequest) -> str:
    """Of a built-in model."""
    return str(request.param)


@pytest.fixture(scope="module")
def built_in(name: str) -> NetworkDescription:
    return inspect_bundle(read_bundle(name)).description


@pytest.fixture(scope="module")
def sface() -> NetworkDescription:
    return inspect_bundle(read_bundle("sface-128")).description


@pytest.fixture(scope="module")
def dlib() -> NetworkDescription:
    return inspect_bundle(read_bundle("dlib-resnet29-128")).description


def described(network: nn.Module, pictures: Tensor) -> tuple[Layer, ...]:
    """The layers of any small network, by the code that describes the large ones."""
    exported = graph(network.eval(), pictures, {0: Dim("n", min=1)}, ["maps"], "", {})
    return NetworkInspector(exported, 1).description.layers


def visavis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VISAVIS, "describe", *words], capture_output=True, text=True, check=False)


def test_a_built_in_network_has_the_known_number_of_parameters_and_multiplications(
    sface: NetworkDescription, dlib: NetworkDescription
) -> None:
    assert (sface.total_macs, sface.total_parameters, sface.stored_parameters) == (574_138_880, 9_631_680, 9_642_880)
    assert (dlib.total_macs, dlib.total_parameters, dlib.stored_parameters) == (270_854_144, 5_607_488, 5_614_592)


def test_sfaces_network_reads_as_its_authors_wrote_it(sface: NetworkDescription) -> None:
    told = {layer.name: layer.notation for layer in sface.layers}
    assert list(told) == [*(f"conv{number}" for number in range(1, 28)), "head"]
    assert told["conv1"] == "3@112x112 -> 32 kernels 3@3x3, stride 1, padding 1 -> 32@112x112"
    assert told["conv4"] == ("64@112x112 -> 64 kernels 1@3x3, each on its own channel, stride 2, padding 1 -> 64@56x56")
    assert told["conv27"] == "1024@7x7 -> 1024 kernels 1024@1x1, stride 1 -> 1024@7x7"
    assert told["head"] == "1024@7x7 -> 128 kernels 1024@7x7, stride 1 -> 128@1x1"


def test_dlibs_network_reads_as_its_authors_wrote_it(dlib: NetworkDescription) -> None:
    told = {layer.name: layer.notation for layer in dlib.layers}
    assert list(told)[:4] == ["conv1", "pool1", "conv2", "conv3"]
    assert list(told)[-2:] == ["pool6", "head"]
    assert told["conv1"] == "3@150x150 -> 32 kernels 3@7x7, stride 2 -> 32@72x72"
    assert told["pool1"] == "32@72x72 -> max 3x3, stride 2 -> 32@35x35"
    assert told["conv3"] == "32@35x35 -> 32 kernels 32@3x3, stride 1, padding 1 -> 32@35x35 + 32@35x35 of pool1"
    assert told["conv23"].endswith("-> 256@3x3 + 128@4x4 of pool4 -> 256@4x4")
    assert told["pool6"] == "256@2x2 -> mean of all 2x2 -> 256@1x1"
    assert told["head"] == "256@1x1 -> 128 kernels 256@1x1, stride 1 -> 128@1x1"


def test_the_example_of_the_text_is_told_as_the_text_tells_it() -> None:
    (layer,) = described(nn.Conv2d(3, 10, 7, stride=1, padding=3), torch.zeros(2, 3, 512, 512))
    assert layer.notation == "3@512x512 -> 10 kernels 3@7x7, stride 1, padding 3 -> 10@512x512"
    assert layer.shape == (10, 512, 512)
    assert layer.parameters == 10 * (3 * 7 * 7 + 1)
    assert layer.macs == 10 * 3 * 7 * 7 * 512 * 512
    assert (layer.name, layer.takes, layer.mixes, layer.receptive_field_px) == ("conv1", "input", "both", 7)


def shapes_by_hooks(network: EmbeddingNet, kinds: tuple[type[nn.Module], ...]) -> list[tuple[object, ...]]:
    """What modules of some kinds take and make, in the order in which torch runs them."""
    seen: list[tuple[object, ...]] = []

    def look(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        weight = getattr(module, "weight", None)
        seen.append((tuple(inputs[0].shape[1:]), None if weight is None else weight.shape, tuple(output.shape[1:])))

    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(look)  # type: ignore[arg-type] # torch types its hooks' inputs as Any
    with torch.inference_mode():
        network(torch.zeros(1, CHIP_SIZE_PX, CHIP_SIZE_PX, 3, dtype=torch.uint8))
    return seen


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_convolution_has_the_shapes_that_torch_measures(backbone: str) -> None:
    convolutions = [layer for layer in opened(backbone).description.layers if "pool" not in layer.kind]
    told = [
        (layer.given, (layer.shape[0], layer.window.depth, *layer.window.size), layer.shape) for layer in convolutions
    ]
    assert told == shapes_by_hooks(fuse_batch_norm(untrained_network(backbone)), (nn.Conv2d,))


def test_every_pool_that_is_a_module_has_the_shapes_that_torch_measures(backbone: str) -> None:
    pools = [(layer.given, None, layer.shape) for layer in opened(backbone).description.layers if "pool" in layer.kind]
    measured = shapes_by_hooks(untrained_network(backbone), POOLS)
    assert [shapes for shapes in pools if shapes in measured] == measured
    assert len(pools) == len(measured) or backbone == "dlib_resnet"  # whose pools are functions


def test_multiplications_are_as_many_as_torch_counts(backbone: str) -> None:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        untrained_network(backbone)(torch.zeros(1, CHIP_SIZE_PX, CHIP_SIZE_PX, 3, dtype=torch.uint8))
    flops = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert opened(backbone).description.total_macs == flops / 2  # torch counts a sum and a product as two


def test_parameters_are_those_of_the_network_that_torch_folds(backbone: str) -> None:
    folded = fuse_batch_norm(untrained_network(backbone))
    n_of_convolutions = sum(tensor.numel() for name, tensor in folded.named_parameters())
    scaled = [2 * folded.backbone.out_channels for module in folded.modules() if isinstance(module, Pool)]
    fixed = [module.weight.numel() for module in folded.modules() if isinstance(module, Kernels)]
    assert opened(backbone).description.total_parameters == n_of_convolutions + sum(scaled) + sum(fixed)
    assert opened(backbone).description.stored_parameters == sum(
        tensor.numel() for tensor in untrained_network(backbone).parameters()
    )


def reach_by_poking(place: Callable[[Tensor], Tensor], side_px: int) -> int:
    """How many pixels of one column move a value in the middle, of maps in which nothing can cancel out."""
    pictures = torch.ones(side_px, 3, side_px, side_px, dtype=torch.float64)
    column = side_px // 2
    pictures[torch.arange(side_px), :, torch.arange(side_px), column] = 1e9
    with torch.inference_mode():
        quiet, *_ = place(torch.ones(1, 3, side_px, side_px, dtype=torch.float64))
        poked = torch.cat([place(few) for few in pictures.split(10)])
    middle = (quiet.shape[-2] // 2, quiet.shape[-1] // 2)
    return int((poked[:, 0, *middle] != quiet[0, *middle]).sum())


@pytest.mark.parametrize(("n_blocks", "layer"), [(0, "pool1"), (1, "conv3"), (3, "conv7"), (4, "conv9"), (5, "conv11")])
def test_a_value_sees_as_far_as_pixels_move_it(dlib: NetworkDescription, n_blocks: int, layer: str) -> None:
    trunk = fuse_batch_norm(DlibResNet().eval()).double()
    for parameter in trunk.parameters():
        nn.init.constant_(parameter, 0.01)

    def place(pictures: Tensor) -> Tensor:
        maps = nn.functional.max_pool2d(nn.functional.relu(trunk.stem(pictures)), 3, 2)
        return trunk.blocks[:n_blocks](maps)  # type: ignore[no-any-return] # torch types a module call as Any

    (told,) = (each.receptive_field_px for each in dlib.layers if each.name == layer)
    assert reach_by_poking(place, 150) == told


MIXING = {
    "convolution": (nn.Conv2d(4, 4, 3, padding=1), "both"),
    "1x1": (nn.Conv2d(4, 4, 1), "channels"),
    "depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), "space"),
    "depthwise 1x1": (nn.Conv2d(4, 4, 1, groups=4), "neither"),
    "max pool": (nn.MaxPool2d(3, 1, padding=1), "space"),
    "mean pool": (nn.AvgPool2d(3, 1, padding=1), "space"),
    "dense": (nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 5)), "channels"),
}


@pytest.mark.parametrize("kind", MIXING)
def test_what_a_layer_mixes_is_told_and_is_what_a_change_of_one_value_reaches(kind: str) -> None:
    network, told = MIXING[kind]
    pictures = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    (layer,) = described(network, pictures)
    assert layer.mixes == told
    if kind == "dense":
        assert (layer.kind, layer.notation) == ("dense", "256@1x1 -> 5 kernels 256@1x1, stride 1 -> 5@1x1")
        return
    changed = pictures.clone()
    changed[0, 1, 4, 4] += 10
    with torch.inference_mode():
        moved = (network(changed) != network(pictures))[0]
    assert bool(moved[[0, 2, 3]].any()) == (told in ("channels", "both"))
    assert int(moved.any(dim=0).sum()) > 1 or told in ("channels", "neither")


def test_each_kernel_of_a_depthwise_convolution_is_told_to_see_its_own_channel() -> None:
    layer = opened("mobilenet_v3_small").description.layers[1]
    assert layer.notation == ("16@56x56 -> 16 kernels 1@3x3, each on its own channel, stride 2, padding 1 -> 16@28x28")


def test_maps_that_are_multiplied_or_put_side_by_side_are_told() -> None:
    takes = {layer.name: layer.takes for layer in opened("mobilenet_v3_small").description.layers}
    assert takes["conv5"] == "conv4 x conv2"
    joined = {layer.takes for layer in opened("inception_resnet_v1").description.layers}
    assert "conv7 & conv9 & conv12" in joined


def test_edges_divided_by_those_around_are_told() -> None:
    layers = {layer.name: layer for layer in opened("patches").description.layers}
    divided = [layer for layer in layers.values() if " / " in layer.takes]
    assert divided
    for layer in divided:
        edges, around = (layers[name] for name in layer.takes.split(" / "))
        assert (edges.hands_on[0], around.hands_on[0]) == (DIRECTIONS, 1)


def test_kernels_that_are_not_square_are_told_down_before_across() -> None:
    told = {layer.notation for layer in opened("inception_resnet_v1").description.layers}
    assert "128@8x8 -> 128 kernels 128@1x7, stride 1, padding 0x3 -> 128@8x8" in told
    assert "128@8x8 -> 128 kernels 128@7x1, stride 1, padding 3x0 -> 128@8x8" in told


def test_channels_double_as_maps_halve_in_our_own_network() -> None:
    layers = {layer.name: layer for layer in opened("small").description.layers}
    assert [layers[name].hands_on for name in ("conv1", "conv3", "conv6", "conv9")] == [
        (32, 48, 48),
        (64, 24, 24),
        (128, 12, 12),
        (256, 6, 6),
    ]


def test_a_bundle_without_a_graph_is_exported_and_described_the_same(name: str, built_in: NetworkDescription) -> None:
    assert inspect_bundle(replace(read_bundle(name), graph=None)).description == built_in


def test_the_picture_has_a_block_for_each_layer_and_asks_for_nothing_from_elsewhere(
    built_in: NetworkDescription,
) -> None:
    text = draw_blueprint("a <model>", built_in)
    picture = ET.fromstring(text)  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    for kind in {layer.mixes for layer in built_in.layers}:
        blocks = [each for each in picture.iter(f"{space}rect") if each.get("class") == kind]
        assert len(blocks) == sum(layer.mixes == kind for layer in built_in.layers) + 1  # and one in the legend
    words = [each.text for each in picture.iter(f"{space}text")]
    assert {layer.notation for layer in built_in.layers} <= set(words)
    assert "a <model>" in words
    assert re.findall(r"(?:href|src|url\(|@import)", text) == []
    assert "prefers-color-scheme: dark" in text


def test_blocks_are_as_high_as_maps_and_as_wide_as_they_are_many(dlib: NetworkDescription) -> None:
    drawn = re.findall(
        r'width="([\d.]+)" height="([\d.]+)" rx="2"/><text [^>]+>(\w+)</text>', draw_blueprint("m", dlib)
    )
    size = {name: (float(width), float(height)) for width, height, name in drawn}
    assert size["conv20"][0] == pytest.approx(2 * size["conv10"][0], abs=0.1)
    assert size["conv1"][1] / size["input"][1] == pytest.approx(72 / 150, abs=0.01)


def test_the_command_tells_the_table_and_what_is_stored(tmp_path: Path) -> None:
    done = visavis("--svg", tmp_path / "net.svg")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        r"\nhead +1024@7x7 -> 128 kernels 1024@7x7, stride 1 -> 128@1x1 +255  both +6,422,656", done.stdout
    )
    assert "574,138,880 MACs, 9,631,680 parameters (9,642,880 stored" in done.stdout
    assert (tmp_path / "net.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_the_command_tells_the_same_as_json(name: str, built_in: NetworkDescription) -> None:
    answer = json.loads(visavis("--json", "--model", name).stdout)
    assert set(answer) == {"layers", "total_macs", "total_parameters", "stored_parameters"}
    assert (answer["total_macs"], answer["total_parameters"]) == (
        built_in.total_macs,
        built_in.total_parameters,
    )
    assert [layer["notation"] for layer in answer["layers"]] == [layer.notation for layer in built_in.layers]
    assert answer["layers"][0]["shape"] == list(built_in.layers[0].shape)


def test_a_backbone_is_described_by_its_name() -> None:
    answer = json.loads(visavis("--backbone", "small", "--json").stdout)
    assert answer["total_macs"] == opened("small").description.total_macs


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--model", "nowhere"), "there is no model bundle at that path"),
        (("--model", "nowhere", "--backbone", "small"), "not both"),
        (("--backbone", "nonesuch"), "'nonesuch' is not one of"),
        (("--svg", "no/such/folder/net.svg"), "No such file or directory"),
    ],
)
def test_what_cannot_be_described_is_trouble_told_without_a_traceback(words: tuple[str, ...], reason: str) -> None:
    done = visavis(*words)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_describing_a_bundle_with_a_graph_takes_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from visavis.cli.describe import describe\n"
        "describe(['--json'], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert np.prod(json.loads(done.stdout)["layers"][0]["shape"]) == 32 * 112 * 112


def test_a_backbone_without_torch_is_trouble_told_with_the_remedy() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from visavis.cli.main import main\n"
        "main(['describe', '--backbone', 'small'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr
    assert "pip install 'visavis[train]'" in done.stderr


def test_a_network_is_opened_once_for_all_threads() -> None:
    opening = LazyInspector(read_bundle())
    with ThreadPoolExecutor(4) as threads:
        assert len({id(opened) for opened in threads.map(lambda _: opening(), range(4))}) == 1
