"""Why two faces matched or not: shares add up, places that are said to matter do, and answers repeat bit for bit."""

import json
import re
import stat
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from odd_images import blurred, plain, two_faces
from PIL import Image

from embedder import (
    BUILT_IN,
    BUILT_IN_MODELS,
    FaceEmbedder,
    LowQuality,
    NoFace,
    OperatingPointUnavailable,
    SeveralFaces,
    copy_bundle,
    load,
    read_bundle,
)
from embedder.alignment import landmarks_in_chip
from embedder.explain import ExplainedFace, Explainer, Explanation, Saliency
from embedder.explain.colors import overlay_saliency
from embedder.explain.explainer import gradient_method
from embedder.explain.explanation import REGIONS, region_shares, regions_of_chip
from embedder.explain.gradients import integrated_gradients
from embedder.explain.occlusion import occlude, saliency_map
from embedder.explain.pair_sheet import draw_pair_sheet

VISAVIS = Path(sys.executable).parent / "visavis"
GREY = 127
SIDE_PX = 112  # of the default model's chips
MUCH, LITTLE = 0.2, 0.2  # shares of a face that are covered: what matters most, what matters least


@pytest.fixture(scope="module")
def photos(examples: Path) -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in sorted(examples.glob("*.jpg"))}


@pytest.fixture(scope="module")
def one_person(embedder: FaceEmbedder, photos: dict[str, bytes]) -> Explanation:
    return Explainer(embedder).explain(photos["001-neutral"], photos["001-smiling"])


@pytest.fixture(scope="module")
def two_people(embedder: FaceEmbedder, photos: dict[str, bytes]) -> Explanation:
    return Explainer(embedder).explain(photos["001-neutral"], photos["005-neutral"])


@pytest.fixture(scope="module")
def one_person_by_dlib(dlib: FaceEmbedder, photos: dict[str, bytes]) -> Explanation:
    return Explainer(dlib).explain(photos["001-neutral"], photos["001-smiling"], threshold=0.6)


def halves(found: Explanation) -> list[tuple[ExplainedFace, ExplainedFace, Saliency]]:
    """Each face with the other one and its saliency."""
    assert found.saliency is not None
    sides = found.sides.probe, found.sides.reference
    return [(*sides, found.saliency.probe), (*sides[::-1], found.saliency.reference)]


def visavis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VISAVIS, "explain", *words], capture_output=True, text=True, check=False)


# What is explained


def test_the_verdict_is_that_of_verify(embedder: FaceEmbedder, photos: dict[str, bytes]) -> None:
    images, asked = (photos["001-neutral"], photos["005-smiling"]), {"operating_point": "fmr-1e-4", "prior": 0.1}
    alone, found = embedder.verify(*images, **asked), Explainer(embedder).explain(*images, **asked, saliency=False)
    assert replace(found.comparison, timings_ms=alone.timings_ms) == alone


