"""The two networks that find faces, and the arithmetic around them: pinned values, other programs, plain loops."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from exact_versions import needs_exact_versions
from facenet_pytorch import MTCNN
from facenet_pytorch.models.mtcnn import ONet
from hypothesis import given, strategies as st
from PIL import Image
from skimage.data import astronaut

from embedder import Face, FaceEmbedder
from embedder.detection import detector
from embedder.detection.yunet import (
    _AT_A_TIME,
    MIN_SCORE,
    SIDE_PX,
    STRIDES_PX,
    Candidates,
    _places,
    areas,
    candidates,
    containment_above,
    iou_above,
    landmarks_of,
    non_maximum_suppression,
)
from embedder.image import Photo
from embedder.runtime.choice import load_small_network
from embedder.types import Pass

ROOT = Path(__file__).parent.parent.parent
PEOPLE = ("001", "005", "021", "041")
N_OF_STRIDE_8 = 400  # cells of a picture of 160 px


def random_boxes(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 50, (n, 2))
    return np.concatenate([corners, corners + rng.integers(1, 40, (n, 2))], axis=1).astype(float)


def both_areas(a: np.ndarray, b: np.ndarray) -> list[float]:
    return [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]


def intersection(a: np.ndarray, b: np.ndarray) -> float:
    width, height = (max(0, min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])) for axis in (0, 1))
    return width * height


def is_overlapping(a: np.ndarray, b: np.ndarray, limit: float) -> bool:
    return bool(intersection(a, b) > limit * (sum(both_areas(a, b)) - intersection(a, b)))


def is_nested(a: np.ndarray, b: np.ndarray, limit: float) -> bool:
    return bool(intersection(a, b) > limit * min(both_areas(a, b)))


def kept_by_a_loop(
    boxes: np.ndarray, scores: np.ndarray, limit: float, clash: Callable[..., bool] = is_overlapping
) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if not any(clash(boxes[index], boxes[other], limit) for other in kept):
            kept.append(index)
    return kept


@given(st.integers(1, 30), st.integers(0, 2**32), st.sampled_from([0.3, 0.5]))
def test_suppression_equals_a_plain_loop(n: int, seed: int, limit: float) -> None:
    boxes, scores = random_boxes(n, seed), np.random.default_rng(seed).integers(0, 9, n) / 8  # some scores are equal
    assert non_maximum_suppression(boxes, scores, limit).tolist() == kept_by_a_loop(boxes, scores, limit)
    assert non_maximum_suppression(boxes, scores, limit, containment_above).tolist() == kept_by_a_loop(
        boxes, scores, limit, is_nested
    )


def test_suppression_equals_a_plain_loop_also_of_more_boxes_than_are_compared_at_a_time() -> None:
    n = 2 * _AT_A_TIME + 7
    boxes, scores = 8 * random_boxes(n, 0), np.random.default_rng(0).random(n)
    boxes[:, 2:] = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]) / 8
    kept = kept_by_a_loop(boxes, scores, 0.3)
    assert _AT_A_TIME < len(kept) < n
    assert non_maximum_suppression(boxes, scores, 0.3).tolist() == kept


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**32))
def test_overlaps_and_areas_equal_a_plain_loop(n: int, m: int, seed: int) -> None:
    ones, others = random_boxes(n, seed), random_boxes(m, seed + 1)
    expected = [[is_overlapping(one, other, 0.3) for other in others] for one in ones]
    assert iou_above(ones, others, 0.3).tolist() == expected
    inside = [[is_nested(one, other, 0.7) for other in others] for one in ones]
    assert containment_above(ones, others, 0.7).tolist() == inside
    assert areas(ones).tolist() == [(box[2] - box[0]) * (box[3] - box[1]) for box in ones]


@given(st.integers(1, 8), st.integers(1, 8))
def test_cells_are_numbered_stride_by_stride_and_row_by_row(columns: int, rows: int) -> None:
    width, height = 32 * columns, 32 * rows
    expected = [
        (column, row, stride)
        for stride in STRIDES_PX
        for row in range(height // stride)
        for column in range(width // stride)
    ]
    corners, strides = _places(np.arange(len(expected)), width, height)
    assert np.concatenate([corners, strides], axis=1).tolist() == [list(map(float, cell)) for cell in expected]


@pytest.fixture(scope="module")
def yunet() -> Pass:
    return load_small_network(detector.YUNET)


@pytest.fixture(scope="module")
def onet() -> Pass:
    return load_small_network(detector.ONET)


@pytest.fixture(scope="module")
def small_astronaut() -> np.ndarray:
    return np.asarray(Image.fromarray(astronaut()).resize((160, 160), Image.Resampling.BILINEAR))


def test_yunet_gives_the_values_that_opencvs_file_gives(yunet: Pass, small_astronaut: np.ndarray) -> None:
    (scores,), (boxes,) = yunet(small_astronaut[None])
    fine, coarse = scores[:N_OF_STRIDE_8], scores[N_OF_STRIDE_8 : N_OF_STRIDE_8 + 100]
    assert (fine.argmax(), coarse.argmax()) == (108, 24)
    assert (fine.max(), coarse.max()) == (pytest.approx(0.90812, abs=1e-5), pytest.approx(0.54186, abs=1e-5))
    assert boxes[108] == pytest.approx([0.87783, -0.40639, 1.20827, 1.40586], abs=1e-5)


def test_of_these_values_one_face_is_made(yunet: Pass, small_astronaut: np.ndarray) -> None:
    found = candidates(yunet, small_astronaut)
    left, top, right, bottom = found.boxes[0] * 512 / 160
    assert len(found) == 1
    assert (left, top, right - left, bottom - top) == pytest.approx((184.4, 65.4, 85.7, 104.4), abs=0.06)


def test_a_candidate_has_at_least_the_least_score() -> None:
    def network(pictures: np.ndarray) -> tuple[np.ndarray, ...]:
        n_cells = sum((pictures.shape[1] // stride) * (pictures.shape[2] // stride) for stride in STRIDES_PX)
        scores = np.zeros((1, n_cells), np.float32)
        scores[0, [0, 7, 21]] = MIN_SCORE - 0.01, MIN_SCORE + 0.01, 0.9
        return scores, np.zeros((1, n_cells, 4), np.float32)

    found = candidates(network, np.zeros((32, 64, 3), np.uint8), angle=45)
    assert found.scores == pytest.approx([0.9, MIN_SCORE + 0.01])
    assert found.boxes.tolist() == [[5 * 8 - 4, 2 * 8 - 4, 5 * 8 + 4, 2 * 8 + 4], [7 * 8 - 4, -4, 7 * 8 + 4, 4]]
    assert found.angles.tolist() == [45, 45]


@pytest.mark.parametrize("n", [1, 7])
def test_onet_gives_the_mean_of_facenet_pytorchs_landmarks_of_a_square_and_its_mirror_image(onet: Pass, n: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (n, SIDE_PX, SIDE_PX, 3), np.uint8)
    network = ONet(pretrained=True).eval()

    def landmarks(squares: np.ndarray) -> np.ndarray:
        planes = torch.from_numpy(squares.copy()).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return network((planes - 127.5) * 0.0078125)[1].numpy()

    straight, mirrored = landmarks(pixels), landmarks(pixels[:, :, ::-1])
    x = [(straight[:, k] + 1 - mirrored[:, other]) / 2 for k, other in enumerate((1, 0, 2, 4, 3))]
    y = [(straight[:, 5 + k] + mirrored[:, 5 + other]) / 2 for k, other in enumerate((1, 0, 2, 4, 3))]
    (found,) = onet(pixels)
    assert found.shape == (n, 10)
    assert np.abs(found - np.stack([*x, *y], axis=1)).max() < 1e-5


@needs_exact_versions
def test_made_again_from_the_wheels_the_graphs_are_byte_for_byte_those_that_travel(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "make_detector.py", tmp_path], check=True, capture_output=True)
    for path in (detector.YUNET, detector.ONET):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_graphs_tell_nothing_of_the_machine_that_made_them() -> None:
    for path in (detector.YUNET, detector.ONET):
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert b".py" not in content


@pytest.mark.parametrize("name", ["YUNET", "ONET"])
@pytest.mark.parametrize("place", [0, 0.3, 0.999])
def test_the_detectors_digest_changes_with_any_byte(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, place: float
) -> None:
    before, content = detector.built_in_detector(), bytearray(getattr(detector, name).read_bytes())
    content[int(place * len(content))] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)
    monkeypatch.setattr(detector, name, tmp_path / "changed.onnx")
    after = detector.built_in_detector()
    assert (after.name, after.weights_sha256 == before.weights_sha256) == (before.name, False)


def picture_of(examples: Path, name: str) -> Image.Image:
    return Image.open(examples / f"{name}.jpg").convert("RGB")


def eye_distances_apart(found: np.ndarray, expected: np.ndarray) -> float:
    eye_distance = np.linalg.norm(expected[1] - expected[0])
    return float(np.linalg.norm(found - expected, axis=1).max() / eye_distance)


def turned_back(points: object, angle: float, sizes: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Points of a turned picture in px of the upright one; `sizes` are those of the two."""
    turned, upright = (np.array(size) / 2 for size in sizes)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (np.asarray(points, float) - turned) @ np.array([[cos, -sin], [sin, cos]]) + upright


