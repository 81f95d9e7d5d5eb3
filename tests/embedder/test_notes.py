"""What an answer tells in words beside its figures: two faces of one picture, one face of one picture."""

from io import BytesIO
from pathlib import Path

from hypothesis import given, strategies as st
from PIL import Image

from embedder import Box, Comparison, Face, FaceEmbedder, NotAnImage, is_one_face
from embedder.detection.yunet import MAX_OVERLAP

SAME_FACE, TWO_FACES = "the same face in it", "two faces in it: normally two people"

boxes = st.builds(Box, st.floats(-50, 500), st.floats(-50, 500), st.floats(1, 200), st.floats(1, 200))


def face(box: Box) -> Face:
    return Face(box, (), 0.9)


def photo(examples: Path, name: str) -> bytes:
    return (examples / f"{name}.jpg").read_bytes()


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, one side after the other."""
    width = max(0.0, min(a.x + a.width, b.x + b.width) - max(a.x, b.x))
    height = max(0.0, min(a.y + a.height, b.y + b.height) - max(a.y, b.y))
    return width * height / (a.area + b.area - width * height)


@given(boxes, boxes)
def test_two_detections_are_one_face_where_their_boxes_overlap_as_only_one_faces_do(a: Box, b: Box) -> None:
    if abs(overlap(a, b) - MAX_OVERLAP) > 1e-6:
        assert is_one_face(face(a), face(b)) is is_one_face(face(b), face(a)) is (overlap(a, b) > MAX_OVERLAP)


@given(boxes)
def test_a_face_is_one_with_itself(box: Box) -> None:
    assert is_one_face(face(box), face(box))


def test_photos_of_two_files_have_no_note(embedder: FaceEmbedder, examples: Path) -> None:
    assert embedder.verify(photo(examples, "001-neutral"), photo(examples, "001-smiling")).notes == ()


def test_one_face_of_one_file_compared_with_itself_is_told(embedder: FaceEmbedder, examples: Path) -> None:
    one = photo(examples, "001-neutral")
    (note,) = embedder.verify(one, bytes(bytearray(one))).notes
    assert SAME_FACE in note


def test_only_the_references_that_are_the_probes_file_have_the_note(embedder: FaceEmbedder, examples: Path) -> None:
    one, other = photo(examples, "001-neutral"), photo(examples, "001-smiling")
    first, fault, second, third = embedder.verify_many(one, [other, b"no image", one, one + b"\0"]).results
    assert isinstance(fault, NotAnImage)
    assert [len(each.notes) for each in (first, second, third) if isinstance(each, Comparison)] == [0, 1, 0]


def test_two_faces_of_one_file_are_told_to_be_two_people(embedder: FaceEmbedder, examples: Path) -> None:
    file, both = BytesIO(), Image.new("RGB", (1200, 600))
    for place, name in enumerate(("001-neutral", "005-neutral")):
        both.paste(Image.open(examples / f"{name}.jpg"), (600 * place, 0))
    both.save(file, "PNG")
    (note,) = embedder.verify(file.getvalue(), file.getvalue(), probe_face=0, reference_face=1).notes
    assert TWO_FACES in note
    left = min(embedder.detect(file.getvalue()), key=lambda each: each.box.x)
    x, y = left.box.center
    (note,) = embedder.verify(file.getvalue(), file.getvalue(), face=f"at:{x:.0f},{y:.0f}").notes
    assert SAME_FACE in note
