"""dlib's network against the numbers that dlib itself gives for the same chips."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from embedder import BundleError, FaceEmbedder, load
from embedder.backbones.dlib_resnet import ConvAffine, add_padded
from embedder.backbones.registry import build_backbone
from embedder.network import EmbeddingNet, Head, build_network, fuse_batch_norm
from embedder.runtime.torch import run
from embedder.weights.bundle import Bundle, read_bundle
from embedder.weights.dlib import DLIB

TOLERANCE = 1e-5


def pattern() -> np.ndarray:
    y, x = np.mgrid[:150, :150]
    channels = [(3 * x + 5 * y) % 256, (7 * x + 2 * y + 31) % 256, (x * y + 11) % 256]
    return np.stack(channels, axis=-1).astype(np.uint8)


def constant(value: int) -> np.ndarray:
    return np.full((150, 150, 3), value, np.uint8)


GOLDEN = {
    "pattern": (
        pattern(),
        "a6d8b74e4c50163998128476eefa6d9bc56141f9dfc696d2841797ccfe271aa9",
        [-0.052152008, 0.11361194, 0.015631864, -0.042707343, -0.10270385, -0.0620807, -0.031033713, 0.013758177],
        1.318294,
        -0.930748,
    ),
    "grey": (
        constant(128),
        "7e520d86402a4a806f2e1bffc1271af46abfa03141544c470b718e1cd9db32b1",
        [-0.039052647, 0.12281312, 0.053047054, -0.007809493, -0.091093495, -0.03620913, -0.08895377, -0.035617467],
        1.342806,
        -0.696747,
    ),
    "black": (
        constant(0),
        "426020a90d0efab71b689d180a1b3c8c5e296619771fbbf7ed586e963702342e",
        [-0.0399175, 0.1049164, 0.0908227, -0.0088473, -0.0796071, -0.0425218, -0.0536881, 0.0001446],
        1.306646,
        None,
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_network_gives_the_vectors_that_dlib_gives(dlib: FaceEmbedder, name: str) -> None:
    chip, sha256, first, norm, total = GOLDEN[name]
    assert hashlib.sha256(chip.tobytes()).hexdigest() == sha256
    (vector,) = dlib.embed_chips(chip[None])
    assert np.abs(vector[:8] - first).max() < TOLERANCE
    assert abs(np.linalg.norm(vector) - norm) < TOLERANCE
    assert total is None or abs(vector.sum() - total) < TOLERANCE * 10


def test_the_last_channels_are_dlibs_too(dlib: FaceEmbedder) -> None:
    (vector,) = dlib.embed_chips(pattern()[None])
    assert np.abs(vector[-2:] - [-0.004510996, 0.013290260]).max() < TOLERANCE


def test_a_batch_gives_what_single_chips_give(dlib: FaceEmbedder) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (70, 150, 150, 3), np.uint8)
    one_by_one = np.concatenate([dlib.embed_chips(chip[None]) for chip in chips])
    assert np.abs(dlib.embed_chips(chips) - one_by_one).max() < TOLERANCE


def test_no_chips_give_no_embeddings(dlib: FaceEmbedder) -> None:
    assert dlib.embed_chips(np.empty((0, 150, 150, 3), np.uint8)).shape == (0, 128)


@pytest.mark.parametrize("chips", [np.zeros((1, 150, 150, 3)), np.zeros((150, 150, 3), np.uint8)])
def test_chips_of_another_kind_are_a_value_error(dlib: FaceEmbedder, chips: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        dlib.embed_chips(chips)


def test_folding_changes_the_parameters_but_not_the_answer() -> None:
    network = build_network(read_bundle(DLIB)).eval()
    stored = sum(parameter.numel() for parameter in network.parameters())
    (before,) = run(network, pattern()[None])
    (after,) = run(fuse_batch_norm(network), pattern()[None])
    assert (stored, sum(parameter.numel() for parameter in network.parameters())) == (5_614_592, 5_607_488)
    assert not any(isinstance(module, ConvAffine) for module in network.modules())
    assert np.abs(before - after).max() < TOLERANCE


def test_the_head_is_a_linear_layer_by_another_name() -> None:
    generator = torch.Generator().manual_seed(1)
    head, linear = build_network(read_bundle(DLIB)).head, nn.Linear(256, 128, bias=False)
    linear.weight.data = head.projection.weight.data[:, :, 0, 0]
    pooled = torch.rand(5, 256, 1, 1, generator=generator)
    assert (head(pooled) - linear(pooled.flatten(1))).abs().max() < 1e-6


def test_a_head_of_unit_length_gives_vectors_of_length_one() -> None:
    head = Head(256, 128, unit_length=True)
    lengths = head(torch.randn(5, 256, 1, 1, generator=torch.Generator().manual_seed(2))).norm(dim=1)
    assert (lengths - 1).abs().max() < 1e-6


def test_padded_addition_treats_each_map_as_zero_beyond_its_extent() -> None:
    a, b = torch.ones(1, 2, 1, 1), torch.ones(1, 1, 2, 2)
    total = add_padded(a, b)
    assert total.shape == (1, 2, 2, 2)
    assert total[0, :, 0, 0].tolist() == [2, 1]
    assert total[0, :, 1, 1].tolist() == [1, 0]


def net(*, input_size_px: int = 150) -> EmbeddingNet:
    """Dlib's network under a card that says something else of its input."""
    card = read_bundle(DLIB).card
    preprocessing = card.preprocessing.model_copy(update={"input_size_px": input_size_px})
    network = EmbeddingNet(card.architecture, preprocessing, card.alignment.chip_size_px)
    network.load_state_dict(build_network(read_bundle(DLIB)).state_dict())
    return network.eval()


