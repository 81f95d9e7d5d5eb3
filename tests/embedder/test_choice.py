"""Which face is meant: each rule by itself, a point, an index."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, strategies as st

from embedder import Box, Face, NoFace, NoSuchFace, SeveralFaces, face_selector
from embedder.detection import detector
from embedder.detection.detector import RIVAL_SHARE, RULES, Detections, select_face as choose_of
from embedder.types import Point
from service.wire import requests

CENTER = (50.0, 50.0)


def face(x: float, y: float, width: float, height: float) -> Face:
    return Face(Box(x, y, width, height), (), 1.0)


def choose(faces: list[Face], choice: str, center: Point) -> Face:
    def locate(indices: Sequence[int]) -> tuple[Face, ...]:
        return tuple(faces[index] for index in indices)

    return choose_of(Detections(tuple(each.box for each in faces), is_whole=True, locate=locate), choice, center)


BIG, SMALL_AT_CENTER = face(0, 0, 30, 40), face(48, 48, 4, 4)
faces = st.builds(face, st.floats(0, 90), st.floats(0, 90), st.floats(1, 50), st.floats(1, 50))


@pytest.mark.parametrize("choice", [*RULES, "0", "at:1,1"])
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


def test_an_index_counts_the_faces_as_they_are_listed() -> None:
    assert [choose([BIG, SMALL_AT_CENTER], index, CENTER) for index in ("0", "1")] == [BIG, SMALL_AT_CENTER]


def test_an_index_beyond_the_list_is_refused_with_the_number_of_faces() -> None:
    with pytest.raises(
        NoSuchFace, match=r"no face with index 2; found 2 faces, .* the smallest with index 1"
    ) as caught:
        choose([BIG, SMALL_AT_CENTER], "2", CENTER)
    assert (caught.value.n_faces, caught.value.code) == (2, "no_such_face")


@given(st.lists(faces, min_size=1, max_size=6), st.floats(-50, 150), st.floats(-50, 150))
def test_a_point_selects_the_nearest_of_the_faces_around_it(found: list[Face], x: float, y: float) -> None:
    x, y = round(x, 2), round(y, 2)
    around = [
        one
        for one in found
        if one.box.x <= x <= one.box.x + one.box.width and one.box.y <= y <= one.box.y + one.box.height
    ]
    distances = [np.hypot(one.box.center[0] - x, one.box.center[1] - y) for one in around]
    if not around:
        with pytest.raises(NoSuchFace, match=f"found {len(found)} face"):
            choose(found, f"at:{x:.2f},{y:.2f}", CENTER)
        return
    chosen = choose(found, f"at:{x:.2f},{y:.2f}", CENTER)
    assert np.hypot(chosen.box.center[0] - x, chosen.box.center[1] - y) == pytest.approx(min(distances))
    assert chosen in around


def test_a_point_on_no_face_is_refused_with_where_the_nearest_is() -> None:
    with pytest.raises(NoSuchFace, match="found 2 faces, and the nearest has its centre at 50,50") as caught:
        choose([BIG, SMALL_AT_CENTER], "at:90,90", CENTER)
    assert "at:50,50 or index 1 selects it" in str(caught.value)
    assert choose([BIG, SMALL_AT_CENTER], "at:50,50", CENTER) is SMALL_AT_CENTER


@pytest.mark.parametrize(
    "given", ["best", "at:1", "at:1;2", "-1", -1, "1.5", 1.5, True, "", "at:nan,1", "at:1,2 ", None]
)
def test_what_is_neither_rule_nor_place_is_refused_with_the_forms(given: object) -> None:
    with pytest.raises(ValueError, match="a face is selected by dominant, only, largest, center, at:x,y"):
        face_selector(given)


@pytest.mark.parametrize("given", [*RULES, 0, "0", 17, "at:1,2", "at:-1.5,2.25"])
def test_rules_points_and_indices_are_taken_as_text(given: str | int) -> None:
    assert face_selector(given) == str(given)


def test_service_and_client_take_what_the_embedder_takes() -> None:
    assert (requests.FACE_PATTERN, requests.FACE_FORMS) == (detector.FACE_PATTERN, detector.FACE_FORMS)
