"""Augmented chips, on real faces: each change against a second way, chance that comes from the generator alone."""

from dataclasses import astuple
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from embedder import FaceEmbedder
from train.augmentation import Augmenter, CropWindow, continued, hues, placed, recolor, sheet, turn, windows
from train.run_file import Augmentation, Color, Crop, Rotation

CHANGES = tuple(Augmentation.model_fields)
NOTHING = {name: {"probability": 0} for name in CHANGES}


@pytest.fixture(scope="module")
def chips(embedder: FaceEmbedder, examples: Path) -> np.ndarray:
    """Six real chips, (6, 112, 112, 3)."""
    photos = sorted(examples.glob("*.jpg"))[:6]
    return np.stack([embedder.chip(photo.read_bytes()).pixels for photo in photos])


def only(**changes: dict[str, object]) -> Augmentation:
    return Augmentation.model_validate(NOTHING | changes)


def augmented(chips: np.ndarray, settings: Augmentation, side: int = 112, seed: int = 0) -> np.ndarray:
    """Pictures (n, side, side, 3) as the chips are."""
    pictures = Augmenter(settings, side, chips.shape[1])(chips, np.random.default_rng(seed))
    assert pictures.dtype == torch.uint8
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    return pictures.permute(0, 2, 3, 1).numpy()


def upright(chips: np.ndarray) -> Tensor:
    return torch.from_numpy(chips.copy()).permute(0, 3, 1, 2)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in grey levels."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def test_without_any_change_the_pictures_are_the_chips(chips: np.ndarray) -> None:
    assert augmented(chips, only()).tobytes() == chips.tobytes()


@pytest.mark.parametrize("side", [64, 96, 112, 224])
def test_without_any_change_the_pictures_are_what_the_network_makes_of_chips(chips: np.ndarray, side: int) -> None:
    expected = torch.nn.functional.interpolate(upright(chips).float(), (side, side), mode="bilinear", antialias=True)
    found = augmented(chips, only(), side).astype(float)
    assert np.abs(found - expected.permute(0, 2, 3, 1).numpy()).max() < 1.01  # rounded twice, by half a level each


@pytest.mark.parametrize(("chip_px", "crop_px"), [(112, 112), (112, 96), (150, 114)])
def test_without_any_change_the_pictures_are_the_middle_of_chips_of_any_size(
    chips: np.ndarray, chip_px: int, crop_px: int
) -> None:
    some = np.stack([np.asarray(Image.fromarray(chip).resize((chip_px, chip_px))) for chip in chips])
    pictures = Augmenter(only(), crop_px, crop_px)(some, np.random.default_rng(0))
    edge = (chip_px - crop_px) // 2
    assert np.array_equal(pictures.permute(0, 2, 3, 1), some[:, edge : edge + crop_px, edge : edge + crop_px])


@given(st.integers(0, 2**32 - 1))
def test_windows_of_smaller_chips_are_those_of_larger_ones_in_proportion(seed: int) -> None:
    crop = Crop(probability=1, shift=0.5, zoom=0.5, stretch=0.5)
    one, other = (windows(5, crop, np.random.default_rng(seed), side, side) for side in (112, 1120))
    for small, large in zip(one, other, strict=True):
        assert np.abs(10 * np.array(astuple(small)) - astuple(large)).max() <= 15  # whole px, rounded twice


def test_the_chips_themselves_are_left_alone_even_where_they_must_not_be_written(chips: np.ndarray) -> None:
    locked = chips.copy()
    locked.setflags(write=False)
    augmented(locked, Augmentation(), 96)
    assert locked.tobytes() == chips.tobytes()


