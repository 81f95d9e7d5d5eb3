"""Which photos may be enrolled as one person, and what is said of those that may not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from covered_photos import covered_photo
from hypothesis import given, strategies as st
from PIL import Image, ImageFilter

from embedder import Embedding, FaceEmbedder, ModelCard, NoFace, OperatingPointUnavailable, SampleError, read_bundle
from gallery import AlreadyEnrolled, AnotherPerson, EnrolmentRefused
from gallery.enrolment import (
    MOST_TURN,
    Enrollee,
    EnrolmentDecision,
    EnrolmentRules,
    _groups,
    decide_enrolment,
    enrolment_rules,
)

PEOPLE = "001", "005", "021", "041"
TURNED = "David_Beckham/David_Beckham_0024.jpg", "George_Allen/George_Allen_0001.jpg"
MANY_OF_ONE = "Jennifer_Lopez"

Embed = Callable[..., list[Embedding | SampleError]]


@dataclass(frozen=True)
class Hit:
    person: str
    template: str
    distance: float
    normalized_distance: float


class Enrolled:
    """Templates in a list, compared one by one."""

    def __init__(self, rules: EnrolmentRules) -> None:
        self._rules, self._templates = rules, list[tuple[str, Embedding]]()

    def add(self, person: str, *photos: Embedding | SampleError) -> "Enrolled":
        self._templates += [(person, each) for each in photos if isinstance(each, Embedding)]
        return self

    def find(self, photo: Embedding) -> list[Hit]:
        hits = []
        for place, (person, template) in enumerate(self._templates):
            distance = float(np.linalg.norm(photo.vector.astype(float) - template.vector.astype(float)))
            penalty = self._rules.pair_penalties([photo, template])[0, 1]
            hits.append(Hit(person, str(place), distance, distance + penalty))
        return [hit for hit in hits if hit.normalized_distance < self._rules.one_person.threshold]


@pytest.fixture(scope="session")
def rules(embedder: FaceEmbedder) -> EnrolmentRules:
    return enrolment_rules(embedder.card)


@pytest.fixture(scope="session")
def photos(examples: Path, embedder: FaceEmbedder) -> dict[str, Embedding]:
    """Embeddings of the example photos by their names, such as 001-neutral."""
    return {path.stem: embedder.embed(path.read_bytes()) for path in sorted(examples.glob("*.jpg"))}


def embedded(embedder: FaceEmbedder, *images: bytes, face: str = "only") -> list[Embedding | SampleError]:
    results = embedder.embed_many(images, face=face).results
    return [each if isinstance(each, SampleError) else each[0] for each in results]


def jpeg(picture: Image.Image, **options: int) -> bytes:
    file = BytesIO()
    picture.convert("RGB").save(file, "JPEG", **options)
    return file.getvalue()


def decided(
    rules: EnrolmentRules,
    photos: Sequence[Embedding | SampleError],
    enrolled: Enrolled | None = None,
    *,
    has_templates: bool = False,
    allow_duplicate: bool = False,
) -> EnrolmentDecision:
    find = (enrolled or Enrolled(rules)).find
    return decide_enrolment(Enrollee("alice", has_templates, allow_duplicate), dict(enumerate(photos)), rules, find)


def refused(
    rules: EnrolmentRules,
    photos: Sequence[Embedding | SampleError],
    enrolled: Enrolled | None = None,
    *,
    has_templates: bool = False,
) -> EnrolmentRefused:
    with pytest.raises(EnrolmentRefused) as caught:
        decided(rules, photos, enrolled, has_templates=has_templates)
    assert caught.value.photo == caught.value.refusals[0].photo
    return caught.value


def test_photos_of_one_person_all_become_templates(rules: EnrolmentRules, photos: dict[str, Embedding]) -> None:
    for person in PEOPLE:
        decision = decided(rules, [photos[f"{person}-neutral"], photos[f"{person}-smiling"]])
        assert decision == EnrolmentDecision((0, 1), {}, {})


def test_of_two_people_neither_is_enrolled_since_either_may_be_meant(
    rules: EnrolmentRules, photos: dict[str, Embedding]
) -> None:
    for one, other in combinations(PEOPLE, 2):
        error = refused(rules, [photos[f"{one}-neutral"], photos[f"{other}-neutral"]])
        assert isinstance(error, AnotherPerson)
        assert [(each.photo, each.code) for each in error.refusals] == [(0, "another_person"), (1, "another_person")]
        assert "its distance to the nearest, photos[1], is 1." in str(error)


def test_a_photo_of_another_person_than_most_is_refused_by_its_place(
    rules: EnrolmentRules, photos: dict[str, Embedding]
) -> None:
    error = refused(rules, [photos["001-neutral"], photos["005-neutral"], photos["001-smiling"]])
    assert isinstance(error, AnotherPerson)
    assert [each.photo for each in error.refusals] == [1]
    assert str(error).startswith("photos[1]: it does not show the person of the other photos")


def test_a_copy_of_a_photo_does_not_make_its_person_the_one_of_most_photos(
    rules: EnrolmentRules, photos: dict[str, Embedding]
) -> None:
    error = refused(rules, [photos["001-neutral"], photos["001-neutral"], photos["005-neutral"]])
    assert [each.photo for each in error.refusals] == [0, 1, 2]


def test_a_photo_must_show_the_person_who_is_enrolled(rules: EnrolmentRules, photos: dict[str, Embedding]) -> None:
    enrolled = Enrolled(rules).add("alice", photos["001-neutral"])
    assert decided(rules, [photos["001-smiling"]], enrolled, has_templates=True).new == (0,)
    error = refused(rules, [photos["005-neutral"], photos["005-smiling"]], enrolled, has_templates=True)
    assert isinstance(error, AnotherPerson)
    assert [each.photo for each in error.refusals] == [0, 1]
    assert "no distance to the person's templates is below 1.080 (fmr-1e-3)" in str(error)
    assert str(error).endswith("refused as well: 1 more of the photos")


def test_one_who_is_enrolled_as_somebody_else_is_named_unless_the_caller_insists(
    rules: EnrolmentRules, photos: dict[str, Embedding]
) -> None:
    enrolled = Enrolled(rules).add("bob", photos["001-neutral"]).add("carol", photos["005-neutral"])
    error = refused(rules, [photos["001-smiling"]], enrolled)
    assert isinstance(error, AlreadyEnrolled)
    assert [each.person for each in error.refusals] == ["bob"]
    assert "enrolled as 'bob'" in str(error)
    assert decided(rules, [photos["001-smiling"]], enrolled, allow_duplicate=True).new == (0,)


def test_somebody_who_resembles_fewer_than_half_of_the_photos_is_no_duplicate(
    data: Path, embedder: FaceEmbedder, rules: EnrolmentRules
) -> None:
    paths = sorted((data / "lfw-view1" / "lfw" / MANY_OF_ONE).glob("*.jpg"))
    photos = embedded(embedder, *(path.read_bytes() for path in paths), face="center")
    places = {id(photo): place for place, photo in enumerate(photos)}
    for n_alike in range(1, len(photos) + 1):

        def find(photo: Embedding, n_alike: int = n_alike) -> list[Hit]:
            hits = [Hit("bob", "1", 0.9, 0.9), Hit("carol", "2", 1.05, 1.05)]
            return hits if places[id(photo)] < n_alike else hits[1:]

        enrollee = Enrollee("alice", has_templates=False)
        if 2 * n_alike < len(photos):
            assert decide_enrolment(enrollee, dict(enumerate(photos)), rules, find).new == tuple(range(len(photos)))
            continue
        with pytest.raises(AlreadyEnrolled) as caught:
            decide_enrolment(enrollee, dict(enumerate(photos)), rules, find)
        assert [(each.photo, each.person) for each in caught.value.refusals] == [(k, "bob") for k in range(n_alike)]


def test_insisting_on_a_duplicate_does_not_mix_two_people(rules: EnrolmentRules, photos: dict[str, Embedding]) -> None:
    pair = photos["001-neutral"], photos["005-neutral"]
    with pytest.raises(AnotherPerson):
        decided(rules, pair, Enrolled(rules).add("bob", photos["001-smiling"]), allow_duplicate=True)


def test_a_photo_of_the_wrong_person_who_is_enrolled_is_refused_for_both_reasons(
    rules: EnrolmentRules, photos: dict[str, Embedding]
) -> None:
    enrolled = Enrolled(rules).add("alice", photos["001-neutral"]).add("bob", photos["005-neutral"])
    error = refused(rules, [photos["001-smiling"], photos["005-smiling"]], enrolled, has_templates=True)
    assert [(each.photo, each.code, each.person) for each in error.refusals] == [
        (1, "another_person", None),
        (1, "already_enrolled", "bob"),
    ]


def test_copies_of_a_photo_are_no_further_templates(
    rules: EnrolmentRules, examples: Path, embedder: FaceEmbedder, photos: dict[str, Embedding]
) -> None:
    path = examples / "001-neutral.jpg"
    copies = embedded(embedder, path.read_bytes(), jpeg(Image.open(path), quality=85))
    given = [photos["001-neutral"], photos["001-smiling"], *copies]
    assert decided(rules, given) == EnrolmentDecision((0, 1), {2: 0, 3: 0}, {})
    enrolled = Enrolled(rules).add("alice", photos["001-smiling"], photos["001-neutral"])
    assert decided(rules, copies, enrolled, has_templates=True) == EnrolmentDecision((), {}, {0: "1", 1: "1"})


def test_other_photos_of_a_person_are_no_copies(data: Path, embedder: FaceEmbedder, rules: EnrolmentRules) -> None:
    paths = sorted((data / "lfw-view1" / "lfw" / MANY_OF_ONE).glob("*.jpg"))
    decision = decided(rules, embedded(embedder, *(path.read_bytes() for path in paths), face="center"))
    assert decision.new == tuple(range(len(paths)))


def test_every_photo_that_is_unfit_is_named_with_the_reason(
    data: Path, examples: Path, embedder: FaceEmbedder, rules: EnrolmentRules
) -> None:
    path = examples / "001-neutral.jpg"
    group = next(each for each in sorted((data / "groups").glob("*.jpg")))
    images = {
        "": path.read_bytes(),
        "not_an_image": b"no image",
        "no_face": jpeg(Image.new("RGB", (300, 300), "grey")),
        "several_faces": group.read_bytes(),
        "face_covered": covered_photo(embedder, path, "masks"),
    }
    error = refused(rules, embedded(embedder, *images.values()))
    assert [(each.photo, each.code) for each in error.refusals] == list(enumerate(images))[1:]
    assert type(error) is EnrolmentRefused
    assert str(error).startswith("photos[1]: ")


def test_a_photo_that_is_too_poor_for_the_card_is_refused(examples: Path, penalty_embedder: FaceEmbedder) -> None:
    rules = enrolment_rules(penalty_embedder.card)
    picture = Image.open(examples / "001-neutral.jpg")
    (photo,) = embedded(penalty_embedder, jpeg(picture.filter(ImageFilter.GaussianBlur(8))))
    error = refused(rules, [photo])
    assert [each.code for each in error.refusals] == ["low_quality"]
    assert "sharpness is 0.1" in str(error)
    assert "must be at least 0.17" in str(error)


def test_refused_photos_may_be_left_out(rules: EnrolmentRules, photos: dict[str, Embedding]) -> None:
    stranger, error = photos["005-neutral"], NoFace()
    given = dict(enumerate([stranger, photos["001-neutral"], error, photos["001-smiling"], photos["001-neutral"]]))
    enrollee = Enrollee("alice", has_templates=False, skip_refused=True)
    decision = decide_enrolment(enrollee, given, rules, Enrolled(rules).find)
    assert (decision.new, decision.copies) == ((1, 3), {4: 1})
    assert [(each.photo, each.code) for each in decision.refusals] == [(0, "another_person"), (2, "no_face")]
    with pytest.raises(AnotherPerson, match="refused as well: 2 more") as caught:
        decide_enrolment(enrollee, {0: stranger, 1: photos["001-neutral"], 2: error}, rules, Enrolled(rules).find)
    assert [each.photo for each in caught.value.refusals] == [0, 1, 2]


def test_a_head_that_is_turned_too_far_is_refused(data: Path, embedder: FaceEmbedder, rules: EnrolmentRules) -> None:
    images = [(data / "lfw-view1" / "lfw" / name).read_bytes() for name in TURNED]
    error = refused(rules, embedded(embedder, *images, face="center"))
    assert [each.code for each in error.refusals] == ["face_turned"] * len(TURNED)
    (photo,) = embedded(embedder, images[0], face="center")
    assert isinstance(photo, Embedding)
    quality = replace(photo.sample.quality, turn=-MOST_TURN)
    assert decided(rules, [replace(photo, sample=replace(photo.sample, quality=quality))]).new == (0,)


def test_a_pair_has_the_penalty_that_verify_gives_it(
    embedder: FaceEmbedder, examples: Path, rules: EnrolmentRules
) -> None:
    sharp = (examples / "001-neutral.jpg").read_bytes()
    blurred = [
        jpeg(Image.open(examples / f"{name}.jpg").filter(ImageFilter.GaussianBlur(5))) for name in PHOTOS_TO_BLUR
    ]
    images = [sharp, *blurred]
    photos = [embedder.embed(each) for each in images]
    penalties = rules.pair_penalties(photos)
    assert penalties[1, 2] > 0.01
    for one, other in combinations(range(len(images)), 2):
        found = embedder.verify(images[one], images[other])
        assert found.normalized_distance is not None
        assert penalties[one, other] == pytest.approx(found.normalized_distance - found.distance, abs=1e-9)
        assert penalties[other, one] == penalties[one, other]


PHOTOS_TO_BLUR = "001-smiling", "005-neutral"


def test_the_thresholds_are_those_of_the_cards_points() -> None:
    rules = enrolment_rules(read_bundle().card)
    assert (rules.one_person.name, rules.already_enrolled.name) == ("fmr-1e-3", "fmr-1e-5")


def test_a_card_without_a_point_that_strict_gives_its_strictest() -> None:
    card = read_bundle().card
    rules = enrolment_rules(with_points(card, 3))
    assert rules.already_enrolled.name == "fmr-1e-4"
    with pytest.raises(OperatingPointUnavailable):
        enrolment_rules(with_points(card, 0))


def with_points(card: ModelCard, n: int) -> ModelCard:
    facts = {"operating_points": card.operating_points[:n], "default_point": card.default_point if n else None}
    return card.model_validate(dict(card) | facts)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0, 0.5))
def test_photos_are_one_group_exactly_if_a_chain_of_matches_joins_them(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    links, is_linked = rng.random((n, n)) < share / 2, rng.random(n) < share
    links = links | links.T | np.eye(n, dtype=bool)
    groups = _groups(links, is_linked)
    for start in range(n):
        reached, waiting = {start}, [start]
        while waiting:
            place = waiting.pop()
            nexts = {k for k in range(n) if links[place, k] or (is_linked[place] and is_linked[k])} - reached
            reached |= nexts
            waiting += nexts
        assert set(np.flatnonzero(groups[start])) == reached
