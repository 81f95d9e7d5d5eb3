"""Covered faces: the real client against the real service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from covered_photos import covered_photo

from embedder import FaceEmbedder
from service.client import FaceCoveredError, from_problem

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

Photo = Callable[[str], bytes]


@pytest.fixture(scope="module")
def masked(embedder: FaceEmbedder, examples: Path) -> list[bytes]:
    return [covered_photo(embedder, examples / f"{name}-neutral.jpg", "masks", 3) for name in ("001", "005")]


def test_two_masked_people_are_refused_with_the_part(ask: Ask, masked: list[bytes]) -> None:
    with pytest.raises(FaceCoveredError, match="the mouth is covered in both photos") as caught:
        ask("verify", *masked, face="largest")
    error = caught.value
    assert (error.status, error.code, error.image, error.part) == (422, "face_covered", "reference", "mouth")


def test_a_masked_face_against_an_open_one_is_compared_with_a_note(ask: Ask, masked: list[bytes], photo: Photo) -> None:
    answer = ask("verify", masked[0], photo("001-smiling"), face="largest")
    assert answer.same
    assert (answer.probe.quality.covered_part, answer.reference.quality.covered_part) == ("mouth", None)
    assert answer.probe.quality.covered == pytest.approx(1 - answer.probe.quality.mouth_visible)
    assert answer.notes[0].startswith("The mouth of the probe's face is covered")


def test_a_covered_reference_spoils_no_other(ask: Ask, masked: list[bytes], photo: Photo) -> None:
    refused, found = ask("verify_many", masked[0], [masked[1], photo("001-smiling")], face="largest").results
    assert isinstance(from_problem(refused.problem), FaceCoveredError)
    assert found.verdict.same


def test_ignoring_quality_compares_covered_faces(ask: Ask, masked: list[bytes]) -> None:
    answer = ask("verify", *masked, face="largest", quality="ignore")
    assert not answer.same
    assert len(answer.notes) == 2
