"""Models whose chips are of different sizes, side by side in one process: cut, embedded, explained, exported."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image
from pydantic import ValidationError
from small_chips import ARCFACE, write_small_chips

from embedder import Bundle, BundleError, FaceEmbedder, RuntimeOptions, build_network, load, read_bundle
from embedder.alignment import cut_chip, landmarks_in_chip
from embedder.explain import Explainer, Explanation, draw_maps
from embedder.explain.atlas import channel_pictures
from embedder.explain.atlas.channel_pictures import channel_attention
from embedder.explain.explainer import gradient_method
from embedder.explain.explanation import REGIONS, regions_of_chip
from embedder.explain.occlusion import blur_chip, means_of_places, random_shares
from embedder.explain.pair_sheet import FACE_PX, draw_pair_sheet
from embedder.image import Photo
from embedder.runtime.export import BAR, export
from embedder.weights.card import Alignment, ModelCard

SIDE_PX = 112
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def bundle(small_chips: Path) -> Bundle:
    return read_bundle(small_chips)


@pytest.fixture(scope="module")
def small(small_chips: Path) -> FaceEmbedder:
    return load(small_chips)


@pytest.fixture(scope="module")
def photos(examples: Path) -> tuple[bytes, bytes]:
    return (examples / "001-neutral.jpg").read_bytes(), (examples / "001-smiling.jpg").read_bytes()


@pytest.fixture(scope="module")
def explained(small: FaceEmbedder, photos: tuple[bytes, bytes]) -> Explanation:
    return Explainer(small).explain(*photos, threshold=0.9)


# The card


@pytest.mark.parametrize("size", [31, 513, 0, -112])
def test_a_size_that_no_chip_has_is_refused(size: int) -> None:
    with pytest.raises(ValidationError, match="chip_size_px"):
        Alignment.model_validate(ARCFACE.model_dump() | {"chip_size_px": size})


@pytest.mark.parametrize("crop_px", [112, 114])
def test_a_crop_that_is_no_smaller_than_the_chip_is_refused(bundle: Bundle, crop_px: int) -> None:
    facts = bundle.card.model_dump(mode="json")
    facts["preprocessing"]["crop_px"] = crop_px
    with pytest.raises(ValidationError, match=f"crop_px is {crop_px}, and must be less than .*, 112; omit it"):
        ModelCard.model_validate_json(json.dumps(facts))


def test_the_size_of_the_chip_is_part_of_what_the_digest_covers(bundle: Bundle) -> None:
    larger = bundle.card.alignment.model_copy(update={"chip_size_px": 114})
    assert bundle.card.model_copy(update={"alignment": larger}).computed_digest() != bundle.card.digest


# Chips and embeddings


def test_models_of_either_size_serve_side_by_side(
    small: FaceEmbedder, embedder: FaceEmbedder, dlib: FaceEmbedder, photos: tuple[bytes, bytes]
) -> None:
    sides = [each.chip(photos[0]).pixels.shape for each in (small, dlib, embedder)]
    assert sides == [(112, 112, 3), (150, 150, 3), (112, 112, 3)]
    for each in (small, embedder, dlib):
        assert each.embed(photos[0]).vector.shape == (128,)
        assert each.verify(*photos, threshold=0.9).distance < 0.9


@pytest.mark.parametrize("side", [111, 150])
def test_chips_of_another_size_are_refused_with_the_size_that_is_right(small: FaceEmbedder, side: int) -> None:
    with pytest.raises(ValueError, match=rf"\(n, 112, 112, 3\), not uint8 of shape \(1, {side}, {side}, 3\)"):
        small.embed_chips(np.zeros((1, side, side, 3), np.uint8))


def test_a_smaller_chip_with_the_same_points_is_the_upper_left_of_the_larger_one(
    dlib: FaceEmbedder, photos: tuple[bytes, bytes], examples: Path
) -> None:
    photo, alignment = Photo.of(Image.open(examples / "001-neutral.jpg").convert("RGB")), dlib.card.alignment
    found = dlib.chip(photos[0])
    part = cut_chip(photo, found.sample.face.landmarks, alignment.model_copy(update={"chip_size_px": 112}))
    assert np.abs(part.astype(int) - found.pixels[:112, :112]).max() <= 1


def test_landmarks_come_to_lie_near_the_points_of_the_card(small: FaceEmbedder, photos: tuple[bytes, bytes]) -> None:
    landmarks = small.chip(photos[0]).sample.face.landmarks
    assert np.abs(np.array(landmarks_in_chip(landmarks, ARCFACE)) - ARCFACE.points).max() < 0.05 * SIDE_PX


@pytest.mark.parametrize(("crop_px", "input_size_px"), [(None, 112), (96, 48)])
def test_torch_and_openvino_agree_and_look_at_the_middle(
    tmp_path: Path, small: FaceEmbedder, photos: tuple[bytes, bytes], crop_px: int | None, input_size_px: int
) -> None:
    folder = write_small_chips(tmp_path / "bundle", crop_px=crop_px, input_size_px=input_size_px)
    chips = np.stack([small.chip(photo).pixels for photo in photos])
    ours, theirs = (load(folder, running=RuntimeOptions(runtime=name)) for name in ("openvino", "torch"))
    assert np.abs(ours.embed_faces(chips) - theirs.embed_faces(chips)).max() < TOLERANCE
    edge = (SIDE_PX - (crop_px or SIDE_PX)) // 2
    around = chips.copy()
    around[:, edge : SIDE_PX - edge, edge : SIDE_PX - edge] = 0
    hidden, changed = chips - around, around
    assert np.abs(theirs.embed_chips(hidden) - theirs.embed_chips(chips)).max() == 0
    assert np.abs(theirs.embed_chips(changed) - theirs.embed_chips(chips)).max() > 0.01


# Why


@given(st.integers(16, 60), st.integers(1, 15))
def test_the_means_of_places_are_those_of_a_map_enlarged_until_it_divides(side: int, n_places: int) -> None:
    values = np.random.default_rng(side).random((2, side, side))
    fine = values.repeat(n_places, axis=1).repeat(n_places, axis=2)
    expected = fine.reshape(2, n_places, side, n_places, side).mean(axis=(2, 4))
    assert np.allclose(means_of_places(values, n_places), expected)


def test_an_explanation_has_maps_of_the_chips_size_in_as_many_places_as_ever(explained: Explanation) -> None:
    assert explained.saliency is not None
    for each in (explained.saliency.probe, explained.saliency.reference):
        assert each.map.shape == (SIDE_PX, SIDE_PX)
        assert np.abs(each.map).max() == 1
        assert each.coarse.shape == (30, 30)
        assert each.coarse.mean() == pytest.approx(each.map.mean(), abs=1e-3)
        assert sum(region.share for region in each.regions) == pytest.approx(1)
    sheet = draw_pair_sheet(explained)
    assert sheet.height > FACE_PX


def test_gradients_are_found_of_such_chips_too(bundle: Bundle, explained: Explanation) -> None:
    found = gradient_method(bundle)(explained.sides.probe.chip, explained.sides.reference.vector)
    assert (found.shape, np.abs(found).max()) == ((SIDE_PX, SIDE_PX), 1)


def test_each_landmark_lies_in_the_region_of_its_name() -> None:
    regions = regions_of_chip(ARCFACE.points, SIDE_PX)
    assert regions.shape == (SIDE_PX, SIDE_PX)
    named = [REGIONS[regions[round(y), round(x)]] for x, y in ARCFACE.points]
    assert named == ["left_eye", "right_eye", "nose", "mouth", "mouth"]


def test_covers_hide_the_same_share_of_a_chip_of_any_size() -> None:
    hidden = [1 - random_shares(300, side, np.random.default_rng(0)).mean() for side in (75, 112, 150, 300)]
    assert np.ptp(hidden) < 0.02


def test_a_chip_is_blurred_as_much_at_any_size() -> None:
    generator = np.random.default_rng(0)
    wide = Image.fromarray(generator.integers(0, 256, (10, 10, 3), np.uint8))
    one, other = (blur_chip(np.asarray(wide.resize((side, side), Image.Resampling.BICUBIC))) for side in (150, 300))
    halved = np.asarray(Image.fromarray(other).resize((150, 150), Image.Resampling.BOX))
    assert np.abs(halved.astype(int) - one).max() <= 3


def test_where_channels_look_is_a_grid_of_as_many_places() -> None:
    chips = np.random.default_rng(0).integers(0, 256, (2, SIDE_PX, SIDE_PX, 3), np.uint8)

    def embed(some: np.ndarray) -> np.ndarray:  # a channel that looks at one corner, and others that do not look
        values = np.zeros((len(some), 128), np.float32)
        values[:, 5] = some[:, :6, -6:].std(axis=(1, 2, 3))
        return values

    changes = channel_attention(chips, embed, lambda _: None)
    assert changes.shape == (128, 15, 15)
    assert np.argwhere(changes[5]).tolist() == [[0, 13], [0, 14], [1, 13], [1, 14]]
    assert not np.delete(changes, 5, axis=0).any()


def test_pictures_that_channels_answer_to_are_as_large_as_chips(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_pictures, "N_STEPS", 1)  # of 40, which take a minute
    mean = np.full((SIDE_PX, SIDE_PX, 3), 127, np.uint8)
    pictures = channel_pictures.maximise_channels(build_network(bundle).eval(), mean, torch.ones(128), lambda _: None)
    assert pictures.shape == (128, SIDE_PX, SIDE_PX, 3)
    assert (pictures != mean).any(axis=(1, 2, 3)).all()


# Inside, and outside


def test_a_layer_is_seen_as_it_answers_to_such_a_chip(small: FaceEmbedder, photos: tuple[bytes, bytes]) -> None:
    first = Explainer(small).describe().layers[0]
    found = Explainer(small).maps(photos[0], layer=first.name)
    assert first.given == (3, 56, 56)
    assert found.maps.shape == first.hands_on
    assert draw_maps(found).png.startswith(b"\x89PNG")


def test_an_exported_network_takes_chips_of_that_size_and_says_so(bundle: Bundle, tmp_path: Path) -> None:
    exported = export(bundle, tmp_path / "out", "onnx")
    assert exported.difference <= BAR
    assert "uint8 (n, 112, 112, 3)" in exported.about
    (given,) = onnx.load(tmp_path / "out" / "just-learnt.onnx").graph.input
    assert [each.dim_value for each in given.type.tensor_type.shape.dim][1:] == [112, 112, 3]


@pytest.mark.parametrize(("name", "side"), [("sface-128", 112), ("dlib-resnet29-128", 150)])
def test_a_built_in_network_looks_at_the_whole_of_its_chips(name: str, side: int) -> None:
    bundle = read_bundle(name)
    assert bundle.card.alignment.chip_size_px == side
    assert build_network(bundle).crop_px == side


def test_a_bundle_whose_crop_does_not_fit_is_not_loaded(small_chips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in small_chips.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    facts = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    facts["preprocessing"]["crop_px"] = 130
    (folder / "card.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(BundleError, match="crop_px is 130"):
        load(folder)
