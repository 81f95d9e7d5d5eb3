"""The chip against slower ways to the same pixels."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from embedder.alignment import _halved, cut_chip, fit_similarity
from embedder.image import Photo
from embedder.weights.bundle import BUILT_IN_MODELS, read_bundle
from embedder.weights.card import Alignment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=BUILT_IN_MODELS)
def alignment(request: pytest.FixtureRequest) -> Alignment:
    return read_bundle(str(request.param)).card.alignment


@given(
    st.complex_numbers(min_magnitude=0.1, max_magnitude=10),
    st.complex_numbers(max_magnitude=1000),
    st.lists(st.complex_numbers(max_magnitude=100), min_size=2, max_size=8, unique=True),
)
def test_a_similarity_is_found_again_from_the_points_it_moved(
    turn: complex, shift: complex, points: list[complex]
) -> None:
    sources = np.asarray([*points, 50 + 0j, -50j])
    found = fit_similarity(sources, turn * sources + shift)
    assert abs(found.turn - turn) < 1e-8
    assert abs(found.shift - shift) < 1e-6


def test_the_fit_equals_least_squares_over_plain_linear_equations() -> None:
    rng = np.random.default_rng(7)
    sources, targets = rng.normal(size=(2, 2, 5))
    rows, right = [], []
    for (x, y), (u, v) in zip(sources.T, targets.T, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        right += [u, v]
    a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    found = fit_similarity(sources[0] + 1j * sources[1], targets[0] + 1j * targets[1])
    assert found.turn == pytest.approx(complex(a, b))
    assert found.shift == pytest.approx(complex(c, d))


def landmarks_at(alignment: Alignment, scale: float, left: float, top: float) -> tuple[tuple[float, float], ...]:
    """The card's own points scaled and moved, counted from pixel corners as the detector does."""
    return tuple((scale * x + left + 0.5, scale * y + top + 0.5) for x, y in alignment.points)


def test_landmarks_on_the_reference_points_cut_the_picture_as_it_is(alignment: Alignment) -> None:
    pixels = np.random.default_rng(8).integers(0, 256, (200, 220, 3), np.uint8)
    chip = cut_chip(Photo.of(Image.fromarray(pixels)), landmarks_at(alignment, 1, 30, 20), alignment)
    side = alignment.chip_size_px
    assert np.abs(chip.astype(int) - pixels[20 : 20 + side, 30 : 30 + side]).max() <= 1


def test_outside_the_picture_the_chip_is_black(alignment: Alignment) -> None:
    white = Image.new("RGB", (150, 150), "white")
    chip = cut_chip(Photo.of(white), landmarks_at(alignment, 1, -50, 0), alignment)
    assert chip[75, 20].tolist() == [0, 0, 0]
    assert chip[75, 100].tolist() == [255, 255, 255]


@pytest.mark.parametrize("scale", [0.5, 1.7, 3.1, 6.5, 20.0])
def test_at_any_scale_a_smooth_picture_is_sampled_where_it_should_be(alignment: Alignment, scale: float) -> None:
    side = int(200 * scale)
    y, x = np.mgrid[:side, :side]
    pixels = np.stack([x / side * 250, y / side * 250, x * 0], axis=-1)
    photo = Photo.of(Image.fromarray(np.rint(pixels).astype(np.uint8)))
    chip = cut_chip(photo, landmarks_at(alignment, scale, 10 * scale, 5 * scale), alignment)
    rows, columns = np.mgrid[: alignment.chip_size_px, : alignment.chip_size_px]
    wanted = np.stack([(columns + 10) * scale / side * 250, (rows + 5) * scale / side * 250], axis=-1)
    assert np.abs(chip[..., :2] - wanted).max() < 2


def test_halving_equals_a_plain_loop_over_the_binomial_window() -> None:
    pixels = np.random.default_rng(9).integers(0, 256, (9, 12, 3), np.uint8)
    weights = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    padded = np.pad(pixels.astype(float), ((2, 2), (2, 2), (0, 0)), mode="edge")
    wanted = np.zeros((5, 6, 3))
    for row in range(5):
        for column in range(6):
            window = padded[2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
            wanted[row, column] = (window * weights[..., None]).sum(axis=(0, 1))
    assert np.abs(_halved(pixels) - wanted).max() <= 0.51
