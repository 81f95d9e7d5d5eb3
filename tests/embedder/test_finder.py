"""Which faces a search finds: early ends, tight crops, pictures that lie or are tilted; on real photographs."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from embedder import Face, FaceEmbedder, Limits, NoFace, SeveralFaces
from embedder.detection.detector import (
    CoarseToFineDetector,
    _are_settled,
    _largest_to_come,
    _new_and_smaller,
    _rotation,
    _sides,
    min_area_ratio_of,
    select_face,
)
from embedder.detection.yunet import Candidates, areas, iou_above
from embedder.image import Photo, decode_image

EVERY = 40  # LFW photos, of which a test looks at one; the benchmark looks at all
PEOPLE = ("001", "005", "021", "041")


@pytest.fixture(scope="module")
def finder(embedder: FaceEmbedder) -> CoarseToFineDetector:
    return embedder._preprocessor.detector


def as_png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def are_equal(one: Face | str, other: Face | str) -> bool:
    """One face, with the same box to the last bit; landmarks come from passes over other numbers of faces."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    same = (one.box, one.score, one.rotation) == (other.box, other.score, other.rotation)
    return same and bool(np.abs(np.array(one.landmarks) - other.landmarks).max() < 0.001)


def photos(data: Path) -> list[Path]:
    lfw = sorted((data / "lfw-view1" / "lfw").glob("*/*.jpg"))[::EVERY]
    london = [*sorted((data / "london").glob("*/*.jpg"))[::EVERY], *sorted((data / "london-full").glob("*/*.jpg"))]
    return [*sorted((data / "groups").glob("*.jpg")), *lfw, *london]


@pytest.mark.parametrize("choice", ["dominant", "largest"])
def test_a_search_that_ends_early_chooses_what_the_whole_one_chooses(
    finder: CoarseToFineDetector, data: Path, choice: str
) -> None:
    n_early = largest_side = 0
    for path in photos(data):
        photo = decode_image(path.read_bytes(), Limits())
        early, whole = finder(photo, min_area_ratio=min_area_ratio_of(choice)), finder(photo)
        verdicts = []
        for found in (early, whole):
            try:
                verdicts.append(select_face(found, choice, (0, 0)))
            except (NoFace, SeveralFaces) as refusal:
                verdicts.append(refusal.code)
        assert are_equal(*verdicts), path.name
        if not early.is_whole:
            n_early, largest_side = n_early + 1, max(largest_side, *photo.size)
    assert n_early >= 10
    assert largest_side >= 800


found_faces = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600), st.integers(5, 400)), max_size=8)


def squares(listed: list[tuple[int, int, int]]) -> Candidates:
    boxes = np.array([(x, y, x + side, y + side) for x, y, side in listed], float).reshape(-1, 4)
    return Candidates(boxes, np.full(len(boxes), 0.8), np.zeros(len(boxes)))


@given(found_faces, found_faces, st.sampled_from([160, 320]))
def test_a_settled_search_finds_no_rival_in_a_larger_picture(first: list, more: list, side: int) -> None:
    photo = Photo.of(Image.new("RGB", (1000, 700)))
    found, to_come = squares(first), _largest_to_come(photo, side)
    new = _new_and_smaller(found, squares(more), to_come)
    added = areas(new.boxes) if first else np.empty(0)
    if _are_settled(found, 0.5, to_come):
        assert (added < 0.5 * areas(found.boxes).max()).all()
    assert not first or not iou_above(found.boxes, new.boxes, 0.3).any()


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ((90, 160), [160]),
        ((320, 7), [160]),
        ((321, 7), [160, 320]),
        ((640, 480), [160, 320]),
        ((1, 641), [160, 320, 640]),
    ],
)
def test_no_larger_picture_is_looked_at_than_the_photo_can_fill(size: tuple[int, int], sides: list[int]) -> None:
    assert _sides(size) == sides


def test_only_a_whole_search_says_how_many_faces_there_are(finder: CoarseToFineDetector, examples: Path) -> None:
    photo = decode_image((examples / "001-neutral.jpg").read_bytes(), Limits())
    assert finder(photo, min_area_ratio=0.5).n_faces is None
    assert finder(photo).n_faces == 1


