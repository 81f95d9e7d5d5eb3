"""Every backbone behind the one interface: shapes, stages, gradients, batches, folding; and what is refused."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from embedder import (
    BACKBONES,
    Architecture,
    BundleError,
    EmbeddingNet,
    Preprocessing,
    default_input_size_px,
    new_network,
)
from embedder.backbones.backbone import Backbone, FullMapConv
from embedder.backbones.dlib_resnet import ConvAffine
from embedder.backbones.patches import BRANCHES, Patch
from embedder.backbones.registry import backbone_class, build_backbone
from embedder.backbones.small import REGIONS, Regions
from embedder.network import fuse_batch_norm

TOLERANCE = 1e-5
LONGEST_MIDDLE = 0.3  # of embeddings 1 long; where the pool leaves features as they are it is 0.46 to 0.92
LARGEST_INPUT_SIZE_PX = 176  # tried; larger ones only have more room


def architecture(backbone: str, *, unit_length: bool = True) -> Architecture:
    return Architecture(backbone=backbone, embedding_size=128, unit_length=unit_length, mirror=False)


def preprocessing(size_px: int) -> Preprocessing:
    return Preprocessing(input_size_px=size_px, color_order="RGB", mean=(127.5, 127.5, 127.5), scale=64.0)


def untrained(backbone: str, seed: int = 0) -> EmbeddingNet:
    """A network that looks at pictures as small as it can: the rest is the same function, only slower."""
    size_px = max(48, backbone_class(backbone).smallest_input_size_px)
    return new_network(architecture(backbone), preprocessing(size_px), 150, torch.Generator().manual_seed(seed))


def pictures(network: EmbeddingNet, n: int, seed: int = 0) -> Tensor:
    """Coarse patterns, of the network's size: noise alone would look the same to it after a few layers."""
    size = (network.input_size_px, network.input_size_px)
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(255 * coarse, size)


@pytest.fixture(scope="module", params=BACKBONES)
def network(request: pytest.FixtureRequest) -> EmbeddingNet:
    """A network whose statistics are those of pictures, and whose residual branches do something."""
    network = untrained(request.param)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)  # some drop branches at random
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.rand(parameter.shape))
        network.train().embed_pictures(pictures(network, 8, seed=1))
    return network.eval()


@pytest.fixture(scope="module", params=BACKBONES)
def outline(request: pytest.FixtureRequest) -> Backbone:
    """A backbone without numbers: it only tells the shapes of what it would give."""
    with torch.device("meta"):
        return build_backbone(request.param).eval()


@settings(max_examples=10, deadline=None)  # a large network takes its time even without numbers
@given(side=st.integers(1, LARGEST_INPUT_SIZE_PX))
def test_pictures_of_any_side_that_fits_become_the_map_that_the_head_sees(outline: Backbone, side: int) -> None:
    pictures, wanted = torch.empty((2, 3, side, side), device="meta"), (2, outline.out_channels, *last_side(outline))
    if outline.largest_input_size_px is not None:
        fits = outline.smallest_input_size_px <= side <= outline.largest_input_size_px
        assert (outline(pictures).shape == wanted) == fits
    elif side < outline.smallest_input_size_px:
        with pytest.raises(RuntimeError, match="size"):
            outline(pictures)
    else:
        assert outline(pictures).shape == wanted


def last_side(backbone: Backbone) -> tuple[int, int]:
    return backbone.out_side_px, backbone.out_side_px


def test_the_size_that_a_backbone_is_meant_for_is_one_that_it_can_see(outline: Backbone) -> None:
    largest = outline.largest_input_size_px or LARGEST_INPUT_SIZE_PX
    assert outline.smallest_input_size_px <= outline.default_input_size_px <= largest


def test_each_parameter_is_in_exactly_one_stage_and_so_is_each_statistic(network: EmbeddingNet) -> None:
    staged = [tensor for stage in network.stages().values() for tensor in (*stage.parameters(), *stage.buffers())]
    own = [
        *network.parameters(),
        *(buffer for name, buffer in network.named_buffers() if name not in ("mean_pixel", "resizing")),
    ]
    assert sorted(map(id, staged)) == sorted(map(id, own))


def test_stages_are_named_from_the_input_on_and_the_head_is_the_last(network: EmbeddingNet) -> None:
    first, *between, last = [name for name in network.stages() if name not in ("pool", "bn1")]
    if network.backbone.n_branches > 1:  # side by side, not one after the other
        assert [first, *between, last] == [*BRANCHES, "head"]
        return
    assert (first, last) == ("stem", "head")
    assert between == [f"stage{k}" for k in range(1, len(between) + 1)]


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if "pool" in build_backbone(name).stages()])
def test_faces_begin_all_around_and_not_in_one_cone(backbone: str) -> None:
    network = untrained(backbone).train()
    shown = pictures(network, 32)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)  # some drop branches at random
        embeddings = network.embed_pictures(shown)
    assert embeddings.mean(dim=0).norm() < LONGEST_MIDDLE


