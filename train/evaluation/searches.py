"""Searches of galleries that are drawn from labelled photos, as scores; open-set identification, ISO/IEC 19795-1.

A draw puts some people into the gallery and leaves the others out. Everyone is then searched for once, with a photo
that is not enrolled: people of the gallery in a mated search, the others in a non-mated one. A person's score is that
of the best template.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import Advance, Job, Progress, no_progress

from .all_pairs import IMPOSTOR, ComparedFaces, compared_faces, n_comparisons, scores_between
from .compared import ComparedPhotos
from .metrics import Floats
from .protocols.protocol import Indices, ProtocolError
from .scores import ScoreSample, ScoreSet, whole

MAX_SCORES = 1 << 20  # at a time, in memory
MIN_DRAWS, MAX_DRAWS = 10, 100  # of galleries of one size
MAX_SEARCHES = 1_000_000  # of one size; more people are drawn less often


@dataclass(frozen=True, slots=True, eq=False)
class GalleryDraw:
    """A gallery and the searches of it, as positions among the faces."""

    templates: Indices  # (t,) in the order of their people
    mated: Indices  # (m,) one other photo of each person of the gallery who has one
    non_mated: Indices  # (n,) one photo of each person who is not in the gallery


@dataclass(frozen=True, slots=True, eq=False)
class SearchedGalleries:
    """The searches of all draws of one size.

    A mated search is genuine: its score is that of the right person, or infinity if another person is as near. A
    non-mated one is an impostor: its score is that of the nearest person.
    """

    n_people: int  # in each gallery
    n_templates: int  # in each gallery, on average
    n_draws: int
    scores: ScoreSet
    n_impostor: int  # comparisons of non-mated probes with templates; no more than the data have different ones


def gallery_sizes(n_people: int) -> tuple[int, ...]:
    """Return the numbers of people in galleries: 10, 100, 1,000, ..., and at last half of all people."""
    half = n_people // 2
    return (*(10**k for k in range(1, len(str(half))) if 10**k < half), half)


def distinct_faces(compared: ComparedPhotos) -> ComparedFaces:
    """Select the faces that take part, and the first of identical photos of a person: they must not find each other."""
    names = [
        f"{k} {digest}" for k, digest in zip(compared.scores.identities, compared.embedded.image_digests, strict=True)
    ]
    takes_part = np.zeros(len(names), bool)
    takes_part[np.unique(names, return_index=True)[1]] = True
    if compared.scoring.refused is not None:
        takes_part &= ~compared.scoring.refused
    vectors = np.where(takes_part[:, None], compared.embedded.vectors, np.float32(np.nan))
    return compared_faces(vectors, compared.scores.identities, compared.scoring.penalties)


def draw_gallery(
    identities: Indices, n_people: int, templates_per_person: int, generator: np.random.Generator
) -> GalleryDraw:
    """Draw people and photos at random, from faces with identities (n,).

    At most `templates_per_person` photos of a person are enrolled, and one is left for the search if there are two.
    """
    order = generator.permutation(len(identities)).astype(np.int32)
    order = order[np.argsort(identities[order], kind="stable")]  # by person; in random order within each
    _, first, n_photos = np.unique(identities[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, n_photos)
    n_enrolled = np.repeat(np.clip(n_photos - 1, 1, templates_per_person), n_photos)
    chosen = np.zeros(len(first), bool)
    chosen[generator.choice(len(first), n_people, replace=False)] = True
    is_inside = np.repeat(chosen, n_photos)
    mated, non_mated = is_inside & (rank == n_enrolled), ~is_inside & (rank == 0)
    return GalleryDraw(order[is_inside & (rank < n_enrolled)], order[mated], order[non_mated])


def search_galleries(
    compared: ComparedPhotos, templates_per_person: int, seed: int, progress: Progress = no_progress
) -> tuple[SearchedGalleries, ...]:
    """Draw and search galleries of every size that the data have people for, the smallest first.

    Raises ProtocolError for fewer than two people with a usable face.
    """
    faces = distinct_faces(compared)
    n_people = len(np.unique(faces.identities))
    if n_people < 2:  # noqa: PLR2004 - one in the gallery and one outside of it
        raise ProtocolError(f"identification needs usable photos of two people, and there are {n_people}")
    n_draws = min(max(MAX_SEARCHES // n_people, MIN_DRAWS), MAX_DRAWS)
    searcher = _Searcher(faces, compared.scores.identities, templates_per_person, n_draws)
    sizes = gallery_sizes(n_people)
    with progress(Job("searching", n_draws * len(sizes), "galleries")) as advance:
        return tuple(searcher.of_size(size, seed, advance) for size in sizes)


Searches = tuple[Floats, Indices, Indices]  # scores, photos, the photo of a template


@dataclass(frozen=True, slots=True, eq=False)
class _Searcher:
    faces: ComparedFaces
    identities: Indices  # of all photos
    templates_per_person: int
    n_draws: int

    def of_size(self, n_people: int, seed: int, advance: Advance) -> SearchedGalleries:
        generator = np.random.default_rng((seed, n_people))
        mated: list[Searches] = []
        non_mated: list[Searches] = []
        n_templates = n_compared = 0
        for _ in range(self.n_draws):
            draw = draw_gallery(self.faces.identities, n_people, self.templates_per_person, generator)
            mated += mated_searches(self.faces, draw)
            non_mated += non_mated_searches(self.faces, draw)
            n_templates += len(draw.templates)
            n_compared += len(draw.templates) * len(draw.non_mated)
            advance(1)
        genuine, impostor = (whole(self._sample(each), self.identities) for each in (mated, non_mated))
        n_impostor = min(n_compared, int(n_comparisons(self.faces.identities)[IMPOSTOR]))
        scores = ScoreSet(genuine, impostor, self.identities)
        return SearchedGalleries(n_people, round(n_templates / self.n_draws), self.n_draws, scores, n_impostor)

    def _sample(self, searches: list[Searches]) -> ScoreSample:
        empty = (np.empty(0), np.empty(0, np.int32), np.empty(0, np.int32))
        scores, probes, references = (np.concatenate(columns) for columns in zip(empty, *searches, strict=True))
        photos, weights = self.faces.photos, np.ones(len(scores), np.float32)
        return ScoreSample.ordered(scores, photos[probes], photos[references], weights)


def mated_searches(faces: ComparedFaces, draw: GalleryDraw) -> Iterator[Searches]:
    """Search a gallery for people who are in it: the score of the right person, if nobody else is as near."""
    people, first = np.unique(faces.identities[draw.templates], return_index=True)
    for probes, scores in _scores_by_person(faces, draw.templates, draw.mated, first):
        rows, own = np.arange(len(probes)), np.searchsorted(people, faces.identities[probes])
        found = scores[rows, own]
        scores[rows, own] = np.inf
        yield np.where(found < scores.min(axis=1), found, np.inf), probes, draw.templates[first[own]]


def non_mated_searches(faces: ComparedFaces, draw: GalleryDraw) -> Iterator[Searches]:
    """Search a gallery for people who are not in it: the score of the nearest person."""
    first = np.unique(faces.identities[draw.templates], return_index=True)[1]
    for probes, scores in _scores_by_person(faces, draw.templates, draw.non_mated, first):
        nearest = scores.argmin(axis=1)
        yield scores[np.arange(len(probes)), nearest], probes, draw.templates[first[nearest]]


def _scores_by_person(
    faces: ComparedFaces, templates: Indices, probes: Indices, first: NDArray[np.int64]
) -> Iterator[tuple[Indices, Floats]]:
    """Yield some probes at a time with their scores, (probes, people); `first` is the first template of each person."""
    n_rows = max(1, MAX_SCORES // len(templates))
    for start in range(0, len(probes), n_rows):
        part = probes[start : start + n_rows]
        yield part, np.minimum.reduceat(scores_between(faces, part, templates), first, axis=1)
