"""Galleries with the real model and a real store: enrol, identify, verify, forget, by one or several at once."""

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from odd_images import blurred, plain, two_faces
from postgres_server import new_database
from set_clock import Clock
from stored_templates import new_template

from embedder import Deadline, DeadlineExceeded, FaceEmbedder, LowQuality, NoFace, use_deadline
from gallery import (
    AlreadyEnrolled,
    AnotherPerson,
    ClaimUnavailable,
    Consent,
    EnrolmentRefused,
    Galleries,
    GallerySearch,
    GalleryTooLarge,
    IdempotencyConflict,
    NoSuchGallery,
    NoSuchPerson,
    NoSuchTemplate,
    Person,
    PersonFacts,
    Store,
    open_store,
)

PEOPLE = "001", "005", "021", "041"


@pytest.fixture(params=["sqlite", "postgres"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Store]]:
    """Opens the test's store, as another process would do it: a store of each kind, and one that pgvector searches."""
    is_file, opened = request.param == "sqlite", list[Store]()
    url = f"sqlite:///{tmp_path}/gallery.db" if is_file else new_database(request.getfixturevalue("postgres"))
    search: GallerySearch = "pgvector" if request.param == "pgvector" else "memory"

    def open_it() -> Store:
        opened.append(open_store(url, search=search, now=clock))
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
IN_EACH_WAY = pytest.mark.parametrize("open_again", ["sqlite", "postgres", "pgvector"], indirect=True)


def found(galleries: Galleries, image: bytes) -> str | None:
    (face,) = galleries.identify("staff", image).faces
    return face.identification.match and face.identification.match.person


@IN_EACH_WAY
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


@IN_EACH_WAY
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


def test_facts_that_are_left_out_stay(galleries: Galleries, clock: Clock, photo: Photo) -> None:
    consent, until = Consent("form 7", date(2026, 11, 28)), clock.now + timedelta(days=9)
    galleries.enrol("staff", "alice", [photo("001-neutral")], facts=PersonFacts("north", consent, until))
    for note, n_new in (("south", 1), ("west", 0)):  # the same photo again is no new template
        enrolment = galleries.enrol("staff", "alice", [photo("001-smiling")], facts=PersonFacts(note))
        assert (len(enrolment.added), enrolment.person.facts) == (n_new, PersonFacts(note, consent, until))
    clock.now = until
    assert galleries.enrol("staff", "alice", [photo("001-neutral")]).person.facts == PersonFacts()  # somebody new


def test_a_late_repetition_enrols_nobody_anew_if_the_photos_were_there(galleries: Galleries, photo: Photo) -> None:
    photos = [photo("001-neutral")]
    first = galleries.enrol("staff", "alice", photos)
    again = galleries.enrol("staff", "alice", photos, idempotency="key")
    assert (again.person, again.already_there) == (first.person, first.added)
    galleries.enrol("staff", "alice", [photo("001-smiling")])
    repeated = galleries.enrol("staff", "alice", photos, idempotency="key")
    assert (repeated.added, repeated.already_there) == ((), first.added)
    galleries.forget_person("staff", "alice")
    with pytest.raises(IdempotencyConflict, match="forgotten"):
        galleries.enrol("staff", "alice", photos, idempotency="key")
    assert galleries.people("staff", limit=1) == []


