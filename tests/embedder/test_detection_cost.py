"""What a photo can cost at most: how many passes of the two networks, whatever is on it."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from embedder import FaceEmbedder, Limits, SeveralFaces
from embedder.detection.detector import OTHER_ANGLES, SIDES_PX, CoarseToFineDetector, select_face
from embedder.detection.yunet import _FACES_AT_A_TIME, MAX_FACES, non_maximum_suppression
from embedder.image import FACTORS, Photo, decode_image
from embedder.types import Inputs, Pass

MOST_LOOKS = len(SIDES_PX) + len(OTHER_ANGLES) + 3 * len(SIDES_PX[1:])  # larger sizes: by quarter turns
MOST_PIXELS = 640 * 640  # of a picture that is looked at


class Counted:
    """A network that remembers how much it was given."""

    def __init__(self, network: Pass) -> None:
        self._network, self.shapes = network, []

    def __call__(self, pixels: Inputs) -> tuple[np.ndarray, ...]:
        self.shapes.append(pixels.shape)
        return self._network(pixels)


@pytest.fixture
def yunet(embedder: FaceEmbedder) -> Counted:
    return Counted(embedder._preprocessor.detector._yunet)


@pytest.fixture
def onet(embedder: FaceEmbedder) -> Counted:
    return Counted(embedder._preprocessor.detector._onet)


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def mosaic(path: Path, n: int, side: int) -> Image.Image:
    """A face n by n times, each in a square of `side` px."""
    tile = np.asarray(Image.open(path).crop((91, 86, 511, 506)).resize((side, side), Image.Resampling.BOX))
    return Image.fromarray(np.tile(tile, (n, n, 1)))


@pytest.mark.parametrize(
    "picture",
    [Image.new("RGB", (10_000, 5_000), "grey"), noise(10_000, 5_000), noise(500, 250).resize((10_000, 5_000))],
    ids=["grey", "noise", "coarse noise"],
)
def test_a_picture_of_the_largest_size_without_faces_is_looked_at_sixteen_times(
    yunet: Counted, onet: Counted, picture: Image.Image
) -> None:
    assert picture.width * picture.height == Limits().max_pixels
    found = CoarseToFineDetector(yunet, onet)(decode_image(jpeg(picture, quality=10), Limits()))
    assert (found.faces, found.is_whole) == ((), True)
    assert (len(yunet.shapes), len(onet.shapes)) == (MOST_LOOKS, 0)
    assert max(shape[1] * shape[2] for shape in yunet.shapes) <= MOST_PIXELS


@pytest.mark.parametrize(("n", "side"), [(20, 200), (36, 112), (40, 100), (36, 36)])
def test_of_a_thousand_faces_each_goes_through_the_second_network_once(
    yunet: Counted, onet: Counted, examples: Path, n: int, side: int
) -> None:
    found = CoarseToFineDetector(yunet, onet)(
        decode_image(jpeg(mosaic(examples / "005-neutral.jpg", n, side)), Limits())
    )
    assert len(yunet.shapes) <= MOST_LOOKS
    assert len(found.faces) == sum(shape[0] for shape in onet.shapes)
    assert len(onet.shapes) == -(-len(found.faces) // _FACES_AT_A_TIME)
    assert len(found.faces) <= 2_000


@pytest.mark.parametrize(("choice", "n_located"), [("dominant", 0), ("only", 0), ("largest", 1), ("center", 1)])
def test_in_a_crowd_only_the_selected_face_goes_through_the_second_network(
    yunet: Counted, onet: Counted, examples: Path, choice: str, n_located: int
) -> None:
    crowd = jpeg(mosaic(examples / "005-neutral.jpg", 20, 112))
    found = CoarseToFineDetector(yunet, onet)(decode_image(crowd, Limits()))
    assert len(found.boxes) > 300
    with suppress(SeveralFaces):
        select_face(found, choice, (1000, 1000))
    assert sum(shape[0] for shape in onet.shapes) == n_located


def test_a_mosaic_has_its_faces_so_the_bound_is_put_to_the_test(embedder: FaceEmbedder, examples: Path) -> None:
    assert len(embedder.detect(jpeg(mosaic(examples / "005-neutral.jpg", 36, 112)))) > 1_000


def test_an_upright_portrait_is_looked_at_once_and_a_lying_one_eight_times(
    yunet: Counted, onet: Counted, examples: Path
) -> None:
    picture = Image.open(examples / "001-neutral.jpg")
    for angle, n_looks in ((0, 1), (90, 1 + len(OTHER_ANGLES))):
        yunet.shapes.clear()
        photo = decode_image(jpeg(picture.rotate(angle)), Limits())
        (_,) = CoarseToFineDetector(yunet, onet)(photo, min_area_ratio=0.5).faces
        assert len(yunet.shapes) == n_looks
    assert [shape[0] for shape in onet.shapes] == [1, 1]


class ClaimsAll:
    """A detection network that takes every place for a small face, as an adversarial texture might make it do."""

    def __init__(self, network: Pass) -> None:
        self._network, self._random = network, np.random.default_rng(0)

    def __call__(self, pixels: Inputs) -> tuple[np.ndarray, ...]:
        scores, offsets = self._network(pixels)
        sizes = np.full_like(offsets[..., 2:], -1.5)
        claimed = self._random.uniform(0.65, 0.95, scores.shape).astype(np.float32)
        return claimed, np.concatenate([offsets[..., :2], sizes], axis=-1)


def test_a_picture_that_seems_to_consist_of_faces_costs_no_more_than_a_crowd(yunet: Counted, onet: Counted) -> None:
    photo = decode_image(jpeg(noise(1280, 1280)), Limits())
    found = CoarseToFineDetector(ClaimsAll(yunet), onet)(photo)
    assert len(yunet.shapes) <= MOST_LOOKS
    assert len(found.faces) == sum(shape[0] for shape in onet.shapes) == MAX_FACES


def test_of_more_faces_than_the_limit_the_best_are_kept() -> None:
    places = np.arange(MAX_FACES + 700.0)[:, None] * 10
    boxes = np.concatenate([places, places, places + 5, places + 5], axis=1)
    scores = np.random.default_rng(0).permutation(len(boxes)) / len(boxes)
    kept = non_maximum_suppression(boxes, scores, 0.3)
    assert scores[kept].tolist() == sorted(scores, reverse=True)[:MAX_FACES]


@pytest.mark.parametrize("change", ["as it is", "turned", "framed"])
def test_a_crowd_at_the_edge_is_painted_once_for_each_size(
    yunet: Counted, onet: Counted, examples: Path, change: str
) -> None:
    side = 140
    picture = Image.new("RGB", (25 * side, 25 * side), "grey")
    crowd = mosaic(examples / "005-neutral.jpg", 25, side)
    for box in ((0, 0, 3500, side), (0, 0, side, 3500), (3360, 0, 3500, 3500), (0, 3360, 3500, 3500)):
        picture.paste(crowd.crop(box), box)
    picture = {"as it is": picture, "turned": picture.rotate(90), "framed": ImageOps.expand(picture, 200, "white")}[
        change
    ]
    decoded: list[int] = []
    photo = Photo(picture.size, lambda factor: decoded.append(factor) or picture.reduce(factor))
    found = CoarseToFineDetector(yunet, onet)(photo)
    assert len(found.faces) > 30
    assert len(yunet.shapes) <= MOST_LOOKS
    assert sorted(decoded) == sorted(set(decoded) & set(FACTORS))
    assert len(found.faces) == sum(shape[0] for shape in onet.shapes)