def test_the_small_network_knows_where_in_the_face_something_was_seen() -> None:
    pool = build_backbone("small").eval().stages()["pool"]
    upper_left, lower_right = torch.zeros(2, 1, 256, 6, 6)
    upper_left[..., :2, :2] = lower_right[..., 4:, 4:] = 1  # their means are the same
    assert (pool(upper_left) - pool(lower_right)).abs().max() > 0.1


@pytest.mark.parametrize(("side", "as_torch_does"), [(3, True), (4, True), (5, False), (6, True), (11, False)])
def test_regions_are_windows_of_one_size_from_edge_to_edge(side: int, *, as_torch_does: bool) -> None:
    maps = torch.zeros(1, 1, side, side)
    maps[..., 0, 0], maps[..., -1, -1] = 1, 1
    found = Regions()(maps)
    assert found.shape == (1, 1, REGIONS, REGIONS)
    assert found[0, 0, 0, 0] == found[0, 0, -1, -1] > 0
    maps = torch.rand(1, 2, side, side, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Regions()(maps), F.adaptive_avg_pool2d(maps, REGIONS)) == as_torch_does


def test_while_it_learns_the_mixing_of_regions_is_the_same_function_as_a_product_of_matrices() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = FullMapConv(8, 8, REGIONS)
    found = []
    for is_training in (True, False):
        maps = torch.randn(4, 8, REGIONS, REGIONS, generator=generator.manual_seed(1)).requires_grad_()
        mixed = mixing.train(is_training)(maps)
        found.append((mixed, *torch.autograd.grad(mixed.square().sum(), (maps, *mixing.parameters()))))
    for learning, serving in zip(*found, strict=True):
        assert torch.allclose(learning, serving, atol=1e-5)


def test_each_branch_sees_its_own_patch_of_the_face_alone_and_has_an_equal_say() -> None:
    network = untrained("patches").eval()
    shown = pictures(network, 1)
    n, patches = len(BRANCHES), [branch.patch for branch in BRANCHES.values()]
    with torch.inference_mode():
        parts = network.embed_pictures(shown).chunk(n, dim=1)
        assert [float(part.norm()) for part in parts] == pytest.approx([n**-0.5] * n)
        for kept in patches:
            changed = network.embed_pictures(only(kept, shown)).chunk(n, dim=1)
            same = [torch.equal(now, before) for now, before in zip(changed, parts, strict=True)]
            assert same == [lies_in(patch, kept) for patch in patches]


def only(patch: Patch, shown: Tensor) -> Tensor:
    """The pictures, black but for a patch."""
    top, left, bottom, right = (round(share * shown.shape[-1]) for share in patch)
    pictures = torch.zeros_like(shown)
    pictures[..., top:bottom, left:right] = shown[..., top:bottom, left:right]
    return pictures


def lies_in(one: Patch, other: Patch) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


@pytest.mark.parametrize(("backbone", "size_px"), [("small", 48), ("sface", 97)])
def test_embeddings_that_are_not_made_unit_length_begin_about_1_long(backbone: str, size_px: int) -> None:
    drawn = torch.Generator().manual_seed(0)
    network = new_network(architecture(backbone, unit_length=False), preprocessing(size_px), 150, drawn)
    with torch.no_grad():
        lengths = network.train().embed_pictures(pictures(network, 32)).norm(dim=1)
    assert 0.5 < float(lengths.mean()) < 2


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_pool_where_there_is_one_is_the_last_before_the_head(backbone: str) -> None:
    names = list(build_backbone(backbone).stages())
    assert "pool" not in names[:-1]


def test_stages_run_in_their_order(network: EmbeddingNet) -> None:
    ran: list[str] = []
    hooks = [
        next(
            module for module in stage.modules() if not isinstance(module, (nn.Sequential, nn.Identity))
        ).register_forward_pre_hook(lambda *_, name=name: ran.append(name))
        for name, stage in network.stages().items()
    ]
    with torch.inference_mode():
        network.embed_pictures(pictures(network, 1))
    for hook in hooks:
        hook.remove()
    assert list(dict.fromkeys(ran)) == list(network.stages())


