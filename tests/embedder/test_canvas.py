"""The canvas that a photo is looked at on: nothing is cut off, and what is found is told where it lies."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from embedder.detection.detector import OTHER_ANGLES, SHAPES, SIDES_PX
from embedder.detection.yunet import BORDER_SHARE, GREY, MULTIPLE_PX, Candidates, Canvas
from embedder.image import Photo

QUARTERS = (0, 90, 180, 270)
BRIGHT = 192  # nothing but the white box is brighter: the photo is black, its surroundings grey

sizes = st.tuples(st.integers(20, 120), st.integers(20, 120))
borders = st.integers(30, 60)


def box_in(draw: st.DataObject, size: tuple[int, int], least: int) -> tuple[int, int, int, int]:
    starts = [draw.draw(st.integers(0, side - least)) for side in size]
    return (*starts, *(draw.draw(st.integers(start + least, side)) for start, side in zip(starts, size, strict=True)))


def photo_with(size: tuple[int, int], box: tuple[int, int, int, int]) -> Photo:
    picture = Image.new("RGB", size)
    picture.paste("white", box)
    return Photo.of(picture)


def bright(canvas: Canvas, angle: int) -> np.ndarray:
    """The bounds of the white box on the turned canvas: left, top, right, bottom."""
    rows, columns = np.nonzero(canvas.pixels(angle)[..., 0] > BRIGHT)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def told(canvas: Canvas, box: np.ndarray, angle: int) -> np.ndarray:
    found = canvas.to_photo(Candidates(box[None], np.array([0.7]), np.array([float(angle)])))
    assert (found.scores.tolist(), found.angles.tolist()) == ([0.7], [angle])
    return found.boxes[0]


def center(box: np.ndarray) -> np.ndarray:
    return (np.asarray(box)[:2] + np.asarray(box)[2:]) / 2


@given(sizes, borders, st.sampled_from(QUARTERS), st.data())
def test_what_is_found_on_a_canvas_turned_by_quarters_is_told_exactly(
    size: tuple[int, int], border: int, angle: int, draw: st.DataObject
) -> None:
    box = box_in(draw, size, 1)
    canvas = Canvas.of(photo_with(size, box), max(size), border)
    assert told(canvas, bright(canvas, angle), angle) == pytest.approx(box, abs=1e-9)


@given(sizes, borders, st.sampled_from([45, 135, 225, 315]), st.data())
def test_what_is_found_on_a_canvas_turned_by_any_angle_is_told_where_its_middle_lies(
    size: tuple[int, int], border: int, angle: int, draw: st.DataObject
) -> None:
    box = box_in(draw, size, 4)
    canvas = Canvas.of(photo_with(size, box), max(size), border)
    found = bright(canvas, angle)
    back = told(canvas, found, angle)
    assert np.abs(center(back) - center(box)).max() < 1.5
    assert back[2:] - back[:2] == pytest.approx(found[2:] - found[:2])


@given(sizes, st.integers(32, 200), st.sampled_from(range(0, 360, 45)), st.data())
def test_on_a_shrunk_or_enlarged_photo_it_is_told_in_px_of_the_photo(
    size: tuple[int, int], side: int, angle: int, draw: st.DataObject
) -> None:
    box = box_in(draw, size, min(size) // 2)
    canvas = Canvas.of(photo_with(size, box), side, round(BORDER_SHARE * side))
    back = told(canvas, bright(canvas, angle), angle)
    blurred = 1.5 / np.array(canvas.scales) + 0.5  # px of the photo: pixels of either are smeared into each other
    assert (np.abs(center(back) - center(box)) < blurred).all()


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(range(0, 360, 45)))
def test_turned_by_any_angle_the_photo_stays_on_a_canvas_of_whole_cells(width: int, height: int, angle: int) -> None:
    canvas = Canvas.of(Photo.of(Image.new("RGB", (width, height), "white")), 160, round(BORDER_SHARE * 160))
    pixels = canvas.pixels(angle)
    assert all(side % MULTIPLE_PX == 0 for side in pixels.shape[:2])
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == GREY).all()


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([160, 320, 640]))
def test_a_photo_is_looked_at_with_its_longer_side_as_long_as_asked_for(width: int, height: int, side: int) -> None:
    canvas = Canvas.of(Photo.of(Image.new("RGB", (width, height))), side, 0)
    assert max(canvas.picture.size) == side
    assert canvas.pixels().shape == (side, side, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 1500), st.integers(1, 1500))
def test_every_canvas_has_one_of_the_shapes_that_the_network_is_made_ready_for(width: int, height: int) -> None:
    photo = Photo.of(Image.new("RGB", (width, height)))
    coarsest = Canvas.of(photo, SIDES_PX[0], round(BORDER_SHARE * SIDES_PX[0]))
    seen = [coarsest.pixels(angle) for angle in (0, *OTHER_ANGLES)]
    seen += [Canvas.of(photo, side, 0).pixels() for side in SIDES_PX[1:]]
    assert {pixels[None].shape for pixels in seen} <= set(SHAPES)


def test_a_photo_is_shrunk_to_the_means_of_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (640, 320, 3), np.uint8)
    canvas = Canvas.of(Photo.of(Image.fromarray(pixels)), 160, 0)
    means = pixels.reshape(160, 4, 80, 4, 3).mean(axis=(1, 3))
    assert np.abs(canvas.pixels()[:, 40:120] - means).max() <= 1.5  # means of means are rounded twice
    assert (canvas.pixels()[:, :40] == GREY).all()
    assert (canvas.pixels()[:, 120:] == GREY).all()


def test_of_nothing_found_nothing_is_told() -> None:
    none = Candidates(np.empty((0, 4)), np.empty(0), np.empty(0))
    assert len(Canvas.of(Photo.of(Image.new("RGB", (9, 9))), 160, 40).to_photo(none)) == 0