@pytest.mark.parametrize("mirror", [True, False])
def test_a_face_is_embedded_as_the_mean_over_chip_and_mirror_image_where_the_card_says_so(*, mirror: bool) -> None:
    model, chips = load(DLIB, mirror=mirror), np.stack([pattern(), constant(90)])
    plain, turned = (model.embed_chips(each) for each in (chips, chips[:, :, ::-1]))
    expected = (plain + turned) / 2 if mirror else plain
    assert np.abs(model.embed_faces(chips) - expected).max() < TOLERANCE


def test_two_faces_in_one_batch_are_embedded_as_they_are_alone(dlib: FaceEmbedder) -> None:
    chips = np.stack([pattern(), constant(90), constant(200)])
    alone = np.concatenate([dlib.embed_faces(chip[None]) for chip in chips])
    assert np.abs(dlib.embed_faces(chips) - alone).max() < TOLERANCE


def test_a_network_that_wants_another_size_resizes_inside() -> None:
    grey = constant(128)[None]
    (small,) = run(net(input_size_px=112), grey)
    assert small.shape == (1, 128)
    assert not np.allclose(small, run(net(), grey)[0], atol=1e-3)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(BundleError, match="use one of dlib_resnet"):
        build_backbone("vgg")


def test_weights_that_do_not_fit_the_architecture_are_refused() -> None:
    bundle = read_bundle(DLIB)
    fewer = {name: tensor for name, tensor in bundle.tensors.items() if not name.startswith("head")}
    with pytest.raises(BundleError, match="do not fit"):
        build_network(Bundle(bundle.card, fewer))


def middle(crop_px: int, input_size_px: int) -> EmbeddingNet:
    """Dlib's network as if it looked at the middle of chips."""
    card = read_bundle(DLIB).card
    changed = {"crop_px": crop_px, "input_size_px": input_size_px}
    preprocessing = card.preprocessing.model_copy(update=changed)
    return EmbeddingNet(card.architecture, preprocessing, card.alignment.chip_size_px)


def test_the_middle_of_a_chip_is_what_lies_around_its_centre() -> None:
    chips = torch.from_numpy(pattern()[None])
    pictures = middle(114, 114).resized(chips)
    assert torch.equal(pictures, chips[:, 18:132, 18:132].permute(0, 3, 1, 2))


@pytest.mark.parametrize(("crop_px", "input_size_px"), [(150, 104), (114, 104), (114, 160)])
def test_pictures_are_resized_as_pillow_resizes_them(
    dlib: FaceEmbedder, examples: Path, crop_px: int, input_size_px: int
) -> None:
    chip = dlib.chip((examples / "001-neutral.jpg").read_bytes()).pixels
    edge = (150 - crop_px) // 2
    cut = Image.fromarray(chip[edge : edge + crop_px, edge : edge + crop_px])
    expected = np.asarray(cut.resize((input_size_px, input_size_px), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    (resized,) = middle(crop_px, input_size_px).resized(torch.from_numpy(chip[None].copy())).numpy()
    assert np.abs(resized - expected).max() < 1.1  # Pillow rounds twice, by half a grey level each