def test_who_expires_while_photos_are_compared_is_enrolled_as_somebody_new(
    galleries: Galleries, clock: Clock, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = clock.now + timedelta(days=1)
    photos = [photo("001-neutral")]
    first = galleries.enrol("staff", "alice", photos, facts=PersonFacts("a guest", forget_at=until))
    confirm = galleries.store.confirm_templates

    def confirm_too_late(*args: Any, **options: Any) -> Person:
        clock.now = until
        return confirm(*args, **options)

    monkeypatch.setattr(galleries.store, "confirm_templates", confirm_too_late)
    anew = galleries.enrol("staff", "alice", photos, facts=PersonFacts("a guest again"))
    assert (len(anew.added), anew.already_there) == (1, ())
    assert anew.added != first.added
    assert anew.person.facts == PersonFacts("a guest again")


@IN_EACH_WAY
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


@IN_EACH_WAY
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


@IN_EACH_WAY
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


@IN_EACH_WAY
def test_the_memory_that_a_gallery_needs_is_asked_for_before_it_is_read(
    galleries: Galleries, open_again: Callable[[], Store], embedder: FaceEmbedder, photo: Photo
) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    store = open_again()
    small = Galleries(store, embedder, free_bytes=lambda: 500)
    if store.search == "pgvector":
        assert found(small, photo("001-smiling")) == "alice"
        return
    with pytest.raises(GalleryTooLarge, match="1 templates need 0 MiB of memory, and 0 MiB are left"):
        small.identify("staff", photo("001-smiling"))
    assert found(Galleries(store, embedder, free_bytes=lambda: 1_000), photo("001-smiling")) == "alice"


@pytest.mark.parametrize("open_again", ["sqlite"], indirect=True)
def test_one_gallery_that_is_too_large_keeps_no_other_one_from_being_read(
    galleries: Galleries, open_again: Callable[[], Store], embedder: FaceEmbedder, photo: Photo
) -> None:
    galleries.create_gallery("visitors")
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    small = Galleries(open_again(), embedder, free_bytes=lambda: 500)
    with pytest.raises(GalleryTooLarge):
        small.load()
    assert list(small._replicas) == ["visitors"]


@pytest.mark.parametrize("open_again", ["sqlite"], indirect=True)
def test_what_was_in_memory_makes_place_for_a_gallery_that_must_be_read_anew(
    galleries: Galleries, open_again: Callable[[], Store], embedder: FaceEmbedder, photo: Photo
) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    indexed = weakref.ref(galleries._replicas["staff"]._index)
    galleries._replicas["staff"]._free_bytes = lambda: None if indexed() is None else 0
    galleries._free_bytes = galleries._replicas["staff"]._free_bytes
    other = open_again()
    other.forget_gallery("staff")
    other.create_gallery("staff")
    Galleries(other, embedder).enrol("staff", "bob", [photo("001-neutral")])
    with pytest.raises(GalleryTooLarge):
        galleries.identify("staff", photo("001-smiling"))
    gc.collect()  # the traceback
    assert found(galleries, photo("001-smiling")) == "bob"


@IN_EACH_WAY
def test_reading_a_gallery_stops_at_the_deadline_and_goes_on_at_the_next_request(
    open_again: Callable[[], Store], embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.store.BLOCK_SIZE", 2)
    store = open_again()
    store.create_gallery("staff")
    digest = embedder.identity.digest
    store.add_templates("staff", "bob", [replace(new_template(n), model_digest=digest) for n in range(1, 6)])
    galleries, n_stopped = Galleries(store, embedder), 0
    with use_deadline(Deadline(0)):
        for _ in range(10):
            try:
                galleries.load()
            except DeadlineExceeded:
                n_stopped += 1
    assert n_stopped == 3  # after each of the three blocks


def test_forgetting_gives_its_receipt_although_the_deadline_is_over(galleries: Galleries, photo: Photo) -> None:
    galleries.enrol("staff", "alice", [photo("001-neutral")])
    with galleries._replicas["staff"]._refreshing, use_deadline(Deadline(0.2)):
        assert galleries.forget_person("staff", "alice").n_templates == 1
    assert found(galleries, photo("001-smiling")) is None


def test_an_enrolment_that_waits_for_another_ends_when_its_client_leaves(galleries: Galleries, photo: Photo) -> None:
    deadline = Deadline(60)

    def enrol() -> None:
        with use_deadline(deadline):
            galleries.enrol("staff", "alice", [photo("001-neutral")])

    with ThreadPoolExecutor(1) as pool, galleries._enrolling:
        enrolling = pool.submit(enrol)
        deadline.cancel()
        with pytest.raises(DeadlineExceeded):
            enrolling.result(20)
    with pytest.raises(NoSuchPerson):
        galleries.person("staff", "alice")
