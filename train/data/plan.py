"""Decide which photos to prepare; duplicates and photos or people of evaluation sets are left out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedder import Progress

from ..errors import DataError
from ..evaluation.protocols.folders import read_identities
from ..evaluation.protocols.protocol import LabeledPhoto
from .photos import DigestedPhoto, SkippedPhoto, digests_of, same_name, shown
from .prepared import is_prepared, open_prepared


@dataclass(frozen=True, slots=True)
class ExcludedSet:
    """An evaluation set whose people and images are left out."""

    name: str  # of its folder
    people: dict[str, str]  # by normalised name: the name in the set
    images: dict[str, str]  # by the digest of the file's bytes: the photo's name in the set


def read_excluded(folder: Path, progress: Progress) -> ExcludedSet:
    """Read a folder with one folder per person, or a prepared one. Raises DataError and ProtocolError."""
    if is_prepared(folder):
        data = open_prepared(folder)
        return _excluded(folder, data.identities, dict(zip(data.image_digests, data.names, strict=True)))
    photos = read_identities(folder).photos
    images: dict[str, str] = {}
    for photo, found in zip(photos, digests_of(photos, progress), strict=True):
        if isinstance(found, SkippedPhoto):
            raise DataError(
                f"--exclude {folder}: {shown(photo.name)}: {found.words}; a leak of that photo could not be detected, "
                "so repair or remove it first"
            )
        images.setdefault(found.digest, photo.name)
    return _excluded(folder, tuple(photo.identity for photo in photos), images)


def _excluded(folder: Path, identities: tuple[str, ...], images: dict[str, str]) -> ExcludedSet:
    return ExcludedSet(folder.resolve().name, {same_name(name): name for name in identities}, images)


DUPLICATE, SAME_PERSON, SAME_IMAGE = "duplicate", "excluded_identity", "excluded_image"
MIN_PEOPLE = 2


@dataclass(frozen=True, slots=True)
class SharedPerson:
    """A person who is also in an evaluation set, by name."""

    identity: str
    theirs: str  # the name in the evaluation set
    evaluation: str  # the evaluation set's name
    n_photos: int


@dataclass(frozen=True, slots=True)
class PreparationPlan:
    """The photos to prepare, and those left out."""

    photos: tuple[DigestedPhoto, ...]  # to find faces in, ordered by name
    skipped: tuple[SkippedPhoto, ...]  # ordered by name
    shared_people: tuple[SharedPerson, ...]

    @property
    def digest(self) -> str:
        """Digest of the photos' names, identities and contents: "sha256:..."."""
        facts = [(known.photo.name, known.photo.identity, known.digest) for known in self.photos]
        return "sha256:" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def plan_preparation(
    found: Sequence[DigestedPhoto | SkippedPhoto], photos: Sequence[LabeledPhoto], excluded: Sequence[ExcludedSet]
) -> PreparationPlan:
    """Decide for each photo whether to prepare it. Raises DataError if fewer than two people remain."""
    shared = tuple(_shared_people(photos, excluded))
    decided = list(_decided(found, shared, excluded))
    kept = tuple(each for each in decided if isinstance(each, DigestedPhoto))
    skipped = tuple(each for each in decided if isinstance(each, SkippedPhoto))
    n_people = len({known.photo.identity for known in kept})
    if n_people < MIN_PEOPLE:
        raise DataError(
            f"two persons are needed, but {n_people} of {len({photo.identity for photo in photos}):,} remain: "
            f"{_reasons(skipped)}; give more photos, or fewer --exclude"
        )
    return PreparationPlan(kept, skipped, shared)


def _shared_people(photos: Sequence[LabeledPhoto], excluded: Sequence[ExcludedSet]) -> Iterator[SharedPerson]:
    n_photos = Counter(photo.identity for photo in photos)
    for identity in sorted(n_photos):
        holder = next((each for each in excluded if same_name(identity) in each.people), None)
        if holder is not None:
            yield SharedPerson(identity, holder.people[same_name(identity)], holder.name, n_photos[identity])


def _decided(
    found: Iterable[DigestedPhoto | SkippedPhoto], shared: Sequence[SharedPerson], excluded: Sequence[ExcludedSet]
) -> Iterator[DigestedPhoto | SkippedPhoto]:
    people = {each.identity: each for each in shared}
    first: dict[tuple[str, str], str] = {}  # by identity and digest: the first photo's name
    for each in found:
        if isinstance(each, SkippedPhoto):
            yield each
            continue
        name, identity = each.photo.name, each.photo.identity
        holder = next((one for one in excluded if each.digest in one.images), None)
        if identity in people:
            same = people[identity]
            yield SkippedPhoto(name, SAME_PERSON, f"the person is in {shown(same.evaluation)}, as {shown(same.theirs)}")
        elif holder is not None:
            theirs = holder.images[each.digest]
            yield SkippedPhoto(name, SAME_IMAGE, f"the image is in {shown(holder.name)}, as {shown(theirs)}", theirs)
        elif first.setdefault((identity, each.digest), name) != name:
            earlier = first[identity, each.digest]
            yield SkippedPhoto(name, DUPLICATE, f"the same image as {shown(earlier)}", earlier)
        else:
            yield each


def _reasons(skipped: Sequence[SkippedPhoto]) -> str:
    """Count the reasons for leaving photos out, with an example."""
    if not skipped:
        return "nothing was left out"
    counts = ", ".join(f"{code} {n:,}" for code, n in Counter(each.code for each in skipped).most_common())
    return f"left out were {counts} photos, such as {shown(skipped[0].name)}: {skipped[0].words}"
