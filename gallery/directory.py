"""Galleries: people in a store, with the model that recognises them. What the service and the command use."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from threading import Lock
from time import perf_counter
from typing import TypedDict, Unpack

from embedder import (
    ALL_FACES,
    DeadlineExceeded,
    Embedding,
    FaceEmbedder,
    FaceSelector,
    SampleError,
    VerifyKeywords,
    VerifyOptions,
    begin_step,
    check_deadline,
    holding,
    require_quality,
)

from .enrolment import Enrollee, EnrolmentDecision, decide_enrolment, enrolment_rules
from .errors import (
    GalleryError,
    GalleryTooLarge,
    NoSuchGallery,
    NoSuchPerson,
    PhotoRefusal,
    StoreUnavailable,
    VersionConflict,
)
from .identification import DEFAULT_FPIR, DEFAULT_LIMIT, NOBODY, IdentifyOptions
from .replica import GalleryReplica, unknown_memory
from .store import Store
from .types import (
    Enrolment,
    IdempotencyKey,
    Identification,
    Identified,
    IdentifiedFace,
    NewTemplate,
    Person,
    PersonFacts,
    Receipt,
)
from .verification import PersonComparison, compare_with_person

BATCH = 64  # photos that are embedded at a time
NO_FACTS = PersonFacts()
ATTEMPTS = 50  # at an enrolment; each but the first follows a write of another process to the gallery


class EnrolKeywords(TypedDict, total=False):
    """The keywords of an enrolment; see `EnrolmentRequest`."""

    face: FaceSelector
    allow_duplicate: bool
    skip_refused: bool
    facts: PersonFacts
    request_id: str | None
    idempotency: str | None


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """Photos to be enrolled as one person, all or none."""

    gallery: str
    person: str  # the caller's id
    photos: Sequence[bytes]
    face: FaceSelector = "only"  # selects the face in a photo that shows several
    allow_duplicate: bool = False  # whether a photo may show somebody who is enrolled as another person
    skip_refused: bool = False  # whether to leave out refused photos, instead of refusing all
    facts: PersonFacts = NO_FACTS  # are written with the photos; those that are None stay as they are
    request_id: str | None = None  # is kept with the templates
    idempotency: str | None = None  # a key; a later request with the same one enrols nothing, and has the same answer

    def key(self) -> IdempotencyKey | None:
        """The key with what distinguishes the request from others, but no answer yet."""
        if self.idempotency is None:
            return None
        photos = [sha256(each).hexdigest() for each in self.photos]
        facts = [
            self.gallery,
            self.person,
            str(self.face),
            self.allow_duplicate,
            self.skip_refused,
            repr(self.facts),
            photos,
        ]
        return IdempotencyKey(self.idempotency, json.dumps(facts).encode(), lambda _: "")


class Galleries:
    """The galleries of a store, and the model that they are used with. All methods block and are thread-safe.

    Templates that another model has made are kept, but never compared; `person` tells of which model each is. Searches
    see what any process has written until then. `free_bytes` tells how much memory is left, None if nobody knows.
    """

    def __init__(
        self, store: Store, embedder: FaceEmbedder, free_bytes: Callable[[], int | None] = unknown_memory
    ) -> None:
        self.store, self.embedder, self._free_bytes = store, embedder, free_bytes
        self._rules = enrolment_rules(embedder.card)
        self._digest = embedder.identity.digest
        self._replicas = dict[str, GalleryReplica]()
        self._enrolling = Lock()
        # The store's own methods, which need no model.
        self.create_gallery, self.gallery, self.galleries = store.create_gallery, store.gallery, store.galleries
        self.put_person, self.person, self.people = store.put_person, store.person, store.people

    def load(self) -> None:
        """Read the templates of all galleries into memory, as else the first search in each one does.

        Raises GalleryTooLarge, after all the others are read.
        """
        too_large: GalleryTooLarge | None = None
        for each in self.store.galleries():
            try:
                self._replica(each.name)
            except NoSuchGallery:  # forgotten meanwhile
                continue
            except GalleryTooLarge as error:
                too_large = error
        if too_large is not None:
            raise too_large

    def close(self) -> None:
        """Drop all templates from memory. The store stays open."""
        self._replicas.clear()

    def enrol(
        self,
        gallery: str,
        person: str,
        photos: Sequence[bytes],
        **options: Unpack[EnrolKeywords],
    ) -> Enrolment:
        """Enrol photos of a person, who is created if missing: all of them or none. The keywords: `EnrolmentRequest`.

        Raises EnrolmentRefused, NoSuchGallery, GalleryTooLarge, IdempotencyConflict.
        """
        if not photos:
            raise ValueError("there is no photo to enrol")
        request = EnrolmentRequest(gallery, person, photos, **options)
        key = request.key()
        remembered = None if key is None else self.store.remembered_answer(gallery, key)
        if remembered is not None:
            return self._earlier(request, remembered)
        replica = self._replica(gallery)  # a missing gallery is told before faces are searched for
        embedded = self._embedded(request)
        begin_step()
        with holding(self._enrolling):
            return _undisturbed(lambda: self._attempt(request, embedded, replica, key))

    def identify(
        self,
        gallery: str,
        image: bytes,
        *,
        face: FaceSelector = "dominant",
        fpir: float = DEFAULT_FPIR,
        prior: float | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Identified:
        """Find out who the face is that `face` selects, or with `face="all"` who each face is.

        `fpir` is the false positive identification rate to claim, `prior` the probability that the photo shows a given
        person, by default about 1/number of people, and `limit` the largest number of candidates.

        Raises NoSuchGallery, GalleryTooLarge, ClaimUnavailable, ImageError, FaceError; LowQuality if the selected face
        is too poor. Of all faces, those that are too poor have no candidates.
        """
        options = IdentifyOptions(fpir, prior, limit)
        replica = self._replica(gallery)
        batch = self.embedder.embed_many([image], face=face)
        (faces,) = batch.results
        if isinstance(faces, SampleError):
            raise faces
        if face != ALL_FACES:
            require_quality(self.embedder.card.quality_penalties, faces[0].sample.quality)
        began = perf_counter()
        identified = tuple(IdentifiedFace(each.sample, _identified(replica, each, options)) for each in faces)
        return Identified(identified, batch.model, batch.timings_ms, (perf_counter() - began) * 1000)

    def verify(self, gallery: str, person: str, image: bytes, **options: Unpack[VerifyKeywords]) -> PersonComparison:
        """Decide whether an image shows a person, by the nearest template. The keywords are those of `embedder.verify`.

        Raises NoSuchGallery, NoSuchPerson; NoSuchTemplate if the person has none of this model; and as `verify` does.
        """
        templates = self.store.templates_of(gallery, person, self._digest)
        return compare_with_person(self.embedder, image, templates, VerifyOptions(**options))

    def forget_gallery(self, gallery: str, *, if_version: int | None = None) -> Receipt:
        """See `Store.forget_gallery`."""
        receipt = self.store.forget_gallery(gallery, if_version=if_version)
        self._replicas.pop(gallery, None)
        return receipt

    def forget_person(self, gallery: str, person: str, *, if_version: int | None = None) -> Receipt:
        """See `Store.forget_person`."""
        return self._dropped(self.store.forget_person(gallery, person, if_version=if_version))

    def forget_template(self, gallery: str, person: str, template_id: str, *, if_version: int | None = None) -> Receipt:
        """See `Store.forget_template`."""
        return self._dropped(self.store.forget_template(gallery, person, template_id, if_version=if_version))

    def forget_expired(self, now: datetime) -> list[Receipt]:
        """See `Store.forget_expired`."""
        return [self._dropped(each) for each in self.store.forget_expired(now)]

    def _dropped(self, receipt: Receipt) -> Receipt:
        """Drop what is forgotten from memory too; a search would not find it in any case."""
        replica = self._replicas.get(receipt.gallery)
        try:
            if replica is not None:
                replica.refresh()
        except (GalleryError, DeadlineExceeded):  # the receipt is due all the same
            self._replicas.pop(receipt.gallery, None)
        return receipt

    def _replica(self, gallery: str) -> GalleryReplica:
        """The gallery's templates in memory, as of now. Raises NoSuchGallery."""
        fresh = GalleryReplica(self.store, gallery, self.embedder.card, self._digest, self._free_bytes)
        replica = self._replicas.setdefault(gallery, fresh)
        try:
            replica.refresh()
        except (NoSuchGallery, GalleryTooLarge):  # of the latter, what was in memory before may take the place
            self._replicas.pop(gallery, None)
            raise
        return replica

    def _embedded(self, request: EnrolmentRequest) -> list[Embedding | SampleError]:
        results = list[Embedding | SampleError]()
        for start in range(0, len(request.photos), BATCH):
            batch = self.embedder.embed_many(request.photos[start : start + BATCH], face=request.face)
            results += [each if isinstance(each, SampleError) else each[0] for each in batch.results]
        return results

    def _attempt(
        self,
        request: EnrolmentRequest,
        photos: Sequence[Embedding | SampleError],
        replica: GalleryReplica,
        key: IdempotencyKey | None,
    ) -> Enrolment:
        """Decide and write. Raises VersionConflict if another process has written to the gallery in between."""
        version, person = replica.refresh(), self._person(request)
        find = partial(replica.neighbours, below=self._rules.one_person.threshold)
        is_known = person is not None and any(each.model_digest == self._digest for each in person.templates)
        enrollee = Enrollee(request.person, is_known, request.allow_duplicate, request.skip_refused)
        decision = decide_enrolment(enrollee, dict(enumerate(photos)), self._rules, find)
        new = tuple(_template(photo, request) for place, photo in enumerate(photos) if place in decision.new)
        decided = _Decided(decision, new, _all_facts(request, person), version)
        if not new:
            return decided.enrolment(self._with(decided.facts, request, person))
        return self._added(request, decided, key)

    def _person(self, request: EnrolmentRequest) -> Person | None:
        try:
            return self.store.person(request.gallery, request.person)
        except NoSuchPerson:
            return None

    def _with(self, facts: PersonFacts | None, request: EnrolmentRequest, person: Person | None) -> Person:
        """Write the facts about a person whose photos are all enrolled already."""
        if person is None:
            raise VersionConflict(f"person {request.person!r} was forgotten in between")
        if facts is None:
            return person
        return self.store.put_person(request.gallery, request.person, facts, if_version=person.version)

    def _added(self, request: EnrolmentRequest, decided: "_Decided", key: IdempotencyKey | None) -> Enrolment:
        person = self.store.add_templates(
            request.gallery,
            request.person,
            decided.new,
            facts=decided.facts,
            if_gallery_version=decided.version,
            idempotency=None if key is None else replace(key, answer=lambda person: _answer(decided.enrolment(person))),
        )
        # With a key, another thread or process may have done the same request just before.
        remembered = None if key is None else self.store.remembered_answer(request.gallery, key)
        return decided.enrolment(person) if remembered is None else self._earlier(request, remembered)

    def _earlier(self, request: EnrolmentRequest, remembered: str) -> Enrolment:
        answer = json.loads(remembered)
        person = self.store.person(request.gallery, request.person)
        refused = tuple(PhotoRefusal(**each) for each in answer["refused"])
        return Enrolment(person, tuple(answer["added"]), tuple(answer["already_there"]), refused)


