"""Every face of a picture in one call: the same faces and embeddings as one call each."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from odd_images import plain, two_faces
from PIL import Image

from embedder import Embedding, FaceEmbedder, ImageUnreadable, NoFace, NotAnImage, SeveralFaces, TooManyFaces, pipeline
from embedder.pipeline import MAX_FACES

GROUPS = 11  # photos


@pytest.fixture(scope="module")
def groups(data: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((data / "groups").glob("*.jpg"))]


def distance(one: Embedding, other: Embedding) -> float:
    return float(np.abs(one.vector - other.vector).max())


def test_the_faces_of_a_group_are_those_of_detect_and_of_one_call_each(
    groups: list[bytes], embedder: FaceEmbedder
) -> None:
    n_faces = 0
    for image in groups:
        found, faces = embedder.embed_all(image), embedder.detect(image)
        assert [each.sample.face for each in found] == faces
        alone = [embedder.embed(image, face=index) for index in range(len(faces))]
        assert max(map(distance, found, alone), default=0) <= 1e-5
        assert [each.sample.quality for each in found] == [each.sample.quality for each in alone]
        assert [each.sample.grade for each in found] == [each.sample.grade for each in alone]
        n_faces += len(faces)
    assert len(groups) == GROUPS
    assert n_faces > 60


def test_several_images_in_one_call_are_one_call_each(groups: list[bytes], embedder: FaceEmbedder) -> None:
    batch = embedder.embed_many(groups, face="all")
    assert batch.model == embedder.identity
    for image, result in zip(groups, batch.results, strict=True):
        alone = embedder.embed_all(image)
        assert [each.sample for each in result] == [each.sample for each in alone]
        assert max(map(distance, result, alone)) <= 1e-5


def test_a_face_tells_that_it_is_one_of_all_and_of_how_many(embedder: FaceEmbedder) -> None:
    found = embedder.embed_all(two_faces())
    assert [(each.sample.choice, each.sample.n_faces) for each in found] == [("all", 2), ("all", 2)]
    areas = [each.sample.face.box.area for each in found]
    assert areas == sorted(areas, reverse=True)
    assert all(each.model == embedder.identity for each in found)
    assert all(part > 0 for part in (found[0].timings_ms.decode, found[0].timings_ms.detect, found[0].timings_ms.embed))


def test_a_picture_without_a_face_has_no_embedding_and_is_no_error(embedder: FaceEmbedder) -> None:
    assert embedder.embed_all(plain()) == []
    assert embedder.embed_many([plain(), plain()], face="all").results == ((), ())
    assert embedder.embed_many([], face="all").results == ()


def test_what_is_no_image_is_raised_alone_and_told_in_its_place_among_others(
    embedder: FaceEmbedder, examples: Path
) -> None:
    with pytest.raises(NotAnImage):
        embedder.embed_all(b"no image")
    photo = (examples / "001-neutral.jpg").read_bytes()
    first, second, third = embedder.embed_many([b"no image", photo, photo[:2000]], face="all").results
    assert isinstance(first, NotAnImage)
    assert [each.sample.choice for each in second] == ["all"]
    assert isinstance(third, ImageUnreadable)


def test_a_rule_selects_one_face_of_each_image(embedder: FaceEmbedder, examples: Path) -> None:
    photo = (examples / "001-neutral.jpg").read_bytes()
    first, second, third = embedder.embed_many([photo, two_faces(), plain()]).results
    assert distance(first[0], embedder.embed(photo)) <= 1e-5
    assert len(first) == 1
    assert isinstance(second, SeveralFaces)
    assert isinstance(third, NoFace)
    ((largest,),) = embedder.embed_many([two_faces()], face="largest").results
    assert distance(largest, embedder.embed(two_faces(), face="largest")) <= 1e-5


@pytest.mark.parametrize("method", ["embed", "chip"])
def test_where_one_face_is_needed_all_is_refused_with_what_embeds_all(method: str, embedder: FaceEmbedder) -> None:
    with pytest.raises(ValueError, match="embed_all and embed_many embed every face"):
        getattr(embedder, method)(plain(), face="all")
    with pytest.raises(ValueError, match="a face is selected by"):
        embedder.embed_many([plain()], face="every")


def test_more_faces_than_the_limit_are_refused_image_by_image_and_never_dropped(
    embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_FACES", 3)
    first, second, third = embedder.embed_many([two_faces(), two_faces(), plain()], face="all").results
    assert (len(first), third) == (2, ())
    assert isinstance(second, TooManyFaces)
    assert second.n_faces == 2
    assert str(second) == (
        "found 2 faces after 2 in the images before it, more than the 3 that one request embeds; "
        "send it in another request"
    )
    monkeypatch.setattr(pipeline, "MAX_FACES", 1)
    with pytest.raises(TooManyFaces, match="found 2 faces, more than the 1 that one request embeds; send parts"):
        embedder.embed_all(two_faces())


def test_a_crowd_at_the_limit_is_embedded_in_several_passes(embedder: FaceEmbedder, examples: Path) -> None:
    crowd = mosaic(examples, columns=8, rows=5)
    found = embedder.embed_all(crowd)
    assert pipeline.PASS < len(found) == 40 <= MAX_FACES
    alone = [embedder.embed(crowd, face=index) for index in (0, 20, 33, 39)]
    assert max(map(distance, (found[index] for index in (0, 20, 33, 39)), alone)) <= 1e-5


def mosaic(examples: Path, *, columns: int, rows: int) -> bytes:
    """A picture of many people, side by side."""
    photos = [Image.open(path).resize((160, 160)) for path in sorted(examples.glob("*.jpg"))]
    picture = Image.new("RGB", (160 * columns, 160 * rows))
    for place in range(columns * rows):
        picture.paste(photos[place % len(photos)], (place % columns * 160, place // columns * 160))
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()
