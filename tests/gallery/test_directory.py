"""Galleries with the real model and a real store: enrol, identify, verify, forget, by one or several at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from odd_images import blurred, plain, two_faces

from embedder import Deadline, DeadlineExceeded, FaceEmbedder, LowQuality, NoFace, use_deadline
from gallery import (
    AlreadyEnrolled,
    AnotherPerson,
    ClaimUnavailable,
    EnrolmentRefused,
    Galleries,
    IdempotencyConflict,
    NoSuchGallery,
    NoSuchPerson,
    NoSuchTemplate,
    PersonFacts,
    Store,
    open_store,
)

PEOPLE = "001", "005", "021", "041"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_again(url: str, clock: Clock) -> Iterator[Callable[[], Store]]:
    """Opens the test's store, as another process would do it."""
    opened = list[Store]()

    def open_it() -> Store:
        opened.append(open_store(url, now=clock))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.fixture
def galleries(open_again: Callable[[], Store], embedder: FaceEmbedder) -> Galleries:
    """Galleries of a new store, in which there is one, called staff."""
    made = Galleries(open_again(), embedder)
    made.create_gallery("staff")
    return made


@pytest.fixture
def photo(examples: Path) -> Callable[[str], bytes]:
    return lambda name: (examples / f"{name}.jpg").read_bytes()


Photo = Callable[[str], bytes]


def found(galleries: Galleries, image: bytes) -> str | None:
    (face,) = galleries.identify("staff", image).faces
    return face.identification.match and face.identification.match.person


def test_everybody_enrolled_is_found_on_another_photo_and_nobody_else(galleries: Galleries, photo: Photo) -> None:
    for person in PEOPLE[1:]:
        enrolment = galleries.enrol("staff", person, [photo(f"{person}-neutral")], request_id="r-1")
        assert (len(enrolment.added), enrolment.already_there) == (1, ())
        (template,) = enrolment.person.templates
        assert (template.id, template.request_id) == (enrolment.added[0], "r-1")
    assert [found(galleries, photo(f"{person}-smiling")) for person in PEOPLE] == [None, *PEOPLE[1:]]


def test_a_gallery_that_is_missing_is_told_before_photos_are_read(galleries: Galleries) -> None:
    with pytest.raises(NoSuchGallery, match="create it first"):
        galleries.enrol("visitors", "alice", [b"no image"])
    with pytest.raises(NoSuchGallery):
        galleries.identify("visitors", b"no image")


def test_a_refused_request_leaves_nothing(galleries: Galleries, photo: Photo) -> None:
    version = galleries.gallery("staff").version
    with pytest.raises(AnotherPerson):
        galleries.enrol("staff", "alice", [photo("001-neutral"), photo("005-neutral")], facts=PersonFacts("a note"))
    with pytest.raises(EnrolmentRefused, match=r"photos\[1\]"):
        galleries.enrol("staff", "alice", [photo("001-neutral"), b"no image"])
    with pytest.raises(NoSuchPerson):
        galleries.person("staff", "alice")
    assert galleries.gallery("staff").version == version
    with pytest.raises(ValueError, match="no photo"):
        galleries.enrol("staff", "alice", [])


def test_photos_are_compared_with_those_enrolled_before(galleries: Galleries, photo: Photo) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    with pytest.raises(AnotherPerson):
        galleries.enrol("staff", "alice", [photo("005-neutral")])
    with pytest.raises(AlreadyEnrolled, match="'alice'"):
        galleries.enrol("staff", "bob", [photo("001-smiling")])
    assert len(galleries.enrol("staff", "alice", [photo("001-smiling")]).person.templates) == 2
    assert galleries.enrol("staff", "twin", [photo("001-smiling")], allow_duplicate=True).added


def test_the_same_photos_again_are_there_already(galleries: Galleries, photo: Photo) -> None:
    photos = [photo("001-neutral"), photo("001-smiling")]
    first = galleries.enrol("staff", "alice", photos)
    again = galleries.enrol("staff", "alice", photos)
    assert (again.added, again.already_there) == ((), first.added)
    assert again.person == first.person
    with_facts = galleries.enrol("staff", "alice", photos[:1], facts=PersonFacts("a note"))
    assert with_facts.person.facts.note == "a note"
    assert with_facts.person.templates == first.person.templates


def test_a_repeated_request_with_its_key_has_the_answer_of_the_first(galleries: Galleries, photo: Photo) -> None:
    photos = [photo("001-neutral"), photo("001-smiling")]
    first = galleries.enrol("staff", "alice", photos, idempotency="key", request_id="r-1")
    assert galleries.enrol("staff", "alice", photos, idempotency="key", request_id="r-2") == first
    for other in ({"photos": photos[:1]}, {"person": "bob"}, {"face": "largest"}, {"allow_duplicate": True}):
        with pytest.raises(IdempotencyConflict):
            galleries.enrol(**({"gallery": "staff", "person": "alice", "photos": photos, "idempotency": "key"} | other))  # type: ignore[arg-type] # keywords of several types


def test_replicas_see_each_others_writes(
    galleries: Galleries, open_again: Callable[[], Store], embedder: FaceEmbedder, photo: Photo
) -> None:
    other = Galleries(open_again(), embedder)
    assert found(other, photo("001-smiling")) is None
    (template,) = galleries.enrol("staff", "alice", [photo("001-neutral")]).added
    assert found(other, photo("001-smiling")) == "alice"
    other.enrol("staff", "bob", [photo("005-neutral")])
    assert found(galleries, photo("005-smiling")) == "bob"
    galleries.forget_person("staff", "bob")
    assert found(other, photo("005-smiling")) is None
    other.forget_template("staff", "alice", template)
    assert found(galleries, photo("001-smiling")) is None
    galleries.forget_gallery("staff")
    with pytest.raises(NoSuchGallery):
        found(other, photo("001-smiling"))
    galleries.create_gallery("staff")
    assert found(other, photo("001-smiling")) is None


