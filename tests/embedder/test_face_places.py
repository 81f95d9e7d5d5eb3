"""A face named by its place in the picture, and a choice for each photo of a pair."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder import FaceEmbedder, NoFace, NoSuchFace, SeveralFaces, is_one_face
from embedder.explain import Explainer

PASTED = (("001", 500, (0, 0)), ("005", 420, (520, 40)), ("021", 180, (960, 300)))  # who, side in px, where


@pytest.fixture(scope="module")
def group(examples: Path) -> bytes:
    """Three people, each smaller than the one before."""
    picture = Image.new("RGB", (1160, 520), "grey")
    for who, side, place in PASTED:
        with Image.open(examples / f"{who}-neutral.jpg") as photo:
            picture.paste(photo.resize((side, side * photo.height // photo.width)), place)
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def smiling(examples: Path, who: str) -> bytes:
    return (examples / f"{who}-smiling.jpg").read_bytes()


def test_an_index_is_the_place_in_the_list_of_detect(embedder: FaceEmbedder, group: bytes) -> None:
    listed = embedder.detect(group)
    assert len(listed) == 3
    for index, face in enumerate(listed):
        for given in (index, str(index), f"at:{face.box.center[0]:.1f},{face.box.center[1]:.1f}"):
            sample = embedder.embed(group, face=given).sample
            assert (sample.face, sample.choice, sample.n_faces) == (face, str(given), 3)


def test_every_way_to_use_a_face_takes_its_place(embedder: FaceEmbedder, group: bytes) -> None:
    wanted = embedder.embed(group, face=1).sample
    explainer = Explainer(embedder)
    assert embedder.chip(group, face=1).sample.face == wanted.face
    assert explainer.maps(group, layer="conv1", face=1).chip.sample.face == wanted.face
    assert explainer.explain(group, group, saliency=False, face=1).comparison.probe == wanted
    assert embedder.verify(group, group, face="1").reference == wanted


@pytest.mark.parametrize(("index", "who"), [(0, "001"), (1, "005"), (2, "021")])
def test_the_person_at_that_place_is_found_again(
    embedder: FaceEmbedder, examples: Path, group: bytes, index: int, who: str
) -> None:
    results = embedder.verify_many(group, [smiling(examples, each[0]) for each in PASTED], probe_face=index).results
    assert [each.same for each in results] == [each[0] == who for each in PASTED]


def test_each_photo_of_a_pair_has_its_own_choice(embedder: FaceEmbedder, examples: Path, group: bytes) -> None:
    comparison = embedder.verify(group, smiling(examples, "021"), face="only", probe_face=2)
    assert (comparison.probe.choice, comparison.reference.choice, comparison.same) == ("2", "only", True)
    with pytest.raises(SeveralFaces) as caught:
        embedder.verify(group, group, face="largest", reference_face="only")
    assert caught.value.image == "reference"


def test_two_faces_of_one_picture_are_compared(embedder: FaceEmbedder, group: bytes) -> None:
    comparison = embedder.verify(group, group, probe_face=0, reference_face=2)
    assert not comparison.same
    assert not is_one_face(comparison.probe.face, comparison.reference.face)
    assert comparison.distance == pytest.approx(
        float(np.linalg.norm(embedder.embed(group, face=0).vector - embedder.embed(group, face=2).vector)), abs=1e-5
    )


def test_a_place_without_a_face_is_refused_with_the_image_at_fault(
    embedder: FaceEmbedder, examples: Path, group: bytes
) -> None:
    with pytest.raises(NoSuchFace, match="no face with index 3; found 3 faces") as caught:
        embedder.verify(smiling(examples, "001"), group, reference_face=3)
    assert (caught.value.image, caught.value.n_faces) == ("reference", 3)
    with pytest.raises(NoSuchFace, match=r"contains the point 1150,10; found 3 faces, and the nearest .* index 2 "):
        embedder.embed(group, face="at:1150,10")


def test_a_place_in_a_picture_without_a_face_is_no_face(embedder: FaceEmbedder) -> None:
    file = BytesIO()
    Image.new("RGB", (200, 200), "grey").save(file, "PNG")
    for face in (0, "at:1,1"):
        with pytest.raises(NoFace):
            embedder.embed(file.getvalue(), face=face)


@pytest.mark.parametrize("name", ["face", "probe_face", "reference_face"])
def test_a_malformed_place_is_refused_before_any_image_is_read(embedder: FaceEmbedder, name: str) -> None:
    with pytest.raises(ValueError, match="a face is selected by"):
        embedder.verify(b"no image", b"none either", **{name: "at:here"})
