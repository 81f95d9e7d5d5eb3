"""Feature maps and kernels: held against torch, and the pictures of them read back pixel by pixel."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray
from opened_backbones import opened
from PIL import Image
from torch import Tensor, nn

from embedder import (
    BUILT_IN_MODELS,
    EmbeddingNet,
    FaceEmbedder,
    NoFace,
    UnknownLayer,
    build_network,
    fuse_batch_norm,
    read_bundle,
)
from embedder.backbones.dlib_resnet import DlibResNet
from embedder.backbones.sface import Separable, SFace
from embedder.explain import Explainer
from embedder.explain.colors import RISING, bar, painted, scale_of
from embedder.explain.explainer import inspect_bundle
from embedder.explain.inspector import NetworkInspector
from embedder.explain.maps import GridLayout, grid, kernels_sheet, maps_grid, maps_plan, maps_sheet
from embedder.network import untrained_network

VISAVIS = Path(sys.executable).parent / "visavis"
TOLERANCE = 1e-4
FIRST = 0, 0


@pytest.fixture(scope="module", params=BUILT_IN_MODELS)
def name(request: pytest.FixtureRequest) -> str:
    """Of a built-in model."""
    return str(request.param)


@pytest.fixture(scope="module")
def inside(name: str) -> NetworkInspector:
    return inspect_bundle(read_bundle(name))


@pytest.fixture(scope="module")
def network(name: str) -> EmbeddingNet:
    return fuse_batch_norm(build_network(read_bundle(name)).eval())


@pytest.fixture(scope="module")
def photo(examples: Path) -> bytes:
    return (examples / "001-neutral.jpg").read_bytes()


@pytest.fixture(scope="module")
def chip(embedder: FaceEmbedder, photo: bytes) -> NDArray[np.uint8]:
    """Of the default model."""
    return embedder.chip(photo).pixels


@pytest.fixture(scope="module")
def its_chip(name: str, chip: NDArray[np.uint8], dlib: FaceEmbedder, photo: bytes) -> NDArray[np.uint8]:
    return dlib.chip(photo).pixels if name == dlib.card.name else chip


def visavis(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VISAVIS, "maps", *words], capture_output=True, text=True, check=False, cwd=folder)


def height_of(file: Path) -> int:
    with Image.open(file, formats=["PNG"]) as picture:
        return picture.height


def maps_by_torch(network: EmbeddingNet, chip: NDArray[np.uint8]) -> Iterator[Tensor]:
    """What each layer of a built-in network hands on, in running order, computed step by step."""
    trunk = network.backbone
    pictures = network.resized(torch.from_numpy(chip[None].copy())).float()
    normalised = (pictures - network.mean_pixel) / network.scale
    if isinstance(trunk, SFace):
        yield from maps_of_sface(network, trunk, normalised)
    elif isinstance(trunk, DlibResNet):
        yield from maps_of_dlib(network, trunk, normalised)


def maps_of_sface(network: EmbeddingNet, trunk: SFace, normalised: Tensor) -> Iterator[Tensor]:
    maps = trunk.stem(normalised)
    yield maps
    *blocks, last = (block for block in trunk.modules() if isinstance(block, Separable))
    for block in blocks:
        spread = block.space(maps)
        yield spread
        maps = block.channels(spread)
        yield maps
    spread = last.space(maps)
    yield spread
    maps = trunk.bn1(last.channels(spread))
    yield maps
    yield network.head.projection(maps)


def maps_of_dlib(network: EmbeddingNet, trunk: DlibResNet, normalised: Tensor) -> Iterator[Tensor]:
    maps = F.relu(trunk.stem(normalised))
    yield maps
    maps = F.max_pool2d(maps, 3, 2)
    yield maps
    for block in trunk.blocks:
        yield F.relu(block.first(maps))
        below, maps = maps, block(maps)
        yield maps
        if block.halves:
            yield F.avg_pool2d(below, 2)
    pooled = F.adaptive_avg_pool2d(maps, 1)
    yield pooled
    yield network.head.projection(pooled)


def test_every_layers_maps_are_those_that_torch_computes(
    inside: NetworkInspector, network: EmbeddingNet, its_chip: NDArray[np.uint8]
) -> None:
    with torch.inference_mode():
        expected = list(maps_by_torch(network, its_chip))
    layers = inside.description.layers
    for layer, maps in zip(layers, expected, strict=True):
        made = inside.maps(layer.name, its_chip)
        assert made.shape == layer.hands_on == maps.shape[1:], layer.name
        assert np.abs(made - maps[0].numpy()).max() < TOLERANCE, layer.name


def test_the_heads_maps_are_the_embedding_before_it_is_made_1_long(each_model: FaceEmbedder, photo: bytes) -> None:
    made = Explainer(each_model).maps(photo, layer="head")
    (vector,) = each_model.embed_chips(made.chip.pixels[None])
    length = np.linalg.norm(made.maps) if each_model.card.architecture.unit_length else 1
    assert np.abs(made.maps[:, 0, 0] / length - vector).max() < TOLERANCE


def test_activations_other_than_relu_are_part_of_the_maps(chip: NDArray[np.uint8]) -> None:
    network, seen = fuse_batch_norm(untrained_network("mobilenet_v3_small")), []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Hardswish | nn.Hardsigmoid):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    with torch.inference_mode():
        network(torch.from_numpy(chip[None].copy()))
    hidden = opened("mobilenet_v3_small")
    activations = {"hard swish", "hard sigmoid"}
    smooth = [layer for layer in hidden.description.layers if layer.activation in activations]
    for layer in smooth:
        made = hidden.maps(layer.name, chip)
        assert any(each.shape[1:] == made.shape and np.abs(each[0].numpy() - made).max() < TOLERANCE for each in seen)
    assert len(smooth) > 20


def test_maps_come_with_the_strongest_channel_first(embedder: FaceEmbedder, photo: bytes) -> None:
    made = Explainer(embedder).maps(photo, layer="head")
    peaks = [each.peak for each in made.responses]
    assert sorted(peaks, key=abs, reverse=True) == peaks
    assert sorted(each.channel for each in made.responses) == list(range(128))
    assert [each.peak for each in made.responses] == made.ordered[:, 0, 0].tolist()


def test_peak_and_mean_are_those_of_the_channels_map(each_model: FaceEmbedder, photo: bytes) -> None:
    made = Explainer(each_model).maps(photo, layer="conv9")
    for each in made.responses:
        lowest, highest = made.maps[each.channel].min(), made.maps[each.channel].max()
        assert each.peak == max(highest, lowest, key=abs)
        assert each.mean == pytest.approx(made.maps[each.channel].mean(), rel=1e-5)


def test_a_layer_that_is_not_there_is_told_with_those_that_are(embedder: FaceEmbedder, photo: bytes) -> None:
    with pytest.raises(UnknownLayer, match=r"no layer 'conv99'; it has conv1, conv2, .*, head") as caught:
        Explainer(embedder).maps(photo, layer="conv99")
    assert len(caught.value.available) == 28


def test_a_photo_without_a_face_has_no_maps(embedder: FaceEmbedder, tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "grey.png")
    with pytest.raises(NoFace):
        Explainer(embedder).maps((tmp_path / "grey.png").read_bytes(), layer="conv1")


@pytest.mark.parametrize("layer", ["conv1", "conv9", "head"])
def test_each_map_lies_in_its_cell_in_the_colours_of_its_values(
    embedder: FaceEmbedder, photo: bytes, layer: str
) -> None:
    made = Explainer(embedder).maps(photo, layer=layer)
    plan, pixels = maps_plan(made), np.asarray(maps_grid(made))
    for place in (0, 1, plan.columns, len(made.maps) - 1):
        values = made.maps[made.responses[place].channel]
        left, top = plan.corner(place)
        height, width = (side * plan.times for side in values.shape)
        cell = pixels[top : top + height, left : left + width]
        assert (cell[:: plan.times, :: plan.times, :3] == painted(values, made.scale)).all()
        assert (
            cell[plan.times - 1 :: plan.times, plan.times - 1 :: plan.times, :3] == painted(values, made.scale)
        ).all()
        assert (cell[..., 3] == 255).all()
    assert pixels[plan.cell_px - 1, plan.cell_px - 1, 3] == 0  # what is between the maps is transparent


def test_cells_of_any_number_of_maps_of_any_size_do_not_meet() -> None:
    for n, side in [(1, 512), (3, 7), (32, 72), (128, 1), (1792, 3), (2048, 112)]:
        plan = GridLayout.of(n, (side, side))
        assert plan.cell_px > side * plan.times
        assert n <= plan.columns**2 < 4 * max(n, 2) * 2


def test_each_picture_of_a_grid_stands_under_its_number() -> None:
    pictures = [np.full((20, 20, 3), 200, np.uint8)] * 2
    plan = GridLayout.of(2, (20, 20))
    one, other = (np.asarray(grid(pictures, numbers, plan)) for numbers in ([1, 2], [1, 3]))
    left, top = plan.corner(1)
    assert (one != other).any(axis=2)[:top, left:].any()
    assert not (one != other).any(axis=2)[:, :left].any()


def test_larger_values_have_brighter_colours() -> None:
    brightness = painted(np.linspace(0, 1, 50, dtype=np.float32)[None], (0.0, 1.0))[0].astype(int) @ [299, 587, 114]
    assert (np.diff(brightness) > 0).all()


def test_values_of_two_signs_are_on_a_scale_around_0() -> None:
    low, high = scale_of(np.array([-1.0, 3.0], np.float32))
    assert low == -high
    blue, white, red = painted(np.array([[low, 0, high]], np.float32), (low, high))[0].astype(int)
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert white.min() > 245


def test_a_layer_in_which_nothing_responds_is_drawn_dark() -> None:
    silent = np.zeros((3, 4), np.float32)
    assert (painted(silent, scale_of(silent)) == RISING[0]).all()


def test_the_sheet_shows_the_chip_the_scale_and_the_maps(embedder: FaceEmbedder, photo: bytes) -> None:
    made = Explainer(embedder).maps(photo, layer="conv3")
    sheet = np.asarray(maps_sheet(made)).astype(int)
    chip = np.asarray(Image.fromarray(made.chip.pixels).resize((225, 225), Image.Resampling.LANCZOS))
    top, left = _place_of(sheet, chip)
    colours = bar(made.scale, 225, 14)
    assert (sheet[top + 249 : top + 263, left : left + 225] == colours).all()
    alone = np.asarray(maps_grid(made))
    drawn = sheet[top : top + alone.shape[0], left + 225 + 24 :][:, : alone.shape[1]]
    opaque = alone[..., 3] == 255
    assert (drawn[opaque] == alone[opaque][:, :3]).all()


def _place_of(sheet: NDArray[np.int_], part: NDArray[np.uint8]) -> tuple[int, int]:
    """Where a part lies in a sheet, by looking."""
    height, width, _ = part.shape
    starts = np.argwhere((sheet == part[FIRST]).all(axis=2))
    for top, left in starts:
        if np.array_equal(sheet[top : top + height, left : left + width], part):
            return int(top), int(left)
    raise AssertionError("the part is not in the sheet")


def test_kernels_are_those_that_torch_folds(inside: NetworkInspector, network: EmbeddingNet) -> None:
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    names = [layer.name for layer in inside.description.layers if "pool" not in layer.kind]
    for name, convolution in zip(names, convolutions, strict=True):
        kernels = inside.kernels(name)
        assert kernels is not None
        assert np.abs(kernels - convolution.weight.detach().numpy()).max() < 1e-5, name


def test_kernels_of_the_first_layer_are_rgb_pictures_with_grey_for_0(inside: NetworkInspector) -> None:
    kernels = inside.kernels("conv1")
    assert kernels is not None
    kernels = np.where(np.abs(kernels) < 0.01, 0, kernels)
    sheet = np.asarray(kernels_sheet(inside.layer("conv1"), kernels)).astype(int)
    pictures = np.rint(127.5 + 127.5 * kernels.transpose(0, 2, 3, 1) / np.abs(kernels).max()).astype(np.uint8)
    side = kernels.shape[-1]
    plan = GridLayout.of(32, (side, side))
    top, left = _place_of(sheet, pictures[0].repeat(plan.times, axis=0).repeat(plan.times, axis=1))
    over, under = plan.corner(0), plan.corner(31)
    there = sheet[top + under[1] - over[1] :: plan.times, left + under[0] - over[0] :: plan.times][:side, :side]
    assert (there == pictures[31]).all()
    assert {128} == set(pictures[kernels.transpose(0, 2, 3, 1) == 0].tolist())


def test_kernels_of_another_layer_are_a_row_each_with_a_slice_for_each_map_below() -> None:
    inside = inspect_bundle(read_bundle("dlib-resnet29-128"))
    kernels = inside.kernels("conv8")
    assert kernels is not None
    sheet = np.asarray(kernels_sheet(inside.layer("conv8"), kernels)).astype(int)
    times, (_, high) = (1400 // 64 - 1) // 3, scale_of(kernels)
    slices = painted(kernels.reshape(-1, 3), (-high, high)).reshape(64, 32, 3, 3, 3)
    top, left = _place_of(sheet, slices[0, 0].repeat(times, axis=0).repeat(times, axis=1))
    step = 3 * times + 1
    for n, depth in [(0, 1), (5, 0), (63, 31)]:
        there = sheet[top + n * step :: times, left + depth * step :: times][:3, :3]
        assert (there == slices[n, depth]).all()


def test_depthwise_kernels_are_small_pictures_side_by_side() -> None:
    hidden = opened("mobilenet_v3_small")
    kernels = hidden.kernels("conv2")
    assert kernels is not None
    assert kernels.shape == (16, 1, 3, 3)
    _, high = scale_of(kernels)
    sheet = np.asarray(kernels_sheet(hidden.layer("conv2"), kernels)).astype(int)
    times = GridLayout.of(16, (3, 3)).times
    for each in kernels[:, 0]:
        _place_of(sheet, painted(each, (-high, high)).repeat(times, axis=0).repeat(times, axis=1))


def test_the_command_draws_a_file_for_its_owner_alone(examples: Path, tmp_path: Path) -> None:
    done = visavis(examples / "001-neutral.jpg", "--layer", "conv3", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"most responsive channels, with their peaks: 43 \(9\.08\), 19 \(8\.88\), ", done.stdout)
    assert (tmp_path / "conv3.png").stat().st_mode & 0o077 == 0
    assert height_of(tmp_path / "conv3.png") > 225


def test_the_command_draws_kernels_with_or_without_a_face(examples: Path, tmp_path: Path) -> None:
    both = visavis(examples / "001-neutral.jpg", "--layer", "conv1", "--kernels", "--out", "both.png", folder=tmp_path)
    alone = visavis("--layer", "conv1", "--kernels", "--out", "alone.png", folder=tmp_path)
    maps = visavis(examples / "001-neutral.jpg", "--layer", "conv1", "--out", "maps.png", folder=tmp_path)
    assert {done.returncode for done in (both, alone, maps)} == {0}
    heights = {name: height_of(tmp_path / f"{name}.png") for name in ("both", "alone", "maps")}
    assert heights["both"] == heights["alone"] + heights["maps"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("PHOTO", "--layer", "conv99"), "no layer 'conv99'; it has conv1, conv2"),
        (("--layer", "conv1"), "give an IMAGE"),
        (("--layer", "pool1", "--kernels", "--model", "dlib-resnet29-128"), "pool1 is a pooling layer without kernels"),
        (("--layer", "conv99", "--kernels"), "no layer 'conv99'"),
        (("nowhere.jpg", "--layer", "conv1"), "nowhere.jpg: No such file"),
        (("GREY", "--layer", "conv1"), "no face was found"),
        (("PHOTO", "--layer", "conv1", "--out", "no/such/file.png"), "no/such/file.png: No such file or directory"),
        (("PHOTO",), "Missing option '--layer'"),
    ],
)
def test_what_cannot_be_drawn_is_trouble_told_without_a_traceback(
    words: tuple[str, ...], reason: str, examples: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "grey.png")
    files = {"PHOTO": str(examples / "001-neutral.jpg"), "GREY": "grey.png"}
    done = visavis(*(files.get(word, word) for word in words), folder=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["grey.png"]
