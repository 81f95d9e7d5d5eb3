"""Which face is meant: each rule by itself."""

import pytest
from hypothesis import given, strategies as st

from embedder import Box, Face, NoFace, SeveralFaces
from embedder.detection.detector import RIVAL_SHARE, RULES, Detections, select_face as choose_of
from embedder.types import FaceChoice, Point

CENTER = (50.0, 50.0)


def face(x: float, y: float, width: float, height: float) -> Face:
    return Face(Box(x, y, width, height), (), 1.0)


def choose(faces: list[Face], choice: FaceChoice, center: Point) -> Face:
    return choose_of(Detections(tuple(faces), is_whole=True), choice, center)


BIG, SMALL_AT_CENTER = face(0, 0, 30, 40), face(48, 48, 4, 4)
faces = st.builds(face, st.floats(0, 90), st.floats(0, 90), st.floats(1, 50), st.floats(1, 50))


@pytest.mark.parametrize("choice", RULES)
def test_where_there_is_no_face_none_is_chosen(choice: str) -> None:
    with pytest.raises(NoFace):
        choose([], choice, CENTER)


@pytest.mark.parametrize("choice", RULES)
def test_a_single_face_is_the_one_under_every_rule(choice: str) -> None:
    assert choose([BIG], choice, CENTER) is BIG


def test_only_refuses_a_second_face_however_small() -> None:
    with pytest.raises(SeveralFaces, match="2 faces") as caught:
        choose([BIG, SMALL_AT_CENTER], "only", CENTER)
    assert caught.value.n_faces == 2


def test_largest_and_center_differ_where_the_middle_face_is_small() -> None:
    assert choose([BIG, SMALL_AT_CENTER], "largest", CENTER) is BIG
    assert choose([BIG, SMALL_AT_CENTER], "center", CENTER) is SMALL_AT_CENTER


def test_dominant_passes_over_faces_of_less_than_half_the_area() -> None:
    assert choose([face(60, 60, 29, 20), BIG], "dominant", CENTER) is BIG


def test_dominant_refuses_a_second_face_of_half_the_area() -> None:
    with pytest.raises(SeveralFaces, match="face=largest"):
        choose([BIG, face(60, 60, 30, 20)], "dominant", CENTER)


@given(st.lists(faces, min_size=1, max_size=6))
def test_dominant_is_the_largest_or_a_refusal_with_a_rival_to_show(found: list[Face]) -> None:
    by_area = sorted(found, key=lambda one: one.box.area)
    try:
        assert choose(found, "dominant", CENTER) is choose(found, "largest", CENTER)
    except SeveralFaces:
        assert by_area[-2].box.area >= RIVAL_SHARE * by_area[-1].box.area