@cache
def landmarks_of_mtcnn(path: Path) -> np.ndarray:
    _, _, (landmarks,) = MTCNN(select_largest=True).detect(Image.open(path).convert("RGB"), landmarks=True)
    return np.array(landmarks, float)


@pytest.mark.parametrize("name", [f"{person}-{look}" for person in PEOPLE for look in ("neutral", "smiling")])
@pytest.mark.parametrize(("angle", "bound"), [(0, 0.06), (90, 0.1), (180, 0.1), (45, 0.1), (-60, 0.1)])
def test_landmarks_lie_where_facenet_pytorchs_mtcnn_has_them(
    embedder: FaceEmbedder, examples: Path, name: str, angle: int, bound: float
) -> None:
    picture = picture_of(examples, name)
    turned = picture.rotate(-angle, Image.Resampling.BICUBIC, expand=True)
    (face,) = embedder._preprocessor.detector(Photo.of(turned)).faces
    found = turned_back(face.landmarks, angle, (turned.size, picture.size))
    assert eye_distances_apart(found, landmarks_of_mtcnn(examples / f"{name}.jpg")) < bound


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("angle", [90, 180, 270, 30, 45, -60])
def test_in_a_square_that_lies_turned_the_landmarks_are_those_of_the_upright_one(
    embedder: FaceEmbedder, onet: Pass, examples: Path, person: str, angle: int
) -> None:
    picture = picture_of(examples, f"{person}-neutral")
    (face,) = embedder._preprocessor.detector(Photo.of(picture)).faces
    turned = picture.rotate(-angle, Image.Resampling.BICUBIC, expand=True)
    (middle,) = turned_back([face.box.center], -angle, (picture.size, turned.size))
    half = max(face.box.width, face.box.height) / 2
    square = Candidates(np.concatenate([middle - half, middle + half])[None], np.ones(1), np.array([float(angle)]))
    (points,) = landmarks_of(onet, Photo.of(turned), square)
    found = turned_back(points, angle, (turned.size, picture.size))
    assert eye_distances_apart(found, np.array(face.landmarks)) < 0.01