@pytest.mark.parametrize("side", [96, 150])
def test_the_same_state_gives_the_same_bytes_and_another_one_others(chips: np.ndarray, side: int) -> None:
    one, again, other = (augmented(chips, Augmentation(), side, seed).tobytes() for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_chance_comes_from_no_generator_but_the_one_given(chips: np.ndarray) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = augmented(chips, Augmentation(), 96)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert augmented(chips, Augmentation(), 96).tobytes() == one.tobytes()


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_made_to_all_at_probability_1_and_to_some_at_one_half(chips: np.ndarray, name: str) -> None:
    always = augmented(chips, only(**{name: {"probability": 1}}))
    assert all(difference(*pair) > 0.2 for pair in zip(always, chips, strict=True))
    many = np.tile(chips, (5, 1, 1, 1))
    half = augmented(many, only(**{name: {"probability": 0.5}}))
    n_changed = sum(one.tobytes() != other.tobytes() for one, other in zip(half, many, strict=True))
    assert 7 <= n_changed <= 23


@pytest.mark.parametrize("name", CHANGES)
def test_faces_of_a_batch_are_changed_each_in_its_own_way(chips: np.ndarray, name: str) -> None:
    same = np.repeat(chips[:1], 8, axis=0)
    found = augmented(same, only(**{name: {"probability": 1}}))
    n_ways = len({picture.tobytes() for picture in found})
    assert n_ways == 1 if name in ("mirror", "grey") else n_ways >= 7


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_left_out_changes_nothing_for_faces_that_it_would_not_have_met(chips: np.ndarray, name: str) -> None:
    many = np.tile(chips, (2, 1, 1, 1))
    whole = Augmentation.model_validate({each: {"probability": 0.4} for each in CHANGES})
    without = whole.model_copy(update={name: getattr(only(), name)})
    pairs = zip(augmented(many, whole, 64, seed=1), augmented(many, without, 64, seed=1), strict=True)
    n_same = sum(one.tobytes() == other.tobytes() for one, other in pairs)
    assert 3 <= n_same <= 11


def test_mirroring_and_grey_are_what_their_names_say(chips: np.ndarray) -> None:
    assert augmented(chips, only(mirror={"probability": 1})).tobytes() == chips[:, :, ::-1].tobytes()
    grey = augmented(chips, only(grey={"probability": 1}))
    luma = chips.astype(float) @ [0.2989, 0.587, 0.114]
    assert np.abs(grey.astype(float) - luma[..., None]).max() <= 1


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
)
def test_a_window_is_as_large_and_as_far_off_as_the_run_file_allows(
    seed: int, shift: float, zoom: float, stretch: float
) -> None:
    crop = Crop(probability=1, shift=shift, zoom=zoom, stretch=stretch)
    found = windows(20, crop, np.random.default_rng(seed), 150, 150)
    for window in found:
        middle = np.array([window.top + window.height / 2, window.left + window.width / 2])
        assert (np.abs(middle - 75) <= 150 * shift + 1).all()
        size, ratio = np.sqrt(window.height * window.width) / 150, window.height / window.width
        assert 0.98 / (1 + zoom) <= size <= 1.02 * (1 + zoom)
        assert 0.98 / (1 + stretch) <= ratio <= 1.02 * (1 + stretch)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([96, 150]))
def test_a_window_is_resized_as_if_it_were_cut_out_of_a_chip_with_a_wide_border(seed: int, side: int) -> None:
    generator = np.random.default_rng(seed)
    chips = generator.integers(0, 256, (3, 150, 150, 3), np.uint8)
    cut = windows(3, Crop(probability=0.8, shift=0.5, zoom=0.5, stretch=0.5), generator, 150, 150)
    found = placed(chips, cut, side)
    for picture, chip, window in zip(found, chips, cut, strict=True):
        wide = np.pad(chip, ((150, 150), (150, 150), (0, 0)), "edge")
        top, left = window.top + 150, window.left + 150
        part = torch.from_numpy(wide[top : top + window.height, left : left + window.width]).permute(2, 0, 1)
        expected = torch.nn.functional.interpolate(part[None].float(), (side, side), mode="bilinear", antialias=True)
        assert (picture.float() - expected[0]).abs().max() <= 1.01