@dataclass(frozen=True, slots=True)
class _Decided:
    """What an enrolment is about to write."""

    decision: EnrolmentDecision
    new: tuple[NewTemplate, ...]
    facts: PersonFacts | None  # None = the person's stay
    version: int  # of the gallery, at which it was decided

    def enrolment(self, person: Person) -> Enrolment:
        """What became of the photos; `person` is the one after the write."""
        added = tuple(each.id for each in person.templates[len(person.templates) - len(self.new) :])
        return Enrolment(person, added, tuple(dict.fromkeys(self.decision.enrolled.values())), self.decision.refusals)


def _all_facts(request: EnrolmentRequest, person: Person | None) -> PersonFacts | None:
    """The facts of the person with those that the request states; None if it states none."""
    stated, before = request.facts, NO_FACTS if person is None else person.facts
    if stated == NO_FACTS:
        return None
    return PersonFacts(
        note=before.note if stated.note is None else stated.note,
        consent=stated.consent or before.consent,
        forget_at=stated.forget_at or before.forget_at,
    )


def _undisturbed(attempt: Callable[[], Enrolment]) -> Enrolment:
    """Decide and write, anew each time that another process has written in between."""
    for _ in range(ATTEMPTS):
        check_deadline()
        with suppress(VersionConflict):
            return attempt()
    raise StoreUnavailable("other processes write to the gallery all the time; send the request again later")


def _identified(replica: GalleryReplica, face: Embedding, options: IdentifyOptions) -> Identification:
    begin_step()
    if face.sample.grade is not None and face.sample.grade.is_too_poor:
        return Identification((), None, options.prior or NOBODY)
    return replica.identify(face, options)


def _template(photo: Embedding | SampleError, request: EnrolmentRequest) -> NewTemplate:
    if isinstance(photo, SampleError):
        raise photo  # never: an unusable photo is refused
    return NewTemplate(photo.vector, photo.sample.quality, photo.model.digest, request.request_id)


def _answer(enrolment: Enrolment) -> str:
    refused = [asdict(each) for each in enrolment.refused]
    return json.dumps({"added": enrolment.added, "already_there": enrolment.already_there, "refused": refused})