def edges(face: Face) -> np.ndarray:
    box = face.box
    return np.array([box.x, box.y, box.x + box.width, box.y + box.height])


def groups(data: Path) -> list[Path]:
    return sorted((data / "groups").glob("*.jpg"))


def test_every_face_of_a_group_that_mtcnn_is_sure_of_is_found(embedder: FaceEmbedder, data: Path) -> None:
    mtcnn, n_sure = MTCNN(keep_all=True), 0
    for path in groups(data):
        boxes, scores = mtcnn.detect(Image.open(path).convert("RGB"))
        sure = np.array(boxes, float)[np.array(scores, float) >= 0.95]
        found = np.stack([edges(face) for face in embedder.detect(path.read_bytes())])
        assert iou_above(sure, found, 0.3).any(axis=1).all(), path.name
        n_sure += len(sure)
    assert n_sure > 60


@pytest.mark.parametrize(
    ("name", "n"),
    # of bald_guys one is a face that is tattooed on a chest
    [("bald_guys", 25), ("2008_004176", 11), ("2007_007763", 7), ("2009_004587", 2)],
)
def test_the_faces_of_a_group_are_counted_and_told_largest_first(
    embedder: FaceEmbedder, data: Path, name: str, n: int
) -> None:
    faces = embedder.detect((data / "groups" / f"{name}.jpg").read_bytes())
    sizes = [face.box.area for face in faces]
    assert len(faces) == n
    assert sizes == sorted(sizes, reverse=True)
    assert not any(is_overlapping(edges(a), edges(b), 0.3) for a in faces for b in faces if a is not b)