def test_who_has_expired_is_not_found_and_does_not_stand_before_others(
    galleries: Galleries, clock: Clock, photo: Photo
) -> None:
    until = PersonFacts(forget_at=clock.now + timedelta(days=1))
    galleries.enrol("staff", "guest", [photo("001-neutral"), photo("001-smiling")], facts=until)
    galleries.enrol("staff", "bob", [photo("005-neutral")])
    assert found(galleries, photo("001-smiling")) == "guest"
    clock.now += timedelta(days=1)
    (face,) = galleries.identify("staff", photo("001-smiling"), limit=1).faces
    assert [each.person for each in face.identification.candidates] == ["bob"]
    assert face.identification.match is None
    assert galleries.enrol("staff", "alice", [photo("001-neutral")]).added
    assert galleries.forget_expired(clock.now)[0].n_templates == 2
    assert found(galleries, photo("001-smiling")) == "alice"


def test_verify_decides_by_the_nearest_template_as_verify_of_its_photo(
    galleries: Galleries, embedder: FaceEmbedder, photo: Photo
) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    (second,) = galleries.enrol("staff", "alice", [photo("001-smiling")]).added
    compared = galleries.verify("staff", "alice", photo("001-smiling"), operating_point="fmr-1e-4", prior=0.2)
    assert compared.template == second
    expected = embedder.verify(photo("001-smiling"), photo("001-smiling"), operating_point="fmr-1e-4", prior=0.2)
    assert compared.judgement.threshold == expected.threshold
    assert compared.judgement.distance == pytest.approx(expected.distance, abs=1e-6)
    assert compared.judgement.probability == pytest.approx(expected.probability)
    assert compared.operating_point == expected.operating_point
    assert not galleries.verify("staff", "alice", photo("005-neutral")).judgement.same
    with pytest.raises(NoSuchPerson):
        galleries.verify("staff", "bob", photo("001-smiling"))


def test_templates_of_another_model_are_kept_and_never_compared(
    galleries: Galleries, open_again: Callable[[], Store], dlib: FaceEmbedder, photo: Photo
) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    other = Galleries(open_again(), dlib)
    assert found(other, photo("001-smiling")) is None
    with pytest.raises(NoSuchTemplate, match="no template of this model"):
        other.verify("staff", "alice", photo("001-smiling"))
    other.enrol("staff", "alice", [photo("001-neutral")])
    assert found(other, photo("001-smiling")) == "alice"
    digests = {each.model_digest for each in galleries.person("staff", "alice").templates}
    assert digests == {galleries.embedder.identity.digest, dlib.identity.digest}


def test_every_face_of_a_picture_is_identified(galleries: Galleries, photo: Photo) -> None:
    (face,) = galleries.identify("staff", photo("001-neutral"), face="all").faces
    assert face.identification.claim is None
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    answer = galleries.identify("staff", two_faces(), face="all")
    assert [each.sample.n_faces for each in answer.faces] == [2, 2]
    assert [len(each.identification.candidates) for each in answer.faces] == [1, 1]
    assert answer.model == galleries.embedder.identity
    with pytest.raises(NoFace):
        galleries.identify("staff", plain())


def test_the_search_for_all_faces_ends_when_nobody_waits_for_it(
    galleries: Galleries, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries.enrol("staff", "p1", [photo("001-neutral")])
    deadline, found_for = Deadline(60), list[Sequence[str]]()
    people_of = galleries.store.people_of

    def leaving(gallery: str, templates: Sequence[str]) -> dict[str, str]:
        found_for.append(templates)
        deadline.cancel()
        return people_of(gallery, templates)

    monkeypatch.setattr(galleries.store, "people_of", leaving)
    with use_deadline(deadline), pytest.raises(DeadlineExceeded):
        galleries.identify("staff", two_faces(), face="all")
    assert len(found_for) == 1


def test_a_face_that_is_too_poor_is_refused_and_among_all_has_no_candidates(
    open_again: Callable[[], Store], penalty_embedder: FaceEmbedder, photo: Photo
) -> None:
    galleries = Galleries(open_again(), penalty_embedder)
    galleries.create_gallery("staff")
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    with pytest.raises(LowQuality):
        galleries.identify("staff", blurred(8))
    (face,) = galleries.identify("staff", blurred(8), face="all").faces
    assert (face.identification.candidates, face.identification.claim) == ((), None)
    (face,) = galleries.identify("staff", photo("001-smiling"), face="all").faces
    assert len(face.identification.candidates) == 1


def test_a_claim_that_the_card_does_not_carry_is_refused(galleries: Galleries, photo: Photo) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    with pytest.raises(ClaimUnavailable):
        galleries.identify("staff", photo("001-smiling"), fpir=1e-9)


def test_of_two_that_enrol_one_face_at_once_only_one_succeeds(
    galleries: Galleries, open_again: Callable[[], Store], embedder: FaceEmbedder, photo: Photo
) -> None:
    replicas = [galleries, Galleries(open_again(), embedder)]

    def enrolled(number: int) -> bool:
        try:
            replicas[number % 2].enrol("staff", f"person {number}", [photo("001-neutral")])
        except AlreadyEnrolled:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(enrolled, range(8)))
    assert sum(outcomes) == 1
    assert galleries.gallery("staff").n_people == 1