def test_the_edge_goes_on_as_numpy_continues_it(chips: np.ndarray) -> None:
    assert (continued(chips[0], 17) == np.pad(chips[0], ((17, 17), (17, 17), (0, 0)), "edge")).all()


def test_a_smaller_window_shows_the_face_larger(chips: np.ndarray) -> None:
    (picture,) = placed(chips[:1], [CropWindow(19, 19, 75, 75)], 112)
    middle = upright(chips)[0, :, 19:94, 19:94]
    assert difference(v2.resize(picture, [75, 75]).numpy(), middle.numpy()) < 4


def test_turning_is_what_torchvision_does_away_from_the_border(chips: np.ndarray) -> None:
    turned = upright(chips[:1]).clone()
    turn(turned, Rotation(probability=1, degrees=20), np.random.default_rng(3))
    generator = np.random.default_rng(3)
    generator.random(1)
    angle = float(generator.uniform(-20, 20, 1)[0])
    expected = v2.rotate(upright(chips[:1]), angle, v2.InterpolationMode.BILINEAR)
    inside = (..., slice(30, 82), slice(30, 82))
    assert (turned[inside].float() - expected[inside].float()).abs().max() <= 1


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_light_is_what_torchvision_makes_of_it(chips: np.ndarray, name: str) -> None:
    changed = upright(chips).clone()
    nothing = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    recolor(changed, Color.model_validate(nothing | {"probability": 1, name: 0.3}), np.random.default_rng(5))
    generator = np.random.default_rng(5)
    draws = [generator.random(6) for _ in range(4)]
    factors = 0.7 + 0.6 * draws[1 + ["brightness", "contrast", "saturation"].index(name)]
    adjust = {"brightness": v2.adjust_brightness, "contrast": v2.adjust_contrast, "saturation": v2.adjust_saturation}
    for found, chip, factor in zip(changed, upright(chips), factors, strict=True):
        assert (found.float() - adjust[name](chip, float(factor)).float()).abs().max() <= 2


def test_a_third_of_the_circle_makes_red_green_and_a_small_turn_is_about_torchvisions() -> None:
    red, green = np.array([200.0, 0, 0]), np.array([0, 200.0, 0])
    assert hues(np.array([1 / 3]))[0] @ red == pytest.approx(green)
    skin = torch.tensor([190, 140, 120], dtype=torch.uint8)[:, None, None]
    expected = v2.adjust_hue(skin, 0.02).flatten().float().numpy()
    assert hues(np.array([0.02]))[0] @ skin.flatten().numpy() == pytest.approx(expected, abs=6)


@pytest.mark.parametrize(
    ("name", "mild", "strong"),
    [
        ("jpeg", {"quality": [90, 90]}, {"quality": [10, 10]}),
        ("blur", {"sigma_px": [0.5, 0.5]}, {"sigma_px": [4.0, 4.0]}),
        ("low_resolution", {"size_px": [90, 90]}, {"size_px": [12, 12]}),
    ],
)
def test_stronger_settings_leave_less_of_the_face(
    chips: np.ndarray, name: str, mild: dict[str, object], strong: dict[str, object]
) -> None:
    losses = [difference(augmented(chips, only(**{name: {"probability": 1} | each})), chips) for each in (mild, strong)]
    assert losses[0] < losses[1] / 2


LUMINANCE = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]  # the steps of quality 50, as the standard has them (ITU-T T.81, annex K)


