"""Finding faces: the arithmetic against plain loops, the cascade against facenet-pytorch's, the border rule."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from facenet_pytorch import MTCNN
from facenet_way import SETTINGS, PlainMeans
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from embedder import Face, FaceEmbedder
from embedder.detection.boxes import squared, suppressed
from embedder.detection.cascade import Cascade
from embedder.detection.views import border_px
from embedder.detection.weights import FILE
from embedder.photo import Photo
from embedder.runtime.openvino import OpenVinoRuntime
from embedder.runtime.runtime import Runtime
from embedder.runtime.torch import TorchRuntime

ROOT = Path(__file__).parent.parent.parent


def overlap(a: np.ndarray, b: np.ndarray, *, over_smaller: bool) -> float:
    both = 1 if over_smaller else 0  # border pixels count as part of the box
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + both)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + both)
    area = [(box[2] - box[0] + both) * (box[3] - box[1] + both) for box in (a, b)]
    whole = min(area) if over_smaller else sum(area) - width * height
    return width * height / whole


corners = arrays.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 50))


@given(corners, st.integers(0, 2**32), st.booleans())
def test_suppression_equals_a_plain_loop(corner: np.ndarray, seed: int, over_smaller: bool) -> None:  # noqa: FBT001 - hypothesis gives it by position
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([corner, corner + rng.integers(1, 40, corner.shape)], axis=1)
    scores = rng.random(len(boxes))
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[index], boxes[other], over_smaller=over_smaller) <= 0.5 for other in kept):
            kept.append(index)
    assert suppressed(boxes, scores, 0.5, over_smaller=over_smaller).tolist() == kept


@given(corners)
def test_a_squared_box_keeps_its_centre_and_longer_side(corner: np.ndarray) -> None:
    boxes = np.hstack([corner, corner + np.array([10, 25])])
    found = squared(boxes)
    assert np.allclose(found[:, 2:] - found[:, :2], 25)
    assert np.allclose(found[:, 2:] + found[:, :2], boxes[:, 2:] + boxes[:, :2])


def intersection_over_union(a: Face, b: np.ndarray) -> float:
    box = np.array([a.box.x, a.box.y, a.box.x + a.box.width, a.box.y + a.box.height])
    return overlap(box, b, over_smaller=False)


@pytest.mark.parametrize("runtime", [TorchRuntime(), OpenVinoRuntime()], ids=["torch", "openvino"])
@pytest.mark.parametrize("person", ["001", "005", "021", "041"])
def test_at_equal_settings_the_face_is_that_of_facenet_pytorch(examples: Path, person: str, runtime: Runtime) -> None:
    picture = Image.open(examples / f"{person}-neutral.jpg")
    boxes, scores, landmarks = MTCNN(select_largest=True).detect(picture, landmarks=True)
    (face,) = Cascade(runtime.detection(), SETTINGS, PlainMeans)(Photo.of(picture.convert("RGB"))).faces
    assert len(boxes) == 1
    assert intersection_over_union(face, boxes[0]) > 0.9
    assert face.score == pytest.approx(scores[0], abs=0.01)
    eye_distance = np.linalg.norm(landmarks[0][1] - landmarks[0][0])
    assert np.abs(np.array(face.landmarks) - landmarks[0]).max() < 0.015 * eye_distance


def test_made_again_from_the_wheel_the_weights_are_byte_for_byte_those_that_travel(tmp_path: Path) -> None:
    out = tmp_path / "mtcnn.safetensors"
    subprocess.run([sys.executable, ROOT / "tools" / "convert_mtcnn.py", out], check=True)
    assert out.read_bytes() == FILE.read_bytes()


def as_png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("share", [1.0, 0.9])
@pytest.mark.parametrize("person", ["001", "005", "021", "041"])
def test_a_tight_crop_gives_the_embedding_of_the_whole_photo(
    embedder: FaceEmbedder, examples: Path, person: str, share: float
) -> None:
    data = (examples / f"{person}-neutral.jpg").read_bytes()
    whole = embedder.embed(data)
    box = whole.sample.face.box
    (x, y), width, height = box.center, share * box.width / 2, share * box.height / 2
    crop = Image.open(BytesIO(data)).crop((round(x - width), round(y - height), round(x + width), round(y + height)))
    assert np.linalg.norm(embedder.embed(as_png(crop)).vector - whole.vector) < 0.4


def test_the_border_moves_boxes_back_to_the_pictures_own_pixels(embedder: FaceEmbedder, examples: Path) -> None:
    data = (examples / "021-neutral.jpg").read_bytes()
    box = embedder.detect(data)[0].box
    left, top = round(box.x), round(box.y)
    picture = Image.open(BytesIO(data)).crop((left, top, left + round(box.width), top + round(box.height)))
    found = embedder.detect(as_png(picture))[0].box
    assert abs(found.center[0] - picture.width / 2) < 0.1 * box.width
    assert abs(found.center[1] - picture.height / 2) < 0.1 * box.height


@given(st.integers(1, 50_000_000), st.integers(1, 50_000_000))
def test_the_border_never_more_than_trebles_a_picture(width: int, height: int) -> None:
    border = border_px((width, height))
    assert (width + 2 * border) * (height + 2 * border) <= 3 * width * height


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (12, 12), (300, 2), (2_000_000, 1), (200, 200)])
def test_a_picture_without_a_face_has_none(embedder: FaceEmbedder, size: tuple[int, int]) -> None:
    assert embedder.detect(as_png(Image.new("RGB", size, (90, 120, 150)))) == []


def test_in_group_photos_many_faces_are_found_largest_first(embedder: FaceEmbedder, data: Path) -> None:
    faces = embedder.detect((data / "groups" / "bald_guys.jpg").read_bytes())
    areas = [face.box.area for face in faces]
    assert len(faces) >= 20
    assert areas == sorted(areas, reverse=True)
