"""How many wrong enrolments are refused, and how many right ones: celebrities, with label errors that are made here.

Usage: python benchmarks/wrong_enrolments.py --data DIR [--cache DIR] [--people N]. DIR contains celebrities/, as
described in CONTRIBUTING.md; those whom the card was not measured on come first. Prints first how many photos are unfit
to be enrolled, and what a turned head costs, over the photos without a fault. The others of each person with at least
FEWEST are then enrolled, by the code and the store of a gallery:

- right: all photos of a person, one person after the other, into one gallery. Of a refused request the refused photos
  are left out, and the rest is enrolled, as `visavis gallery enrol --skip-refused` does. The folders have wrong labels
  of their own, so some of these refusals are right as well.
- one stranger: one photo is replaced by one of somebody else, who is not enrolled.
- two people: as many photos of each.
- later: the second half of a person's photos, once the first half of everybody's is enrolled.
- duplicate: the same photos, but under a new name.
"""

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from celebrities import is_in_first_half

from embedder import Box, Embedding, Face, FaceEmbedder, Quality, Sample, Timings, load, show_progress
from gallery import EnrolmentRefused, NewTemplate, open_store
from gallery.enrolment import Enrollee, EnrolmentRules, decide_enrolment, enrolment_rules
from gallery.replica import GalleryReplica
from gallery.store import Store
from train.evaluation.cache import open_cache
from train.evaluation.embedding import EmbeddedSet, embed_photos
from train.evaluation.protocols.folders import read_identities
from train.evaluation.protocols.protocol import Protocol

FEWEST = 4  # photos of a person
GALLERY = "celebrities"
TURNS = 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 2.0  # in eye distances
FRONTAL = 0.2


@dataclass(frozen=True)
class Person:
    name: str
    photos: list[Embedding]


@dataclass
class Outcomes:
    """The requests of one kind."""

    n_requests: int = 0
    n_photos: int = 0
    n_refused: int = 0
    n_exact: int = 0  # refused for exactly the photos that are wrong
    photos: Counter[str] = field(default_factory=Counter)  # refused, by code
    requests: Counter[str] = field(default_factory=Counter)  # the same

    def count(self, n_photos: int, error: EnrolmentRefused | None, wrong: Sequence[int] = ()) -> None:
        self.n_requests += 1
        self.n_photos += n_photos
        if error is None:
            return
        self.n_refused += 1
        self.n_exact += sorted({each.photo for each in error.refusals}) == sorted(wrong)
        self.photos.update(each.code for each in error.refusals)
        self.requests.update({each.code for each in error.refusals})

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{code}: {number} requests, {self.photos[code]} photos" for code, number in self.requests.items()
        )
        share = interval(self.n_refused, self.n_requests)
        return f"{self.n_refused} of {self.n_requests} requests refused {share} ({self.n_photos} photos); {kinds}"


class Gallery:
    """A gallery in a store of its own, with the decision about photos."""

    def __init__(self, store: Store, embedder: FaceEmbedder, rules: EnrolmentRules) -> None:
        self._store, self._rules = store, rules
        store.create_gallery(GALLERY)
        self._replica = GalleryReplica(store, GALLERY, embedder.card, embedder.identity.digest)

    def refusal(
        self, name: str, photos: Sequence[Embedding], *, has_templates: bool = False
    ) -> EnrolmentRefused | None:
        self._replica.refresh()
        find = partial(self._replica.neighbours, below=self._rules.one_person.threshold)
        try:
            decide_enrolment(Enrollee(name, has_templates), dict(enumerate(photos)), self._rules, find)
        except EnrolmentRefused as error:
            return error
        return None

    def add(self, name: str, photos: Sequence[Embedding]) -> None:
        new = [NewTemplate(each.vector, each.sample.quality, each.model.digest) for each in photos]
        self._store.add_templates(GALLERY, name, new)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--people", type=int, default=1000)
    given = parser.parse_args()
    embedder = load()
    rules = enrolment_rules(embedder.card)
    chosen = chosen_people(read_identities(given.data / "celebrities"), given.people)
    store = None if given.cache is None else open_cache(given.cache, embedder, "only")
    embedded = embed_photos(chosen, embedder, "only", store, show_progress)
    photos = photos_of(embedded, embedder)
    tell_turns(photos, chosen, rules)
    people = fit_people(chosen, embedded, photos, rules)
    print(f"{len(people)} people with {FEWEST} photos or more: {sum(len(each.photos) for each in people)} photos")
    with new_gallery(embedder, rules) as gallery:
        print("right:", enrolled_one_by_one(gallery, people))
    with new_gallery(embedder, rules) as gallery:
        print("one stranger:", told_exactly(with_a_stranger(gallery, people)))
        print("two people:", of_two_people(gallery, people))
        for person in people:
            gallery.add(person.name, first_half(person))
        print("later:", later(gallery, people))
        print("duplicate:", duplicates(gallery, people))


def chosen_people(everyone: Protocol, n: int) -> Protocol:
    """The first n people: those held out of the card's points first, else in an order drawn by their names."""
    counts = Counter(photo.identity for photo in everyone.photos)
    names = [name for name, number in counts.items() if number >= FEWEST]
    names.sort(key=lambda name: (is_in_first_half(name), hashlib.sha256(name.encode()).digest()))
    chosen = set(names[:n])
    return replace(everyone, photos=tuple(photo for photo in everyone.photos if photo.identity in chosen))


