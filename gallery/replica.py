"""The templates of one gallery and one model, kept in step with the store: all in memory, or proposed by pgvector."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from threading import Lock
from time import monotonic

from embedder import DeadlineExceeded, Embedding, ModelCard, begin_step, check_deadline, holding

from .blocks import Doubles, Singles, bytes_of
from .errors import GalleryTooLarge
from .identification import IdentifyOptions, identification_by, penalties_by_measures, penalties_of
from .index import NearestPeople, TemplateIndex
from .store import Store
from .types import Changes, Identification, TemplateBlock

NO_VERSION = -1
N_PROPOSED = 200  # templates that pgvector proposes for each probe
COUNTED_S = 10.0  # between two counts of a gallery that is not in memory


@dataclass(frozen=True, slots=True)
class EnrolledNeighbour:
    """An enrolled person near to a photo, by the nearest of the person's templates."""

    person: str  # the caller's id
    template: str  # its id
    distance: float  # Euclidean
    normalized_distance: float  # the distance plus the penalty of the pair


@dataclass(frozen=True, slots=True)
class _Loading:
    """An index that is being filled with the templates of a gallery."""

    index: "TemplateIndex | ProposedTemplates"
    blocks: Iterator[TemplateBlock]  # those that are not in it yet
    version: int  # of the gallery at the beginning


class ProposedTemplates:
    """The templates of a gallery with one model digest, in the database: pgvector's index proposes the nearest ones.

    The exact distances of these decide. A template that is not proposed is not found, however near.
    """

    def __init__(self, store: Store, gallery: str, card: ModelCard, digest: str) -> None:
        self._store, self._gallery, self._card, self._digest = store, gallery, card, digest
        self.n_channels = card.architecture.embedding_size
        self._counting = Lock()
        self._n_templates = self._n_people = 0
        self._counted_s = -inf

    def add(self, ids: Sequence[str], persons: Sequence[int], vectors: Singles, penalties: Doubles) -> None:  # noqa: ARG002 - as `TemplateIndex`
        """Add templates to the proposals. They count at once, so that no claim is for fewer than there are."""
        self._store.propose(ids, vectors)
        with self._counting:
            self._n_templates, self._n_people = self._n_templates + len(ids), self._n_people + len(set(persons))

    def remove(self, ids: Sequence[str]) -> None:  # noqa: ARG002 - as `TemplateIndex`
        """Count anew: proposals go with their templates."""
        self._counted_s = -inf

    def search(self, vector: Singles, penalties: Doubles, *, k: int, below: float = 0.0) -> NearestPeople:
        """Return what `TemplateIndex.search` returns, of the templates that are proposed."""
        n_templates, n_people = self._counts()
        block = self._store.proposed(self._gallery, self._digest, vector, N_PROPOSED)
        some = TemplateIndex(len(self._card.quality_penalties), self.n_channels)
        _add(some, block, self._card)
        found = some.search(vector, penalties, k=k, below=below)
        return replace(found, n_templates=n_templates, n_people=n_people, is_exact=False)

    def _counts(self) -> tuple[int, int]:
        """Return the numbers of templates and people, counted lately, with what was added since."""
        with holding(self._counting):  # else what is added during a count could be lost from both
            if monotonic() - self._counted_s > COUNTED_S:
                self._n_templates, self._n_people = self._store.counts_of(self._gallery, self._digest)
                self._counted_s = monotonic()
            return self._n_templates, self._n_people


def _add(index: TemplateIndex | ProposedTemplates, block: TemplateBlock, card: ModelCard) -> None:
    if block.vectors.shape[1] == index.n_channels:  # else it is empty, or an import states a wrong digest
        penalties = penalties_by_measures(card, block.qualities)
        index.add(block.ids, block.person_numbers.tolist(), block.vectors, penalties)


def unknown_memory() -> int | None:
    """Say that nobody knows how much memory is free, so that every gallery is loaded."""
    return None


