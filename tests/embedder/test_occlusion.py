"""Covered faces: the measure on the chip, and what a comparison does with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from covered_photos import covered_photo
from PIL import Image

from embedder import FaceCovered, FaceEmbedder
from embedder.quality import OCCLUSION_GRAPH, OcclusionMeter
from embedder.runtime.choice import load_small_network
from train.evaluation.covers import skin_colour

KINDS = {"masks": "mouth", "phones": "mouth", "dark glasses": "eyes"}
Covered = Callable[..., bytes]


@pytest.fixture(scope="module")
def covered(embedder: FaceEmbedder, examples: Path) -> Covered:
    """A photo of a person with a cover."""
    return lambda person, kind, seed=0: covered_photo(embedder, examples / f"{person}.jpg", kind, seed)


def test_open_faces_are_open(each_model: FaceEmbedder, examples: Path) -> None:
    for path in sorted(examples.glob("*.jpg")):
        quality = each_model.chip(path.read_bytes()).sample.quality
        assert (quality.covered < 0.25, quality.covered_part) == (True, None), path.name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_covered_part_is_seen_and_the_other_one_stays_open(
    each_model: FaceEmbedder, covered: Covered, kind: str, seed: int
) -> None:
    quality = each_model.chip(covered("005-neutral", kind, seed), face="largest").sample.quality
    assert quality.covered_part == KINDS[kind]
    assert quality.covered > 0.35 > 1 - max(quality.eyes_visible, quality.mouth_visible)


def test_clear_glasses_hardly_ever_count_as_a_cover(embedder: FaceEmbedder, covered: Covered) -> None:
    """Some of the drawn frames are thick and dark; benchmarks/covered_faces.py has the share over all of London."""
    people = ("001-neutral", "005-smiling", "021-neutral", "041-smiling")
    photos = [covered(person, "clear glasses", seed) for person in people for seed in range(5)]
    parts = [embedder.chip(photo, face="largest").sample.quality.covered_part for photo in photos]
    assert parts.count(None) >= 0.8 * len(parts)


def test_both_models_measure_nearly_the_same(
    embedder: FaceEmbedder, dlib: FaceEmbedder, covered: Covered, examples: Path
) -> None:
    photos = [covered("001-neutral", "masks"), covered("041-neutral", "dark glasses")]
    for photo in [*photos, (examples / "001-smiling.jpg").read_bytes()]:
        ours, theirs = (model.chip(photo, face="largest").sample.quality for model in (embedder, dlib))
        assert (ours.eyes_visible, ours.mouth_visible) == pytest.approx(
            (theirs.eyes_visible, theirs.mouth_visible), abs=0.2
        )


@pytest.mark.parametrize(("kind", "part"), [("masks", "mouth"), ("dark glasses", "eyes")])
def test_two_faces_covered_in_the_same_place_are_refused_with_what_to_do(
    embedder: FaceEmbedder, covered: Covered, kind: str, part: str
) -> None:
    with pytest.raises(
        FaceCovered, match=f"region of the {part} is covered in both photos .* quality=ignore"
    ) as caught:
        embedder.verify(covered("001-neutral", kind), covered("005-neutral", kind, 1), face="largest")
    assert (caught.value.code, caught.value.part) == ("face_covered", part)
    assert max(caught.value.visible) < 0.65
    assert caught.value.image == "reference"


def test_one_covered_face_is_compared_and_the_answer_says_so(
    embedder: FaceEmbedder, covered: Covered, examples: Path
) -> None:
    found = embedder.verify(covered("001-neutral", "masks"), (examples / "001-smiling.jpg").read_bytes())
    assert found.same
    assert any(note.startswith("The mouth of the probe's face is covered: ") for note in found.notes)
    assert found.probe.quality.covered_part == "mouth"


def test_a_note_on_covered_eyes_is_in_the_plural(embedder: FaceEmbedder, covered: Covered, examples: Path) -> None:
    found = embedder.verify(covered("001-neutral", "dark glasses"), (examples / "001-smiling.jpg").read_bytes())
    assert any(note.startswith("The eyes of the probe's face are covered: ") for note in found.notes)


def test_faces_covered_in_different_places_are_compared(embedder: FaceEmbedder, covered: Covered) -> None:
    found = embedder.verify(covered("001-neutral", "masks"), covered("001-smiling", "dark glasses"), face="largest")
    assert len(found.notes) == 2


def test_ignoring_quality_compares_covered_faces_with_a_penalty(embedder: FaceEmbedder, covered: Covered) -> None:
    pair = covered("001-neutral", "dark glasses"), covered("005-neutral", "dark glasses", 1)
    found = embedder.verify(*pair, face="largest", quality="ignore")
    assert not found.same
    assert found.threshold < found.operating_point.threshold
    assert "because the eyes are partly covered in both photos (eyes_visible 0." in found.threshold_reason


def test_a_covered_reference_keeps_its_place_among_many(
    embedder: FaceEmbedder, covered: Covered, examples: Path
) -> None:
    references = [covered("001-smiling", "masks", 1), (examples / "001-smiling.jpg").read_bytes()]
    refused, found = embedder.verify_many(covered("001-neutral", "masks"), references, face="largest").results
    assert isinstance(refused, FaceCovered)
    assert found.same


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_flat_chip_gives_shares(embedder: FaceEmbedder, grey: int) -> None:
    meter = OcclusionMeter(load_small_network(OCCLUSION_GRAPH), embedder.card.alignment)
    assert all(0 <= share <= 1 for share in meter(np.full((112, 112, 3), grey, np.uint8)))


def test_the_measure_does_not_depend_on_the_colour_of_the_skin(embedder: FaceEmbedder, data: Path) -> None:
    """Of the quarters of London with the darkest and the lightest cheeks, no open face counts as covered."""
    paths = sorted((data / "london").glob("*/neutral_front.jpg"))
    samples = [embedder.chip(path.read_bytes()).sample for path in paths]
    lightness = [
        skin_colour(Image.open(path).convert("RGB"), sample.face.landmarks).mean()
        for path, sample in zip(paths, samples, strict=True)
    ]
    order = np.argsort(lightness)
    quarter = len(order) // 4
    covered = np.array([sample.quality.covered for sample in samples])
    darkest, lightest = covered[order[:quarter]], covered[order[-quarter:]]
    assert max(darkest.max(), lightest.max()) < 0.5
    assert abs(np.median(darkest) - np.median(lightest)) < 0.05
