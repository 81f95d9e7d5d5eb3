"""Which of a person's templates decides: the nearest by what the threshold applies to."""

from dataclasses import astuple, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from embedder import Embedding, FaceEmbedder, VerifyOptions
from gallery import TemplateBlock
from gallery.verification import compare_with_person

NEAR, FAR = 0.5, 0.51  # distances of a poor and of a good template; the penalty of two poor photos is 0.018


@pytest.fixture(scope="module")
def poor_photo(examples: Path) -> bytes:
    image, file = Image.open(examples / "001-neutral.jpg"), BytesIO()
    image.filter(ImageFilter.GaussianBlur(4)).save(file, "PNG")
    return file.getvalue()


def poor_and_good(probe: Embedding) -> TemplateBlock:
    """A template as poor as the probe, and one that is a little farther, but good."""
    direction = np.eye(len(probe.vector), dtype=np.float32)[0]
    good = replace(probe.sample.quality, sharpness=0.9)
    return TemplateBlock(
        ids=("poor", "good"),
        persons=("alice", "alice"),
        person_numbers=np.array([1, 1]),
        vectors=np.stack([probe.vector + NEAR * direction, probe.vector + FAR * direction]),
        qualities=np.array([astuple(probe.sample.quality), astuple(good)]),
        forget_at=(None, None),
    )


def test_at_an_operating_point_the_nearest_template_is_that_by_normalized_distance(
    embedder: FaceEmbedder, poor_photo: bytes
) -> None:
    templates = poor_and_good(embedder.embed(poor_photo))
    found = compare_with_person(embedder, poor_photo, templates, VerifyOptions())
    assert found.template == "good"
    assert found.judgement.normalized_distance == pytest.approx(FAR, abs=1e-4)


@pytest.mark.parametrize(("threshold", "is_same"), [(0.499, False), (0.505, True), (0.52, True)])
def test_at_a_threshold_of_the_callers_own_it_is_that_by_the_distance(
    embedder: FaceEmbedder, poor_photo: bytes, threshold: float, *, is_same: bool
) -> None:
    templates = poor_and_good(embedder.embed(poor_photo))
    found = compare_with_person(embedder, poor_photo, templates, VerifyOptions(threshold=threshold))
    assert (found.template, found.judgement.same) == ("poor", is_same)
    assert found.judgement.distance == pytest.approx(NEAR, abs=1e-4)
