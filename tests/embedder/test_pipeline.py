"""From bytes to verdict with the real model on real photographs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import embedder as door
from embedder import (
    Architecture,
    Comparison,
    DigestMismatch,
    FaceEmbedder,
    Limits,
    LowQuality,
    NoFace,
    NotAnImage,
    OperatingPointUnavailable,
    SeveralFaces,
    load,
    read_bundle,
)
from embedder.errors import ImageTooLarge

PEOPLE = ("001", "005", "021", "041")


def photo(examples: Path, name: str) -> bytes:
    return (examples / f"{name}.jpg").read_bytes()


def side_by_side(examples: Path, *names: str) -> bytes:
    wide = Image.new("RGB", (600 * len(names), 600))
    for index, name in enumerate(names):
        wide.paste(Image.open(examples / f"{name}.jpg"), (600 * index, 0))
    out = BytesIO()
    wide.save(out, "JPEG")
    return out.getvalue()


def plain_picture() -> bytes:
    out = BytesIO()
    Image.new("RGB", (200, 200), "grey").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("person", PEOPLE)
def test_one_person_neutral_and_smiling_is_the_same_person(embedder: FaceEmbedder, examples: Path, person: str) -> None:
    comparison = embedder.verify(photo(examples, f"{person}-neutral"), photo(examples, f"{person}-smiling"))
    assert comparison.same
    assert comparison.distance < comparison.threshold
    assert comparison.threshold == comparison.operating_point.threshold
    assert comparison.operating_point.name == embedder.card.default_point
    assert comparison.probability > 0.5
    assert comparison.log_likelihood_ratio > 0
    assert (comparison.prior, comparison.model) == (0.5, embedder.identity)


@pytest.mark.parametrize(("one", "other"), [("001", "005"), ("005", "021"), ("021", "041"), ("041", "001")])
def test_two_people_are_different(embedder: FaceEmbedder, examples: Path, one: str, other: str) -> None:
    comparison = embedder.verify(photo(examples, f"{one}-neutral"), photo(examples, f"{other}-neutral"))
    assert not comparison.same
    assert comparison.probability < 0.5


def test_a_photo_is_at_distance_zero_from_itself_and_order_does_not_matter(
    embedder: FaceEmbedder, examples: Path
) -> None:
    one, other = photo(examples, "001-neutral"), photo(examples, "005-neutral")
    assert embedder.verify(one, one).distance == pytest.approx(0, abs=1e-5)
    there, back = embedder.verify(one, other), embedder.verify(other, one)
    assert there.distance == pytest.approx(back.distance, abs=1e-5)


def test_a_threshold_of_the_callers_own_belongs_to_no_point(embedder: FaceEmbedder, examples: Path) -> None:
    comparison = embedder.verify(photo(examples, "001-neutral"), photo(examples, "001-smiling"), threshold=0.1)
    assert (comparison.same, comparison.threshold, comparison.operating_point) == (False, 0.1, None)


def test_a_point_and_a_prior_of_the_callers_choice_are_in_the_answer(embedder: FaceEmbedder, examples: Path) -> None:
    pair = photo(examples, "001-neutral"), photo(examples, "001-smiling")
    usual, asked = embedder.verify(*pair), embedder.verify(*pair, operating_point="fmr=1e-4", prior=0.001)
    assert asked.operating_point is embedder.card.operating_points[2]
    assert (asked.threshold < usual.threshold, asked.prior) == (True, 0.001)
    assert asked.log_likelihood_ratio == pytest.approx(usual.log_likelihood_ratio, abs=1e-3)
    assert asked.probability < usual.probability


def test_a_point_that_is_not_there_is_told_before_any_image_is_read(embedder: FaceEmbedder) -> None:
    with pytest.raises(OperatingPointUnavailable, match="fmr=1e-9"):
        embedder.verify(b"no image", b"none either", operating_point="fmr=1e-9")
    with pytest.raises(OperatingPointUnavailable):
        embedder.compare(np.zeros(128), [], model_digest=embedder.card.digest, operating_point="strict")


@pytest.mark.parametrize(("name", "threshold"), [("sface-128", 1.1), ("dlib-resnet29-128", 0.6)])
def test_with_other_mirroring_it_is_another_model_which_has_no_points(
    name: str, threshold: float, examples: Path
) -> None:
    card = read_bundle(name).card
    other = load(name, mirror=not card.architecture.mirror)
    pair = photo(examples, "001-neutral"), photo(examples, "001-smiling")
    assert other.card.digest != card.digest
    with pytest.raises(OperatingPointUnavailable, match="run visavis calibrate"):
        other.verify(*pair)
    comparison = other.verify(*pair, threshold=threshold)
    assert (comparison.same, comparison.probability, comparison.operating_point) == (True, None, None)


def test_the_mirror_that_the_card_has_anyway_changes_nothing() -> None:
    card = load().card
    assert load(mirror=card.architecture.mirror).card == card


def test_a_chip_is_what_its_embedding_is_made_of(embedder: FaceEmbedder, examples: Path) -> None:
    chip, embedding = (work(photo(examples, "001-neutral")) for work in (embedder.chip, embedder.embed))
    assert chip.sample == replace(embedding.sample, grade=None)
    assert np.allclose(embedder.embed_faces(chip.pixels[None])[0], embedding.vector, atol=1e-5)


def test_a_chip_is_cut_of_the_face_that_is_meant_or_refused(embedder: FaceEmbedder, examples: Path) -> None:
    both = side_by_side(examples, "001-neutral", "005-neutral")
    assert embedder.chip(both, face="largest").sample.choice == "largest"
    with pytest.raises(SeveralFaces):
        embedder.chip(both)


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_a_threshold_that_is_no_distance_is_a_value_error(
    embedder: FaceEmbedder, examples: Path, threshold: float
) -> None:
    image = photo(examples, "001-neutral")
    with pytest.raises(ValueError, match="greater than 0"):
        embedder.verify(image, image, threshold=threshold)


def test_an_unknown_choice_is_a_value_error(embedder: FaceEmbedder, examples: Path) -> None:
    with pytest.raises(ValueError, match="dominant, only, largest, center"):
        embedder.embed(photo(examples, "001-neutral"), face="best")


def test_the_image_at_fault_is_named(embedder: FaceEmbedder, examples: Path) -> None:
    good = photo(examples, "001-neutral")
    with pytest.raises(NoFace) as no_face:
        embedder.verify(plain_picture(), good)
    with pytest.raises(NotAnImage) as not_an_image:
        embedder.verify(good, b"hello")
    assert (no_face.value.image, not_an_image.value.image) == ("probe", "reference")


def test_two_faces_alike_in_size_are_refused_unless_a_rule_names_one(embedder: FaceEmbedder, examples: Path) -> None:
    both = side_by_side(examples, "001-neutral", "005-neutral")
    with pytest.raises(SeveralFaces) as caught:
        embedder.verify(both, photo(examples, "001-neutral"))
    assert (caught.value.n_faces, caught.value.image) == (2, "probe")
    assert embedder.embed(both, face="largest").sample.n_faces is None
    assert embedder.embed(both, face="center").sample.n_faces == 2


def test_the_face_nearest_the_centre_is_taken_where_that_is_asked(embedder: FaceEmbedder, examples: Path) -> None:
    three = side_by_side(examples, "001-neutral", "005-neutral", "021-neutral")
    comparison = embedder.verify(three, photo(examples, "005-smiling"), face="center")
    assert comparison.same
    assert (comparison.probe.n_faces, comparison.reference.n_faces) == (3, 1)


def test_many_references_keep_their_order_and_a_bad_one_keeps_its_place(embedder: FaceEmbedder, examples: Path) -> None:
    references = [photo(examples, "005-neutral"), b"no image", photo(examples, "001-smiling")]
    batch = embedder.verify_many(photo(examples, "001-neutral"), references)
    different, fault, same = batch.results
    assert isinstance(different, Comparison)
    assert isinstance(fault, NotAnImage)
    assert isinstance(same, Comparison)
    assert (different.same, same.same, fault.image) == (False, True, "reference")


def test_a_batch_of_references_gives_the_distances_of_single_verifies(embedder: FaceEmbedder, examples: Path) -> None:
    probe = photo(examples, "001-neutral")
    references = [photo(examples, f"{person}-smiling") for person in PEOPLE]
    together = [result.distance for result in embedder.verify_many(probe, references).results]
    assert together == pytest.approx([embedder.verify(probe, one).distance for one in references], abs=1e-5)


def test_stored_embeddings_compare_as_the_photos_do(embedder: FaceEmbedder, examples: Path) -> None:
    one, other = photo(examples, "001-neutral"), photo(examples, "001-smiling")
    stored = [embedder.embed(image) for image in (one, other)]
    found = embedder.compare(stored[0].vector, [stored[1].vector], model_digest=stored[0].model.digest)
    alone = embedder.verify(one, other)
    (result,) = found.results
    assert result.distance == pytest.approx(alone.distance, abs=1e-5)
    assert result.probability == pytest.approx(alone.probability, abs=1e-3)
    assert result.threshold == alone.threshold
    assert (found.operating_point, found.prior) == (alone.operating_point, 0.5)


def blurred(examples: Path, name: str, sigma: float) -> bytes:
    out = BytesIO()
    Image.open(examples / f"{name}.jpg").filter(ImageFilter.GaussianBlur(sigma)).save(out, "PNG")
    return out.getvalue()


def test_two_blurred_photos_tighten_the_threshold_and_one_does_not(each_model: FaceEmbedder, examples: Path) -> None:
    blurry, sharp, other = (
        blurred(examples, "001-neutral", 8),
        photo(examples, "001-smiling"),
        blurred(examples, "001-smiling", 8),
    )
    both, one = each_model.verify(blurry, other), each_model.verify(blurry, sharp)
    level = both.operating_point.threshold
    assert both.threshold < one.threshold == level
    assert both.normalized_distance - both.distance == pytest.approx(level - both.threshold)
    assert "because both photos are blurred" in both.threshold_reason
    assert both.probe.grade.penalty > one.reference.grade.penalty == 0


def test_a_photo_that_is_too_poor_is_refused_unless_its_quality_is_to_be_ignored(
    embedder: FaceEmbedder, examples: Path
) -> None:
    hopeless, sharp = blurred(examples, "001-neutral", 30), photo(examples, "001-smiling")
    with pytest.raises(LowQuality) as caught:
        embedder.verify(hopeless, sharp)
    assert (caught.value.image, caught.value.measure) == ("probe", "sharpness")
    assert embedder.verify(hopeless, sharp, quality="ignore").probe.grade.is_too_poor


def test_a_poor_reference_keeps_its_place_and_costs_the_others_nothing(
    penalty_embedder: FaceEmbedder, examples: Path
) -> None:
    references = [blurred(examples, "001-smiling", 20), photo(examples, "001-smiling")]
    poor, good = penalty_embedder.verify_many(photo(examples, "001-neutral"), references).results
    assert isinstance(poor, LowQuality)
    assert (poor.image, good.same) == ("reference", True)


def test_an_unknown_choice_of_quality_is_a_value_error(embedder: FaceEmbedder) -> None:
    with pytest.raises(ValueError, match="refuse, ignore"):
        embedder.verify(b"", b"", quality="best")


def test_a_card_without_a_penalty_has_one_threshold_for_all_pairs_and_refuses_no_photo(
    bare_embedder: FaceEmbedder, examples: Path
) -> None:
    found = bare_embedder.verify(blurred(examples, "001-neutral", 20), blurred(examples, "001-smiling", 20))
    assert found.threshold == found.operating_point.threshold == bare_embedder.card.operating_points[1].threshold
    assert "for all pairs; this model has no penalty for poor photos" in found.threshold_reason
    assert (found.normalized_distance, found.probe.grade) == (None, None)
    assert found.probe.quality.sharpness < 0.2


def test_embeddings_of_another_model_are_refused(embedder: FaceEmbedder) -> None:
    with pytest.raises(DigestMismatch, match="embed the photo again"):
        embedder.compare(np.zeros(128), [np.zeros(128)], model_digest="sha256:" + "0" * 64)


def test_embeddings_that_the_model_cannot_make_are_not_compared(embedder: FaceEmbedder) -> None:
    good = np.full(128, 128**-0.5)
    for bad in (np.zeros(128), 0.9 * good, 1.1 * good):
        for pair in ((good, [good, bad]), (bad, [good])):
            with pytest.raises(ValueError, match="has a length of about 1, not"):
                embedder.compare(*pair, model_digest=embedder.identity.digest)


@pytest.mark.parametrize(
    ("facts", "made", "not_made"),
    [
        ({"unit_length": True, "mirror": False}, [0.99, 1.01], [0.0, 0.9, 1.1]),
        ({"unit_length": True, "mirror": True}, [0.6, 1.01], [0.0, 0.3, 1.1]),  # the mean of two of length 1
        ({"unit_length": False, "mirror": True}, [0.1, 9.0], []),
    ],
)
def test_the_length_of_an_embedding_follows_from_the_architecture(
    facts: dict[str, bool], made: list[float], not_made: list[float]
) -> None:
    network = Architecture(backbone="small", embedding_size=128, **facts)
    assert [each for each in made + not_made if network.makes_length(each)] == made


def test_an_embeddings_repr_does_not_show_it(embedder: FaceEmbedder, examples: Path) -> None:
    embedding = embedder.embed(photo(examples, "001-neutral"))
    assert embedding.vector.shape == (128,)
    assert "vector" not in repr(embedding)


def test_limits_hold_in_the_pipeline(examples: Path) -> None:
    with pytest.raises(ImageTooLarge):
        load(limits=Limits(max_bytes=1000)).embed(photo(examples, "001-neutral"))


def test_several_threads_get_the_answers_of_one(embedder: FaceEmbedder, examples: Path) -> None:
    images = [photo(examples, f"{person}-{mood}") for person in PEOPLE for mood in ("neutral", "smiling")]
    alone = [embedder.embed(image).vector for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: embedder.embed(image).vector, images))
    assert np.abs(np.stack(alone) - np.stack(together)).max() < 1e-5


def test_the_door_names_everything_it_lists_and_refuses_the_rest() -> None:
    assert all(getattr(door, name) is not None for name in door.__all__)
    assert set(door.__all__) <= set(dir(door))
    with pytest.raises(AttributeError, match="vectors"):
        _ = door.vectors


def test_naming_the_door_loads_no_torch() -> None:
    code = "import sys, embedder; from embedder import Face, NoFace; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