@pytest.mark.parametrize("angle", [90, 180, 270, 30, 45, 60, -45])
@pytest.mark.parametrize("person", PEOPLE)
def test_a_photo_that_lies_or_is_tilted_gives_nearly_the_embedding_of_the_upright_one(
    embedder: FaceEmbedder, examples: Path, person: str, angle: int
) -> None:
    """Of unit length, two photos of one of these people lie 0.19 to 0.47 apart, strangers more than 1."""
    picture = Image.open(examples / f"{person}-neutral.jpg").convert("RGB")
    upright = embedder.embed(as_png(picture))
    turned = embedder.embed(as_png(picture.rotate(-angle, Image.Resampling.BICUBIC, expand=True)))
    assert np.linalg.norm(turned.vector - upright.vector) < 0.16
    off = (turned.sample.face.rotation - angle + 180) % 360 - 180
    assert abs(off) <= (0 if angle % 90 == 0 else 50)  # the nearest quarter; the face itself may lean by some degrees


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_in_nearly_all_photos_that_lie_the_largest_face_is_that_of_the_upright_photo(
    finder: CoarseToFineDetector, data: Path, angle: int
) -> None:
    """Around a face that lies YuNet often finds a larger one, with a lower score."""
    paths = sorted((data / "lfw-view1" / "lfw").glob("*/*.jpg"))[::EVERY]
    n_others = 0
    for path in paths:
        picture = Image.open(path).convert("RGB")
        upright, lying = (finder(Photo.of(each)).faces[0].box for each in (picture, picture.rotate(-angle)))
        middle = (complex(*upright.center) - 125 - 125j) * 1j ** (angle // 90) + 125 + 125j
        n_others += abs(complex(*lying.center) - middle) > 25 or not 0.5 < lying.area / upright.area < 2
    assert n_others <= 0.04 * len(paths)


@given(st.floats(-180, 180))
def test_the_rotation_is_the_quarter_nearest_to_how_the_landmarks_lie(degrees: float) -> None:
    points = np.array([-20 - 20j, 20 - 20j, 0, -15 + 20j, 15 + 20j]) * np.exp(1j * np.radians(degrees))
    rotation = _rotation(tuple((float(point.real), float(point.imag)) for point in points))
    assert abs((rotation - degrees + 180) % 360 - 180) <= 45 + 1e-6


def test_landmarks_in_one_point_stand_upright() -> None:
    assert _rotation(((3.0, 3.0),) * 5) == 0


@pytest.mark.parametrize(("share", "bound"), [(1.0, 0.4), (0.9, 0.6)])
@pytest.mark.parametrize("person", PEOPLE)
def test_a_tight_crop_gives_nearly_the_embedding_of_the_whole_photo(
    embedder: FaceEmbedder, examples: Path, person: str, share: float, bound: float
) -> None:
    data = (examples / f"{person}-neutral.jpg").read_bytes()
    whole = embedder.embed(data)
    box = whole.sample.face.box
    (x, y), width, height = box.center, share * box.width / 2, share * box.height / 2
    crop = Image.open(BytesIO(data)).crop((round(x - width), round(y - height), round(x + width), round(y + height)))
    assert np.linalg.norm(embedder.embed(as_png(crop)).vector - whole.vector) < bound


def test_in_a_tight_crop_the_face_is_told_in_the_pictures_own_pixels(embedder: FaceEmbedder, examples: Path) -> None:
    data = (examples / "021-neutral.jpg").read_bytes()
    box = embedder.detect(data)[0].box
    left, top = round(box.x), round(box.y)
    picture = Image.open(BytesIO(data)).crop((left, top, left + round(box.width), top + round(box.height)))
    found = embedder.detect(as_png(picture))[0].box
    assert abs(found.center[0] - picture.width / 2) < 0.1 * box.width
    assert abs(found.center[1] - picture.height / 2) < 0.1 * box.height


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (12, 12), (300, 2), (2, 900), (2_000_000, 1), (200, 200), (900, 700)])
def test_a_picture_without_a_face_has_none(embedder: FaceEmbedder, size: tuple[int, int]) -> None:
    assert embedder.detect(as_png(Image.new("RGB", size, (90, 120, 150)))) == []
    with pytest.raises(NoFace):
        embedder.embed(as_png(Image.new("RGB", size, (90, 120, 150))))


def test_many_threads_find_the_same_faces_as_one(embedder: FaceEmbedder, data: Path) -> None:
    groups = [path.read_bytes() for path in sorted((data / "groups").glob("*.jpg"))[:4]]
    one_by_one = [embedder.detect(photo) for photo in groups]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(embedder.detect, groups * 4)) == one_by_one * 4
