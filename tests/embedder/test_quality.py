"""What is measured of a photo: on real photographs made worse on purpose, and on pictures whose answer is known."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from embedder import Box, Face, FaceEmbedder, Quality
from embedder.image import Photo
from embedder.quality import MEASURES, VisibleShares, quality_of

PEOPLE = ("001", "005", "021", "041")
SIZE = 250  # px


def photo(examples: Path, person: str) -> Image.Image:
    return Image.open(examples / f"{person}-neutral.jpg").resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def measured(embedder: FaceEmbedder, image: bytes) -> Quality:
    return embedder.chip(image).sample.quality


@pytest.mark.parametrize("person", PEOPLE)
def test_the_more_blur_the_less_sharp(embedder: FaceEmbedder, examples: Path, person: str) -> None:
    whole = photo(examples, person)
    blurred = [whole, *(whole.filter(ImageFilter.GaussianBlur(sigma)) for sigma in (1, 2, 3, 4))]
    sharpness = [measured(embedder, encoded(picture)).sharpness for picture in blurred]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 2 * sharpness[2]


@pytest.mark.parametrize("person", PEOPLE)
def test_the_more_compressed_the_blockier(embedder: FaceEmbedder, examples: Path, person: str) -> None:
    whole = photo(examples, person)
    found = [measured(embedder, encoded(whole, "JPEG", quality=quality)).blockiness for quality in (95, 20, 10, 5)]
    assert found == sorted(found)
    assert found[0] < 1.5 < found[1]


@pytest.mark.parametrize("shift", range(1, 8))
def test_blocks_are_found_wherever_the_picture_was_cropped(embedder: FaceEmbedder, examples: Path, shift: int) -> None:
    whole = Image.open(BytesIO(encoded(photo(examples, "001"), "JPEG", quality=10)))
    cropped = whole.crop((shift, shift, SIZE, SIZE))
    assert measured(embedder, encoded(cropped)).blockiness > 3


@pytest.mark.parametrize("color", ["black", "white"])
@pytest.mark.parametrize("person", PEOPLE)
def test_the_edge_of_a_border_is_no_grid(embedder: FaceEmbedder, examples: Path, person: str, color: str) -> None:
    whole = photo(examples, person)
    box = embedder.detect(encoded(whole))[0].box
    (x, y), half = box.center, round(0.55 * box.width)
    framed = Image.new("RGB", (SIZE, SIZE), color)
    left, top = round(x) - half, round(y) - round(0.7 * box.height)
    framed.paste(whole.crop((left, top, left + 2 * half, SIZE)), (left, top))
    assert measured(embedder, encoded(framed)).blockiness < 1.5


def test_blocks_of_a_large_face_count_less_for_they_are_small_in_the_chip(
    embedder: FaceEmbedder, examples: Path
) -> None:
    small, large = (
        measured(embedder, encoded(photo(examples, "001").resize((size, size)), "JPEG", quality=10))
        for size in (SIZE, 4 * SIZE)
    )
    assert large.blockiness < small.blockiness / 2


def test_exposure_and_contrast_are_those_of_the_face(embedder: FaceEmbedder, examples: Path) -> None:
    usual, dark, pale = (
        measured(embedder, encoded(picture))
        for picture in (
            photo(examples, "001"),
            ImageEnhance.Brightness(photo(examples, "001")).enhance(0.3),
            ImageEnhance.Contrast(photo(examples, "001")).enhance(0.4),
        )
    )
    assert dark.brightness == pytest.approx(0.3 * usual.brightness, rel=0.1)
    assert pale.contrast == pytest.approx(0.4 * usual.contrast, rel=0.1)
    blown = measured(embedder, encoded(ImageEnhance.Brightness(photo(examples, "001")).enhance(2.2)))
    assert usual.clipped < 0.05 < blown.clipped <= 1


def test_measures_have_the_size_and_the_score_of_the_face(embedder: FaceEmbedder, examples: Path) -> None:
    sample = embedder.chip(encoded(photo(examples, "001"))).sample
    left, right = (np.array(point) for point in sample.face.landmarks[:2])
    assert sample.quality.eye_distance_px == pytest.approx(float(np.linalg.norm(right - left)))
    assert sample.quality.detector_score == sample.face.score


def face_at(nose: tuple[float, float]) -> Face:
    return Face(Box(50, 50, 100, 100), ((80, 80), (120, 80), nose, (85, 120), (115, 120)), 1.0)


def of(picture: Image.Image, face: Face, chip: np.ndarray) -> Quality:
    return quality_of(Photo.of(picture), face, chip, 53.7, VisibleShares(1, 1))


def test_a_nose_off_the_middle_is_a_turned_head() -> None:
    picture, chip = Image.new("RGB", (200, 200)), np.zeros((150, 150, 3), np.uint8)
    turns = [of(picture, face_at((x, 100)), chip).turn for x in (100, 108, 120, 80)]
    assert turns == pytest.approx([0, 0.2, 0.5, 0.5])


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_flat_chip_has_no_edges_and_divides_by_nothing(grey: int) -> None:
    flat = of(Image.new("RGB", (200, 200), (grey,) * 3), face_at((100, 100)), np.full((150, 150, 3), grey, np.uint8))
    assert (flat.sharpness, flat.contrast, flat.blockiness, flat.brightness) == (0, 0, 0, grey)
    assert flat.clipped == (grey != 128)


def test_the_moments_are_numpys() -> None:
    chip = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    halved = chip[20:130, 20:130, 1].reshape(55, 2, 55, 2).mean(axis=(1, 3))
    laplacian = halved[:-2, 1:-1] + halved[2:, 1:-1] + halved[1:-1, :-2] + halved[1:-1, 2:] - 4 * halved[1:-1, 1:-1]
    found = of(Image.new("RGB", (200, 200)), face_at((100, 100)), chip)
    assert (found.brightness, found.contrast) == pytest.approx((halved.mean(), halved.std()), rel=1e-4)
    assert found.sharpness == pytest.approx(np.sqrt((laplacian**2).mean()) / halved.std(), rel=1e-4)


@pytest.mark.parametrize("side", [32, 33, 112, 113, 150, 511])
def test_the_same_share_of_a_chip_of_any_size_is_looked_at(side: int) -> None:
    edge = round(side * 20 / 150)
    chip = np.full((side, side, 3), 100, np.uint8)
    border = chip.copy()
    border[:edge], border[:, :edge], border[-edge + 2 :], border[:, -edge + 2 :] = 255, 255, 255, 255
    whole = chip.copy()
    whole[edge : edge + 2, edge : edge + 2] = 255
    picture, face = Image.new("RGB", (200, 200)), face_at((100, 100))
    assert of(picture, face, border).contrast == 0
    assert of(picture, face, whole).contrast > 0


@pytest.mark.parametrize("nose", [(0, 0), (199, 199), (-300, 100), (1e4, 1e4)])
def test_a_face_at_the_edge_or_beyond_it_is_measured_without_trouble(nose: tuple[float, float]) -> None:
    found = of(Image.new("RGB", (200, 200)), face_at(nose), np.zeros((150, 150, 3), np.uint8))
    assert np.isfinite([getattr(found, name) for name in MEASURES]).all()