def test_jpeg_is_that_of_the_standard(chips: np.ndarray) -> None:
    """A grey picture, block by block: cosine transform, rounded to the steps of the quality, and back."""
    grey = np.repeat(chips[:1, :, :, 1:2], 3, axis=3)
    found = augmented(grey, only(jpeg={"probability": 1, "quality": [25, 25]}))[0, :, :, 0]
    places = np.arange(8)
    cosines = np.cos((2 * places + 1) * places[:, None] * np.pi / 16) * np.where(places, 0.5, 8**-0.5)[:, None]
    steps = np.array(LUMINANCE) * 2  # of quality 25
    expected = np.empty((112, 112))
    for top in range(0, 112, 8):
        for left in range(0, 112, 8):
            block = grey[0, top : top + 8, left : left + 8, 0] - 128.0
            rounded = np.rint(cosines @ block @ cosines.T / steps) * steps
            expected[top : top + 8, left : left + 8] = cosines.T @ rounded @ cosines + 128
    assert difference(found, expected.clip(0, 255)) < 0.5


@pytest.mark.parametrize("chip_px", [112, 150])
def test_blur_is_in_px_of_the_chip_whatever_the_size_of_the_picture(chip_px: int) -> None:
    """A point is as wide as its sigma: 3 px in a picture of the chip's size, 6 in one twice as large."""
    point, middle = np.zeros((1, chip_px, chip_px, 3), np.uint8), chip_px // 2
    point[0, middle - 1 : middle + 1, middle - 5 : middle + 5] = 255
    for side, sigma in ((chip_px, 3.0), (2 * chip_px, 6.0)):
        column = augmented(point, only(blur={"probability": 1, "sigma_px": [3, 3]}), side)[0, :, side // 2, 0].astype(
            float
        )
        places = np.arange(side) - (column * np.arange(side)).sum() / column.sum()
        assert np.sqrt((column * places**2).sum() / column.sum()) == pytest.approx(sigma, rel=0.1)


def test_a_low_resolution_above_that_of_the_picture_does_nothing(chips: np.ndarray) -> None:
    settings = only(low_resolution={"probability": 1, "size_px": [150, 150]})
    smaller = only(low_resolution={"probability": 1, "size_px": [112, 112]})
    assert (
        augmented(chips[:, :112, :112], smaller, 96).tobytes() == augmented(chips[:, :112, :112], only(), 96).tobytes()
    )
    assert augmented(chips, settings, 96).tobytes() == augmented(chips, only(), 96).tobytes()


def test_the_strongest_settings_of_all_and_an_empty_batch_work(chips: np.ndarray) -> None:
    strongest = Augmentation.model_validate(
        {
            "mirror": {"probability": 1},
            "crop": {"probability": 1, "shift": 0.5, "zoom": 0.5, "stretch": 0.5},
            "rotation": {"probability": 1, "degrees": 45},
            "color": {"probability": 1, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5},
            "grey": {"probability": 1},
            "low_resolution": {"probability": 1, "size_px": [8, 8]},
            "blur": {"probability": 1, "sigma_px": [100, 100]},
            "jpeg": {"probability": 1, "quality": [1, 1]},
        }
    )
    assert augmented(chips, strongest, 32).shape == (6, 32, 32, 3)
    assert augmented(chips[:0], Augmentation(), 96).shape == (0, 96, 96, 3)


@pytest.mark.parametrize(("n", "size"), [(64, (8 * 98 - 2, 8 * 98 - 2)), (3, (8 * 98 - 2, 96)), (9, (8 * 98 - 2, 194))])
def test_a_sheet_has_rows_of_eight(chips: np.ndarray, n: int, size: tuple[int, int]) -> None:
    many = np.tile(chips, (11, 1, 1, 1))[:n]
    pictures = Augmenter(Augmentation(), 96, 112)(many, np.random.default_rng(0))
    opened = Image.open(BytesIO(sheet(pictures)))
    assert opened.size == size
    last = (n - 1) % 8 * 98, (n - 1) // 8 * 98
    cut = opened.crop((*last, last[0] + 96, last[1] + 96))
    assert np.asarray(cut).tobytes() == pictures[-1].permute(1, 2, 0).contiguous().numpy().tobytes()


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        sheet(torch.empty((0, 3, 96, 96), dtype=torch.uint8))