def photos_of(embedded: EmbeddedSet, embedder: FaceEmbedder) -> list[Embedding | None]:
    """The embedding of each photo; None for an unusable one."""
    face, timings = Face(Box(0, 0, 1, 1), (), 1.0), Timings(0, 0, 0)
    samples = (
        Sample(face, "only", 1, Quality(*measures)) for measures in embedded.measures.astype(np.float64).tolist()
    )
    return [
        None if fault else Embedding(vector, embedder.identity, sample, timings)
        for vector, sample, fault in zip(embedded.vectors, samples, embedded.faults, strict=True)
    ]


def fit_people(
    chosen: Protocol, embedded: EmbeddedSet, photos: Sequence[Embedding | None], rules: EnrolmentRules
) -> list[Person]:
    """The people with enough photos that are fit; prints why the others are not."""
    people, faults = dict[str, list[Embedding]](), Counter[str]()
    for photo, fault, label in zip(photos, embedded.faults, chosen.photos, strict=True):
        codes = [fault or ""] if photo is None else faults_of(photo, rules)
        faults.update(codes)
        if photo is not None and not codes:
            people.setdefault(label.identity, []).append(photo)
    print(f"{len(photos)} photos, unfit: {', '.join(f'{code} {number}' for code, number in faults.most_common())}")
    return [Person(name, each) for name, each in sorted(people.items()) if len(each) >= FEWEST]


def faults_of(photo: Embedding, rules: EnrolmentRules) -> list[str]:
    try:
        decide_enrolment(Enrollee("", has_templates=False), {0: photo}, rules, lambda _: [])
    except EnrolmentRefused as error:
        return [each.code for each in error.refusals]
    return []


@contextmanager
def new_gallery(embedder: FaceEmbedder, rules: EnrolmentRules) -> Iterator[Gallery]:
    with TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/gallery.db") as store:
        yield Gallery(store, embedder, rules)


def enrolled_one_by_one(gallery: Gallery, people: Sequence[Person]) -> Outcomes:
    outcomes = Outcomes()
    for person in people:
        error = gallery.refusal(person.name, person.photos)
        outcomes.count(len(person.photos), error)
        refused = {each.photo for each in error.refusals} if error else set[int]()
        rest = [photo for place, photo in enumerate(person.photos) if place not in refused]
        if rest and gallery.refusal(person.name, rest) is None:
            gallery.add(person.name, rest)
    return outcomes


def with_a_stranger(gallery: Gallery, people: Sequence[Person]) -> Outcomes:
    outcomes, rng = Outcomes(), np.random.default_rng(0)
    for place, person in enumerate(people):
        stranger = people[place - 1].photos
        photos, wrong = list(person.photos), int(rng.integers(len(person.photos)))
        photos[wrong] = stranger[int(rng.integers(len(stranger)))]
        outcomes.count(len(photos), gallery.refusal(person.name, photos), [wrong])
    return outcomes


def of_two_people(gallery: Gallery, people: Sequence[Person]) -> Outcomes:
    outcomes = Outcomes()
    for place, person in enumerate(people):
        other = people[place - 1]
        n = min(len(person.photos), len(other.photos))
        photos = [*person.photos[:n], *other.photos[:n]]
        outcomes.count(len(photos), gallery.refusal(person.name, photos))
    return outcomes


def later(gallery: Gallery, people: Sequence[Person]) -> Outcomes:
    outcomes = Outcomes()
    for person in people:
        photos = second_half(person)
        outcomes.count(len(photos), gallery.refusal(person.name, photos, has_templates=True))
    return outcomes


def duplicates(gallery: Gallery, people: Sequence[Person]) -> Outcomes:
    outcomes = Outcomes()
    for person in people:
        photos = second_half(person)
        outcomes.count(len(photos), gallery.refusal(f"again {person.name}", photos))
    return outcomes


def first_half(person: Person) -> list[Embedding]:
    return person.photos[: len(person.photos) // 2]


def second_half(person: Person) -> list[Embedding]:
    return person.photos[len(person.photos) // 2 :]


def told_exactly(outcomes: Outcomes) -> str:
    return f"{outcomes}; {outcomes.n_exact} for exactly the wrong photos"


def tell_turns(photos: Sequence[Embedding | None], chosen: Protocol, rules: EnrolmentRules) -> None:
    """Print the FNMR of photos by their turn, each against the frontal photos of the same person."""
    people = dict[str, list[Embedding]]()
    for photo, label in zip(photos, chosen.photos, strict=True):
        if photo is not None:
            people.setdefault(label.identity, []).append(photo)
    n_photos, n_pairs, n_missed = (np.zeros(len(TURNS) - 1, int) for _ in range(3))
    for theirs in people.values():
        turns = np.array([abs(photo.sample.quality.turn) for photo in theirs])
        bins = np.minimum(np.searchsorted(TURNS, turns, side="right"), len(TURNS) - 1) - 1
        vectors = np.array([photo.vector for photo in theirs])
        distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        is_pair = (turns < FRONTAL)[None] & ~np.eye(len(theirs), dtype=bool)
        is_missed = is_pair & (distances + rules.pair_penalties(theirs) >= rules.one_person.threshold)
        np.add.at(n_photos, bins, 1)
        np.add.at(n_pairs, bins, is_pair.sum(axis=1))
        np.add.at(n_missed, bins, is_missed.sum(axis=1))
    for low, high, *counts in zip(TURNS, TURNS[1:], n_photos, n_pairs, n_missed, strict=False):
        n, pairs, missed = counts
        print(f"turned by {low} to {high}: {n / n_photos.sum():.2%} of photos; FNMR {interval(missed, pairs)}")


def interval(n: int, of: int) -> str:
    """A share with its 95% interval by Wilson."""
    if not of:
        return "unknown"
    z, share = 1.96, n / of
    middle, half = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * half) / (1 + z * z / of) for sign in (-1, 1))
    return f"{share:.2%} [{low:.2%}, {high:.2%}]"


if __name__ == "__main__":
    main()
