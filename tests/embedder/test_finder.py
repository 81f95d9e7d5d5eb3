"""Which faces a search finds: early ends, borders, pictures that lie; on real photographs."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embedder import Box, Face, FaceEmbedder, Limits, NoFace, SeveralFaces
from embedder.detection.choice import choose, least_share
from embedder.detection.finder import FaceFinder
from embedder.detection.views import Turned, moved
from embedder.detection.wayup import SURE, certainty, lean_deg
from embedder.image import read
from embedder.photo import Photo

EVERY = 40  # LFW photos, of which a test looks at one; the benchmark looks at all


@pytest.fixture(scope="module")
def finder(embedder: FaceEmbedder) -> FaceFinder:
    return embedder._prepare.finder


def verdict(finder: FaceFinder, data: bytes, share: float) -> Face | str:
    found = finder(read(data, Limits()), least_share=share)
    try:
        return choose(found, "dominant", (0, 0))
    except (NoFace, SeveralFaces) as refusal:
        return refusal.code


def photos(data: Path) -> list[Path]:
    lfw = sorted((data / "lfw-view1" / "lfw").glob("*/*.jpg"))[::EVERY]
    return [*sorted((data / "groups").glob("*.jpg")), *lfw, *sorted((data / "london").glob("*/*.jpg"))[::EVERY]]


def test_a_search_that_ends_early_chooses_as_one_of_the_whole_pyramid(finder: FaceFinder, data: Path) -> None:
    n_early = 0
    for path in photos(data):
        image = path.read_bytes()
        early, whole = (verdict(finder, image, share) for share in (least_share("dominant"), 0.0))
        n_early += not finder(read(image, Limits()), least_share=0.5).is_whole
        if isinstance(early, Face) and isinstance(whole, Face):
            assert np.allclose(early.box.center, whole.box.center, atol=0.1 * whole.box.width), path.name
        else:
            assert early == whole, path.name
    assert n_early > 100


def test_only_a_whole_search_says_how_many_faces_there_are(finder: FaceFinder, examples: Path) -> None:
    photo = read((examples / "001-neutral.jpg").read_bytes(), Limits())
    assert finder(photo, least_share=0.5).n_faces is None
    assert finder(photo).n_faces == 1


def turned(path: Path, rotation: int) -> bytes:
    out = BytesIO()
    Image.open(path).rotate(-rotation, expand=True).save(out, "PNG", compress_level=1)
    return out.getvalue()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("person", ["001", "005", "021", "041"])
def test_a_lying_photo_gives_the_embedding_of_the_upright_one(
    embedder: FaceEmbedder, examples: Path, person: str, rotation: int
) -> None:
    upright = embedder.embed((examples / f"{person}-neutral.jpg").read_bytes())
    lying = embedder.embed(turned(examples / f"{person}-neutral.jpg", rotation))
    assert lying.sample.face.rotation == rotation
    assert np.linalg.norm(lying.vector - upright.vector) < 0.1


@given(st.sampled_from([90, 180, 270]), st.tuples(st.integers(1, 60), st.integers(1, 60)), st.data())
def test_what_is_found_turned_is_told_where_it_lies(rotation: int, size: tuple[int, int], draw: st.DataObject) -> None:
    x, y = (draw.draw(st.integers(0, side - 1)) for side in size)
    picture = Image.new("RGB", size)
    picture.putpixel((x, y), (255, 255, 255))
    view = Turned(Photo.of(picture), rotation)
    (row, column), *_ = np.argwhere(np.asarray(view.at(1))[..., 0])
    found = view.back(Face(Box(column, row, 1, 1), ((column, row), (column + 1, row + 1)), 1.0))
    assert view.at(1).size == view.size
    assert found.box == Box(x, y, 1, 1)
    assert found.rotation == rotation
    assert sorted(found.landmarks) in ([(x, y), (x + 1, y + 1)], [(x, y + 1), (x + 1, y)])


def face_leaning(degrees: float, score: float) -> Face:
    points = np.array([-20 - 20j, 20 - 20j, 0, -15 + 20j, 15 + 20j]) * np.exp(1j * np.radians(degrees))
    return Face(Box(-40, -40, 80, 80), tuple((float(p.real), float(p.imag)) for p in points), score)


@given(st.floats(-180, 180))
def test_a_face_leans_by_the_angle_of_its_landmarks(degrees: float) -> None:
    assert lean_deg(moved(face_leaning(degrees, 1.0), 7)) == pytest.approx(abs(degrees), abs=1e-6)


def test_an_upright_face_of_a_high_score_is_sure_and_a_lying_or_faint_one_is_not() -> None:
    assert certainty(face_leaning(5, 0.9999)) > SURE
    assert certainty(face_leaning(0, 0.97)) < SURE
    assert certainty(face_leaning(90, 0.9999)) < SURE
