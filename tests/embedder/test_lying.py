"""Faces that lie or stand on their head: on a page, beside an upright face, in a whole photo; never used upright."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from embedder import FaceEmbedder, SeveralFaces
from embedder.detection.detector import SURE, _has_hint, _without_false
from embedder.detection.yunet import Candidates

PEOPLE = ("001", "005", "021", "041")
A4, CARD = (1240, 1754), (508, 319)  # px at 150 dpi


def person(examples: Path, name: str) -> Image.Image:
    return Image.open(examples / f"{name}-neutral.jpg").convert("RGB")


def turned(picture: Image.Image, degrees: int) -> Image.Image:
    return picture.rotate(-degrees, expand=True)


def jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def writing(picture: Image.Image, box: tuple[int, int, int, int]) -> None:
    rng, drawing = np.random.default_rng(0), ImageDraw.Draw(picture)
    for top in range(box[1], box[3], 30):
        for left in range(box[0], box[2] - 70, 90):
            drawing.rectangle((left, top, left + int(rng.integers(20, 70)), top + 8), fill=(60, 60, 60))


def page(photo: Image.Image, degrees: int) -> Image.Image:
    """A card with a photo of 25 by 32 mm, turned clockwise, on a white A4 page with writing."""
    card = Image.new("RGB", CARD, (214, 226, 235))
    card.paste(photo.crop((110, 60, 490, 546)).resize((148, 189), Image.Resampling.LANCZOS), (24, 82))
    writing(card, (200, 60, 490, 290))
    whole = Image.new("RGB", A4, "white")
    writing(whole, (100, 900, 1140, 1650))
    whole.paste(turned(card, degrees), (300, 200))
    return whole


def beside(larger: Image.Image, smaller: Image.Image, side: int) -> Image.Image:
    whole = Image.new("RGB", (larger.width + side, larger.height), (150, 150, 155))
    whole.paste(larger, (0, 0))
    whole.paste(smaller.resize((side, side), Image.Resampling.LANCZOS), (larger.width, 30))
    return whole


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("name", PEOPLE)
def test_a_document_is_compared_whichever_way_it_lies_on_its_page(
    embedder: FaceEmbedder, examples: Path, name: str, degrees: int
) -> None:
    reference = (examples / f"{name}-smiling.jpg").read_bytes()
    found = embedder.verify(jpeg(page(person(examples, name), degrees)), reference)
    assert found.same
    assert found.probe.face.rotation == degrees
    rotated = f"The probe's face is rotated in its picture by {degrees} degrees clockwise."
    assert found.notes == ((rotated,) if degrees else ())


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize(("larger", "smaller"), [("001", "005"), ("005", "021"), ("021", "041"), ("041", "001")])
def test_a_larger_face_that_lies_is_found_beside_an_upright_one(
    embedder: FaceEmbedder, examples: Path, larger: str, smaller: str, degrees: int
) -> None:
    picture = jpeg(beside(turned(person(examples, larger), degrees), person(examples, smaller), 520))
    reference = (examples / f"{larger}-smiling.jpg").read_bytes()
    assert embedder.verify(picture, reference, face="largest").same
    for choice in ("only", "dominant"):
        with pytest.raises(SeveralFaces) as refusal:
            embedder.embed(picture, face=choice)
        assert refusal.value.n_faces == 2


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize(("larger", "smaller"), [("001", "005"), ("005", "021"), ("021", "041"), ("041", "001")])
def test_a_smaller_face_that_lies_is_counted(
    embedder: FaceEmbedder, examples: Path, larger: str, smaller: str, degrees: int
) -> None:
    picture = jpeg(beside(person(examples, larger), turned(person(examples, smaller), degrees), 300))
    assert [face.rotation for face in embedder.detect(picture)] == [0, degrees]
    with pytest.raises(SeveralFaces):
        embedder.embed(picture, face="only")
    assert embedder.verify(picture, (examples / f"{larger}-smiling.jpg").read_bytes()).same


def candidates(*listed: tuple[tuple[float, float, float, float], float, float]) -> Candidates:
    boxes, scores, angles = zip(*listed, strict=True)
    return Candidates(np.array(boxes, float), np.array(scores), np.array(angles, float))


@pytest.mark.parametrize(
    ("box", "score", "is_hint"),
    [
        ((120, 20, 160, 60), 0.3, True),
        ((120, 20, 160, 60), SURE, False),  # a sure face hides nothing
        ((30, 30, 70, 70), 0.3, False),  # on a sure face
        ((120, 20, 130, 30), 0.3, False),  # too small
        ((180, 20, 260, 100), 0.3, False),  # mostly outside the photo
    ],
)
def test_a_place_that_resembles_a_face_beside_all_sure_ones_is_a_hint(
    box: tuple[float, float, float, float], score: float, *, is_hint: bool
) -> None:
    sure = candidates(((20, 20, 80, 80), 0.95, 0))
    seen = sure.and_also(candidates((box, score, 0)))
    assert _has_hint(seen, sure, (200, 200), (400, np.inf)) == is_hint


@pytest.mark.parametrize(
    ("score", "more", "is_kept"),
    [
        (0.65, ((30, 30, 60, 60), 0.9, 0), False),  # a surer and much smaller one inside
        (0.65, ((12, 12, 90, 90), 0.9, 180), False),  # the same one, surer another way up
        (0.65, ((12, 12, 90, 90), 0.9, 0), True),  # the same one again
        (0.65, ((30, 30, 60, 60), 0.64, 0), True),  # not surer
        (0.8, ((30, 30, 60, 60), 0.9, 0), True),  # not doubtful
        (0.65, ((300, 30, 330, 60), 0.9, 0), True),  # elsewhere
    ],
)
def test_a_doubtful_face_yields_to_a_surer_one_in_its_place(
    score: float, more: tuple[tuple[float, float, float, float], float, float], *, is_kept: bool
) -> None:
    found = candidates(((10, 10, 90, 90), score, 0))
    assert len(_without_false(found, candidates(more))) == is_kept
