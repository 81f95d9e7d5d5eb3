"""The templates of one gallery and one model in memory, kept in step with the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from embedder import Embedding, ModelCard

from .identification import IdentifyOptions, identify, penalties_by_measures, penalties_of
from .index import TemplateIndex
from .store import Store
from .types import Changes, Identification, TemplateBlock

NO_VERSION = -1


@dataclass(frozen=True, slots=True)
class EnrolledNeighbour:
    """An enrolled person near to a photo, by the nearest of the person's templates."""

    person: str  # the caller's id
    template: str  # its id
    distance: float  # Euclidean
    normalized_distance: float  # the distance plus the penalty of the pair


class GalleryReplica:
    """A gallery's templates with one model digest, to search. Thread-safe.

    Each search first takes over what was written by anybody, which is one short query if there is nothing new. The
    callers' ids of the people found are read from the store, so nobody is found who is forgotten by then.
    """

    def __init__(self, store: Store, gallery: str, card: ModelCard, digest: str) -> None:
        self._store, self._gallery, self._card, self._digest = store, gallery, card, digest
        self._refreshing = Lock()
        self._index, self._version = self._empty(), NO_VERSION

    def refresh(self) -> int:
        """Take over what was written; return the gallery's version then. Raises NoSuchGallery."""
        with self._refreshing:
            changes = self._changes(self._version)
            while not changes.is_complete:
                self._index = self._loaded()
                changes = self._changes(changes.version)
            if changes.removed:
                self._index.remove(list(changes.removed))
            self._add(self._index, changes.added)
            self._version = changes.version
            return self._version

    def identify(self, probe: Embedding, options: IdentifyOptions) -> Identification:
        """Find the people nearest to a probe. Raises NoSuchGallery or ClaimUnavailable."""
        while True:
            self.refresh()
            index, forgotten = self._index, list[str]()

            def people_of(ids: Sequence[str], forgotten: list[str] = forgotten) -> dict[str, str]:
                people = self._store.people_of(self._gallery, ids)
                forgotten += (each for each in ids if each not in people)
                return people

            found = identify(index, probe, self._card, people_of, options)
            if not forgotten:
                return found
            index.remove(forgotten)  # of people whose time has come; others may be nearest then

    def neighbours(self, photo: Embedding, below: float) -> list[EnrolledNeighbour]:
        """Return all people at a normalized distance less than `below`; call `refresh` first."""
        (penalties,) = penalties_of(self._card, [photo.sample.quality])
        near = self._index.search(photo.vector, penalties, k=1, below=below).people
        people = self._store.people_of(self._gallery, [each.template for each in near])
        return [
            EnrolledNeighbour(people[each.template], each.template, each.distance, each.normalized_distance)
            for each in near
            if each.template in people and each.normalized_distance < below
        ]

    def _changes(self, since: int) -> Changes:
        return self._store.changes(self._gallery, self._digest, since=since)

    def _empty(self) -> TemplateIndex:
        return TemplateIndex(len(self._card.quality_penalties), self._card.architecture.embedding_size)

    def _loaded(self) -> TemplateIndex:
        index = self._empty()
        for block in self._store.templates(self._gallery, self._digest):
            self._add(index, block)
        return index

    def _add(self, index: TemplateIndex, block: TemplateBlock) -> None:
        if block.vectors.shape[1] == index.n_channels:  # else it is empty, or an import states a wrong digest
            penalties = penalties_by_measures(self._card, block.qualities)
            index.add(block.ids, block.person_numbers.tolist(), block.vectors, penalties)