def test_both_faces_come_as_they_were_embedded(
    one_person: Explanation, embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    for side, name in ((one_person.sides.probe, "001-neutral"), (one_person.sides.reference, "001-smiling")):
        assert np.array_equal(side.chip, embedder.chip(photos[name]).pixels)
        assert np.allclose(side.vector, embedder.embed(photos[name]).vector, atol=1e-5)


def test_nothing_of_a_face_is_in_what_is_printed_of_an_explanation(one_person: Explanation) -> None:
    printed = repr(one_person)
    first = one_person.channels[0]
    assert len(printed) < 20_000
    assert "array" not in printed
    assert repr(first.probe) not in printed
    assert repr(one_person.sides.probe.landmarks[0][0]) not in printed


# Channels


@pytest.mark.parametrize("pair", ["one_person", "two_people"])
def test_the_shares_of_the_channels_add_up_to_the_squared_distance(pair: str, request: pytest.FixtureRequest) -> None:
    found: Explanation = request.getfixturevalue(pair)
    assert sum(each.share for each in found.channels) == pytest.approx(1)
    assert sorted(each.channel for each in found.channels) == list(range(128))
    for each in found.channels:
        added = (each.probe - each.reference) ** 2
        assert each.share * found.comparison.distance**2 == pytest.approx(added, abs=1e-8)
        assert each.probe == found.sides.probe.vector[each.channel]


def test_the_channel_with_the_largest_share_comes_first(two_people: Explanation) -> None:
    assert all(one.share >= next_one.share for one, next_one in pairwise(two_people.channels))


def test_the_same_photo_twice_has_no_shares_at_all(embedder: FaceEmbedder, photos: dict[str, bytes]) -> None:
    found = Explainer(embedder).explain(photos["001-neutral"], photos["001-neutral"])
    assert found.comparison.distance == pytest.approx(0, abs=1e-6)
    assert sum(each.share for each in found.channels) == pytest.approx(0 if found.comparison.distance == 0 else 1)
    for _, _, saliency in halves(found):
        assert np.isfinite(saliency.map).all()
        assert sum(each.share for each in saliency.regions) == pytest.approx(1)
        assert sum(each.toward for each in saliency.regions) > 0.5  # whatever is covered, the distance can only grow


# Places


@pytest.mark.parametrize(
    ("pair", "model"), [("one_person", "embedder"), ("two_people", "embedder"), ("one_person_by_dlib", "dlib")]
)
def test_covering_what_brings_two_faces_together_most_drives_them_apart_more_than_covering_what_does_least(
    pair: str, model: str, request: pytest.FixtureRequest
) -> None:
    its_own = request.getfixturevalue(model)
    for side, other, saliency in halves(request.getfixturevalue(pair)):
        together = distance_without(side, other, saliency.map >= np.quantile(saliency.map, 1 - MUCH), its_own)
        apart = distance_without(side, other, saliency.map <= np.quantile(saliency.map, LITTLE), its_own)
        assert together > apart + 0.02


def distance_without(
    side: ExplainedFace, other: ExplainedFace, places: NDArray[np.bool_], embedder: FaceEmbedder
) -> float:
    """The distance with these places under a grey patch: not the cover that the map was found with."""
    chip = np.where(places[..., None], np.uint8(GREY), side.chip)
    (vector,) = embedder.embed_faces(chip[None])
    return float(np.linalg.norm(vector - other.vector))


def test_the_same_question_has_the_same_answer_bit_for_bit(
    one_person: Explanation, embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    again = Explainer(embedder).explain(photos["001-neutral"], photos["001-smiling"])
    for (_, _, first), (_, _, second) in zip(halves(one_person), halves(again), strict=True):
        assert np.array_equal(first.map, second.map)
        assert first.regions == second.regions
    assert one_person.channels == again.channels


def test_the_farthest_influence_of_a_map_is_1(one_person: Explanation) -> None:
    for _, _, saliency in halves(one_person):
        assert saliency.map.shape == (SIDE_PX, SIDE_PX)
        assert np.abs(saliency.map).max() == 1
        assert saliency.coarse.shape == (30, 30)
        enlarged = saliency.map.repeat(30, axis=0).repeat(30, axis=1)  # a place is then as wide as the chip was
        place = enlarged[3 * SIDE_PX : 4 * SIDE_PX, 7 * SIDE_PX : 8 * SIDE_PX]
        assert saliency.coarse[3, 7] == pytest.approx(place.mean(), abs=6e-4)


def test_a_face_of_which_covering_hides_nothing_has_no_places_that_matter(embedder: FaceEmbedder) -> None:
    flat = np.full((SIDE_PX, SIDE_PX, 3), GREY, np.uint8)
    found = saliency_map(flat, np.zeros(128, np.float32), embedder.embed_faces)
    assert not found.any()
    shares = region_shares(found, regions_of_chip(embedder.card.alignment.points, SIDE_PX))
    assert [(each.share, each.toward) for each in shares] == [(0, 0)] * len(REGIONS)


def test_without_saliency_everything_else_is_the_same(
    one_person: Explanation, embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    found = Explainer(embedder).explain(photos["001-neutral"], photos["001-smiling"], saliency=False)
    assert found.saliency is None
    assert found.channels == one_person.channels


def test_a_covered_place_shows_a_blur_and_the_rest_the_face(one_person: Explanation) -> None:
    chip = one_person.sides.probe.chip
    shares = np.ones((1, SIDE_PX, SIDE_PX), np.float32)
    shares[:, 30:60] = 0
    (found,) = occlude(chip, shares)
    assert np.array_equal(found[:30], chip[:30])
    assert np.array_equal(found[60:], chip[60:])
    assert (
        np.abs(np.diff(found[30:60].astype(int), axis=1)).max()
        < np.abs(np.diff(chip[30:60].astype(int), axis=1)).max() / 4
    )


@torch.no_grad()  # as a caller may have set it
def test_integrated_gradients_are_those_of_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    one, start, weights = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    cubes = integrated_gradients(lambda x: (x**3).sum(dim=(1, 2)), one, start)
    torch.testing.assert_close(cubes, one**3 - start**3)
    square = integrated_gradients(lambda x: (x * weights).sum(dim=(1, 2)) ** 2, one, start)
    torch.testing.assert_close(square, (one - start) * weights * ((one + start) * weights).sum())


def test_the_networks_gradients_find_places_that_matter_too(one_person: Explanation, embedder: FaceEmbedder) -> None:
    side, other, _ = halves(one_person)[0]
    found = gradient_method(read_bundle(BUILT_IN))(side.chip, other.vector)
    assert np.abs(found).max() == 1
    most = distance_without(side, other, found >= np.quantile(found, 1 - MUCH), embedder)
    least = distance_without(side, other, found <= np.quantile(found, LITTLE), embedder)
    assert most > least


# Regions


def test_the_regions_are_a_partition_of_the_chip(embedder: FaceEmbedder) -> None:
    regions = regions_of_chip(embedder.card.alignment.points, SIDE_PX)
    assert regions.shape == (SIDE_PX, SIDE_PX)
    assert set(np.unique(regions)) == set(range(len(REGIONS)))


def test_each_landmark_lies_in_the_region_of_its_name(embedder: FaceEmbedder) -> None:
    points = embedder.card.alignment.points
    regions = regions_of_chip(points, SIDE_PX)
    named = [REGIONS[regions[round(y), round(x)]] for x, y in points]
    assert named == ["left_eye", "right_eye", "nose", "mouth", "mouth"]


def test_regions_lie_where_they_lie_in_a_face(embedder: FaceEmbedder) -> None:
    regions = regions_of_chip(embedder.card.alignment.points, SIDE_PX)
    rows, columns = (
        {name: axis[regions == place].mean() for place, name in enumerate(REGIONS)}
        for axis in np.mgrid[:SIDE_PX, :SIDE_PX]
    )
    assert rows["forehead"] < rows["left_eye"] < rows["nose"] < rows["mouth"] < rows["chin"]
    assert columns["left_eye"] < columns["nose"] < columns["right_eye"]
    assert columns["left_cheek"] < columns["mouth"] < columns["right_cheek"]
    assert {REGIONS[place] for place in regions[[0, 0, -1, -1], [0, -1, 0, -1]]} == {"outside"}


def test_the_shares_of_the_regions_are_those_of_their_places(one_person: Explanation, embedder: FaceEmbedder) -> None:
    regions = regions_of_chip(embedder.card.alignment.points, SIDE_PX)
    for _, _, saliency in halves(one_person):
        whole = np.abs(saliency.map.astype(float)).sum()
        for each in saliency.regions:
            inside = saliency.map[regions == REGIONS.index(each.region)].astype(float)
            assert each.share == pytest.approx(np.abs(inside).sum() / whole)
            assert each.toward == pytest.approx(inside.sum() / whole)
            assert abs(each.toward) <= each.share + 1e-12
        assert sum(each.share for each in saliency.regions) == pytest.approx(1)
        assert all(one.share >= next_one.share for one, next_one in pairwise(saliency.regions))


@given(
    size=st.floats(0.2, 20),
    turned=st.floats(-np.pi, np.pi),
    shift=st.complex_numbers(max_magnitude=3000, allow_nan=False),
)
def test_landmarks_that_lie_as_the_card_has_them_fall_on_its_points(
    embedder: FaceEmbedder, size: float, turned: float, shift: complex
) -> None:
    alignment = embedder.card.alignment
    places = np.array([complex(x, y) for x, y in alignment.points]) * size * np.exp(1j * turned) + shift
    placed = tuple(
        (place.real - alignment.landmark_offset_px, place.imag - alignment.landmark_offset_px) for place in places
    )
    assert np.allclose(landmarks_in_chip(placed, alignment), alignment.points, atol=1e-6)


def test_landmarks_lie_in_the_chip_where_the_chip_was_cut(embedder: FaceEmbedder, photos: dict[str, bytes]) -> None:
    image = photos["001-neutral"]
    chip = embedder.chip(image)
    x, y = chip.sample.face.landmarks[2]
    found = Explainer(embedder).explain(image, image, saliency=False).sides.probe
    left, top = found.landmarks[2]
    scale = np.hypot(*np.subtract(found.landmarks[1], found.landmarks[0])) / np.hypot(
        *np.subtract(chip.sample.face.landmarks[1], chip.sample.face.landmarks[0])
    )
    photo = np.asarray(Image.open(Path(__file__).parents[2] / "examples/faces/001-neutral.jpg").convert("RGB"))
    around = photo[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].reshape(-1, 3).mean(axis=0)
    reach = max(1, round(3 * scale))
    there = found.chip[round(top) - reach : round(top) + reach + 1, round(left) - reach : round(left) + reach + 1]
    assert np.abs(there.reshape(-1, 3).mean(axis=0) - around).max() < 12


# Other models


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
@pytest.mark.parametrize("mirror", [True, False])
def test_a_model_with_and_without_mirrored_chips_is_explained_by_its_own_distance(
    name: str, *, mirror: bool, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    copy_bundle(name, tmp_path / "bundle", read_bundle(name).card.with_mirror(mirror=mirror))
    other = load(tmp_path / "bundle")
    images = photos["001-neutral"], photos["001-smiling"]
    found = Explainer(other).explain(*images, threshold=0.9)
    assert found.comparison.distance == other.verify(*images, threshold=0.9).distance
    assert sum((each.probe - each.reference) ** 2 for each in found.channels) == pytest.approx(
        found.comparison.distance**2
    )
    assert sum(each.share for each in halves(found)[0][2].regions) == pytest.approx(1)


def test_sentences_are_those_of_the_models_own_atlas(
    penalty_embedder: FaceEmbedder, photos: dict[str, bytes], one_person: Explanation
) -> None:
    """With another penalty it is another card about the same weights: the digest is of what decides an embedding."""
    assert one_person.channels[0].sentences is not None
    found = Explainer(penalty_embedder).explain(photos["001-neutral"], photos["001-smiling"], saliency=False)
    assert [each.sentences for each in found.channels] == [each.sentences for each in one_person.channels]


# What cannot be explained


@pytest.mark.parametrize("role", ["probe", "reference"])
def test_a_photo_without_a_face_is_refused_as_verify_refuses_it(
    role: str, embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    images = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]} | {role: plain()}
    with pytest.raises(NoFace) as caught:
        Explainer(embedder).explain(**images)
    assert caught.value.image == role


def test_a_photo_of_two_people_is_refused_unless_the_face_is_named(
    embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    with pytest.raises(SeveralFaces):
        Explainer(embedder).explain(two_faces(), photos["001-neutral"], saliency=False)
    assert Explainer(embedder).explain(two_faces(), photos["001-neutral"], face="largest", saliency=False)


@pytest.mark.parametrize("role", ["probe", "reference"])
def test_a_photo_that_is_too_poor_is_refused_unless_quality_is_to_be_ignored(
    role: str, penalty_embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    images = {"probe": photos["001-neutral"], "reference": photos["001-neutral"]} | {role: blurred(8)}
    with pytest.raises(LowQuality) as caught:
        Explainer(penalty_embedder).explain(**images)
    assert caught.value.image == role
    assert Explainer(penalty_embedder).explain(**images, quality="ignore", saliency=False).comparison.distance > 0


def test_an_operating_point_that_is_not_there_is_told(embedder: FaceEmbedder, photos: dict[str, bytes]) -> None:
    with pytest.raises(OperatingPointUnavailable):
        Explainer(embedder).explain(photos["001-neutral"], photos["001-smiling"], operating_point="fmr=1e-9")


# The picture


def test_a_place_without_influence_is_grey_and_others_have_the_colour_of_their_sign(one_person: Explanation) -> None:
    chip = one_person.sides.probe.chip
    influence = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    influence[:40], influence[80:] = 1, -1
    painted = overlay_saliency(chip, influence).astype(int)
    assert np.ptp(painted[40:80], axis=2).max() == 0
    assert (painted[:40, :, 2] > painted[:40, :, 0]).all()  # blue
    assert (painted[80:, :, 0] > painted[80:, :, 2]).all()  # orange


def test_the_picture_shows_both_faces_and_differs_without_saliency(
    one_person: Explanation, two_people: Explanation
) -> None:
    pictures = [draw_pair_sheet(each) for each in (one_person, replace(one_person, saliency=None), two_people)]
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert len({picture.size for picture in pictures}) == 1


# The command


def test_the_command_tells_the_verdict_the_places_and_the_channels(examples: Path, one_person: Explanation) -> None:
    done = visavis(examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert one_person.saliency is not None
    first = one_person.saliency.probe.regions[0]
    assert f"{one_person.comparison.distance:.3f}" in done.stdout
    assert re.search(rf"{first.region.replace('_', ' ')} +{first.share:.0%} +decreases the distance", done.stdout)
    assert re.search(
        rf"^ +{one_person.channels[0].channel} +{one_person.channels[0].share:.1%}", done.stdout, re.MULTILINE
    )


def test_two_people_are_explained_with_exit_status_0_too(examples: Path) -> None:
    done = visavis(examples / "001-neutral.jpg", examples / "005-neutral.jpg")
    assert done.returncode == 0
    assert "increases the distance" in done.stdout


def test_json_has_the_keys_that_programs_rely_on(examples: Path, one_person: Explanation) -> None:
    done = visavis(examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--json")
    told = json.loads(done.stdout)
    assert {"same", "distance", "threshold", "channels", "saliency"} <= set(told)
    assert [each["channel"] for each in told["channels"]] == [each.channel for each in one_person.channels]
    assert np.shape(told["saliency"]["reference"]["map"]) == (30, 30)
    assert {each["region"] for each in told["saliency"]["probe"]["regions"]} == set(REGIONS)


def test_gradients_are_another_way_to_the_places_and_change_nothing_else(
    examples: Path, one_person: Explanation
) -> None:
    done = visavis(examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--method", "gradient", "--json")
    told = json.loads(done.stdout)
    assert one_person.saliency is not None
    assert not np.allclose(told["saliency"]["probe"]["map"], one_person.saliency.probe.coarse, atol=0.1)
    assert sum(each["share"] for each in told["saliency"]["probe"]["regions"]) == pytest.approx(1)
    assert told["channels"][0]["share"] == pytest.approx(one_person.channels[0].share, rel=1e-4)


def test_the_picture_is_written_for_its_owner_alone(examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.png"
    assert visavis(examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--out", out).returncode == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with Image.open(out) as picture:
        assert picture.format == "PNG"


def test_trouble_is_told_in_one_line_that_names_the_image(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "nobody.png").write_bytes(plain())
    done = visavis(examples / "001-neutral.jpg", tmp_path / "nobody.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"visavis: reference {tmp_path / 'nobody.png'}: ")
    assert done.stderr.count("\n") == 1