class GalleryReplica:
    """A gallery's templates with one model digest, to search. Thread-safe. `free_bytes` tells how much memory is left.

    They are all in memory, or if the store was opened with `search="pgvector"`, in the database.

    Each search first takes over what was written by anybody, which is one short query if there is nothing new. The
    callers' ids of the people found are read from the store, so nobody is found who is forgotten by then.
    """

    def __init__(
        self,
        store: Store,
        gallery: str,
        card: ModelCard,
        digest: str,
        free_bytes: Callable[[], int | None] = unknown_memory,
    ) -> None:
        self._store, self._gallery, self._card, self._digest = store, gallery, card, digest
        self._free_bytes = free_bytes
        self._refreshing = Lock()
        self._loading: _Loading | None = None  # what a deadline has stopped
        self._index, self._version = self._empty(), NO_VERSION

    def refresh(self) -> int:
        """Take over what was written; return the gallery's version then.

        Raises NoSuchGallery, GalleryTooLarge, DeadlineExceeded.
        """
        with holding(self._refreshing):
            changes = self._changes(self._version)
            while not changes.is_complete:
                loaded = self._loaded(changes.version)
                self._index = loaded.index
                changes = self._changes(loaded.version)
            if changes.removed:
                self._index.remove(list(changes.removed))
            _add(self._index, changes.added, self._card)
            self._version = changes.version
            return self._version

    def identify(self, probe: Embedding, options: IdentifyOptions) -> Identification:
        """Find the people nearest to a probe. Raises NoSuchGallery, GalleryTooLarge or ClaimUnavailable."""
        (penalties,) = penalties_of(self._card, [probe.sample.quality])
        (found,) = self.identify_vectors(probe.vector[None], penalties[None], options)
        return found

    def identify_vectors(self, vectors: Singles, penalties: Doubles, options: IdentifyOptions) -> list[Identification]:
        """Do what `identify` does, for embeddings without their samples, and the penalties of their photos.

        It reads the store as often as `identify` does for one: take a few hundred embeddings at most.
        """
        while True:
            begin_step()
            self.refresh()
            index = self._index
            nearest = [index.search(*probe, k=options.limit) for probe in zip(vectors, penalties, strict=True)]
            templates = list(dict.fromkeys(near.template for each in nearest for near in each.people))
            names = self._store.people_of(self._gallery, templates)
            forgotten = [each for each in templates if each not in names]
            if not forgotten:
                return [identification_by(each, names, self._card, options) for each in nearest]
            index.remove(forgotten)  # of people whose time has come; others may be nearest then

    def neighbours(self, photo: Embedding, below: float) -> list[EnrolledNeighbour]:
        """Return all people at a normalized distance less than `below`; call `refresh` first."""
        check_deadline()
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

    def _empty(self) -> TemplateIndex | ProposedTemplates:
        if self._store.search == "pgvector":
            return ProposedTemplates(self._store, self._gallery, self._card, self._digest)
        return TemplateIndex(len(self._card.quality_penalties), self._card.architecture.embedding_size)

    def _loaded(self, version: int) -> _Loading:
        """Read all templates, as of the gallery's version or later. What a deadline stops goes on at the next call."""
        loading, self._loading = self._loading or self._begun(version), None
        for block in loading.blocks:
            _add(loading.index, block, self._card)
            try:
                check_deadline()
            except DeadlineExceeded:
                self._loading = loading
                raise
        return loading

    def _begun(self, version: int) -> _Loading:
        n_measures, n_channels = len(self._card.quality_penalties), self._card.architecture.embedding_size
        if self._store.search == "pgvector":
            return _Loading(self._empty(), self._store.unproposed(self._gallery, self._digest, n_channels), version)
        n_templates = self._store.gallery(self._gallery).n_templates.get(self._digest, 0)
        needed, free = bytes_of(n_templates, n_measures, n_channels), self._free_bytes()
        if free is not None and needed > free:
            raise GalleryTooLarge(n_templates, needed, free)
        return _Loading(self._empty(), self._store.templates(self._gallery, self._digest), version)