def test_the_gradient_reaches_every_parameter(network: EmbeddingNet) -> None:
    towards = torch.randn(128, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        (network.train().embed_pictures(pictures(network, 8)) @ towards).sum().backward()
    unreached = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    network.zero_grad()
    network.eval()
    assert unreached == []


def test_embeddings_are_the_head_over_the_features(network: EmbeddingNet) -> None:
    with torch.inference_mode():
        chips = torch.randint(256, (2, 150, 150, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
        features = network.features(network.resized(chips))
        assert features.shape == (2, network.backbone.out_channels, *last_side(network.backbone))
        assert torch.equal(network.head(features), network(chips))


def test_the_head_is_a_linear_layer_by_another_name(network: EmbeddingNet) -> None:
    backbone, head = network.backbone, network.head
    last_map = torch.rand(5, backbone.out_channels, *last_side(backbone), generator=torch.Generator().manual_seed(3))
    n = backbone.n_branches
    below, weights = last_map.flatten(1).chunk(n, dim=1), head.projection.weight.flatten(1).chunk(n)
    linear = [F.linear(*each, head.projection.bias) for each in zip(below, weights, strict=True)]
    if head.norm is not None:
        linear = [head.norm(each[:, :, None, None]).flatten(1) for each in linear]
    unit = torch.cat([F.normalize(each) for each in linear], dim=1) / n**0.5
    assert (head(last_map) - unit).abs().max() < 1e-6


def test_a_batch_gives_what_single_pictures_give(network: EmbeddingNet) -> None:
    with torch.inference_mode():
        batch = pictures(network, 8)
        alone = torch.cat([network.embed_pictures(each[None]) for each in batch])
        assert (network.embed_pictures(batch) - alone).abs().max() < TOLERANCE


def test_bytes_and_floats_of_the_same_pictures_are_embedded_alike(network: EmbeddingNet) -> None:
    with torch.inference_mode():
        whole = pictures(network, 2).byte()
        assert torch.equal(network.embed_pictures(whole), network.embed_pictures(whole.float()))


def test_folding_takes_the_normalisations_away_but_not_the_answer(network: EmbeddingNet) -> None:
    folded = fuse_batch_norm(deepcopy(network))
    with torch.inference_mode():
        before, after = (each.embed_pictures(pictures(network, 2)) for each in (network, folded))
    kept = [name for name, module in folded.named_modules() if isinstance(module, (nn.BatchNorm2d, ConvAffine))]
    assert all(".pool." in name or name == "backbone.bn1" for name in kept)  # no convolution before it; costs nothing
    assert (before - after).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["small", "mobilenet_v3_small", "dlib_resnet"])
def test_the_same_seed_draws_the_same_weights_and_leaves_every_other_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    one, same, other = untrained(name), untrained(name), untrained(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [network.head.projection.weight for network in (one, same, other)]
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("name", "smallest"), [("dlib_resnet", 103), ("inception_resnet_v1", 75)])
def test_pictures_too_small_for_a_backbone_are_refused_with_what_it_needs(name: str, smallest: int) -> None:
    with pytest.raises(BundleError, match=f"{name} needs pictures of {smallest} px or more, not .* {smallest - 1}"):
        EmbeddingNet(architecture(name), preprocessing(smallest - 1), 150)


@pytest.mark.parametrize("size_px", [96, 113])
def test_pictures_that_leave_a_map_of_another_size_than_the_heads_kernels_are_refused(size_px: int) -> None:
    with pytest.raises(BundleError, match=f"sface needs pictures of 97 to 112 px, not input_size_px = {size_px}"):
        EmbeddingNet(architecture("sface"), preprocessing(size_px), 150)


@pytest.mark.parametrize(
    ("name", "module", "absent"),
    [
        ("resnet18", "torchvision_nets", "torchvision.models"),
        ("inception_resnet_v1", "inception_resnet", "facenet_pytorch"),
    ],
)
def test_a_backbone_whose_library_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, absent: str
) -> None:
    monkeypatch.delitem(sys.modules, f"embedder.backbones.{module}", raising=False)
    monkeypatch.setitem(sys.modules, absent, None)
    library = absent.partition(".")[0]
    with pytest.raises(BundleError, match=rf"{name} needs {library}, .*pip install 'visavis\[train\]'"):
        build_backbone(name)


def test_serving_the_built_in_network_imports_no_other_network_library() -> None:
    source = "import sys; from embedder import load; load(); print({'torchvision', 'facenet_pytorch'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", source], text=True).strip() == "set()"


def test_an_unknown_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(BundleError, match=r"unknown backbone 'vgg'; use one of dlib_resnet, .*small"):
        default_input_size_px("vgg")
