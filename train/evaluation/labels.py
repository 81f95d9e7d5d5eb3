"""Photos that are probably under a wrong name, found by the distances between them.

The photos of each name are clustered, so that the photos of a second person under it stand apart from the largest
cluster. Then clusters of different names are compared, and single photos with both names. The evidence is the card's
log-likelihood ratio; photos of one person resemble each other in age, camera and light, so n pairs count as fewer.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from embedder import LogLikelihoodRatio, ModelCard, VisavisError

from .all_pairs import IMPOSTOR, blocks, compared_faces
from .embedding import EmbeddedSet
from .metrics import Floats
from .protocols.protocol import Indices, LabeledPhoto, Protocol
from .results import LabelFinding, LabelPair, LabelReport
from .scores import Penalties
from .scoring import too_poor

WRONG = 0.01  # prior probability of a wrong name, and of a second name; less certain findings are not listed
ALIKE = 0.5  # correlation between the evidence of pairs of the same two people; 1 would count any number as one pair
SAME_PICTURE = 0.3  # of the card's default threshold; nearer faces are from one picture, perhaps cut or saved again
CLUSTERED = 1000  # photos of a name at a time, because the clustering stores all their distances
COMPARED = 500  # photos of a cluster that are compared with others
MAX_CLOSE = 1_000_000  # pairs of photos under two names that are kept, nearest first


class LabelsError(VisavisError):
    """Labels cannot be checked with this model; the message says what to do."""

    code = "labels_error"


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """The photos' embeddings, and the evidence of the distances between them."""

    vectors: Floats  # (n, channels); NaN where a photo has no face or is too poor
    names: Indices  # (n,)
    penalties: Penalties
    ratio: LogLikelihoodRatio
    same_picture: float  # distance

    def distances(self, first: Indices, second: Indices) -> Floats:
        """Return the distances between photos (a,) and photos (b,): (a, b)."""
        a, b = self.vectors[first], self.vectors[second]
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        plain = np.sqrt(np.maximum(squares, 0)).ravel()
        of_pairs = np.repeat(first, len(second)), np.tile(second, len(first))
        return self.penalties.scores(plain, *of_pairs).reshape(len(first), len(second))

    def evidence(self, first: Indices, second: Indices) -> float:
        """Return the evidence that photos (a,) of one person and photos (b,) of one person show the same person."""
        n = min(len(first), len(second))
        mean = self.ratio.of_each(self.distances(first[:COMPARED], second[:COMPARED])).mean()
        return float(mean) * n / (1 + (n - 1) * ALIKE)


@dataclass(frozen=True, slots=True, eq=False)
class _Cluster:
    """Photos under one name that show one person."""

    photos: Indices
    rivals: tuple[Indices, ...]  # the other clusters of the name, largest first

    @property
    def is_largest(self) -> bool:
        """Whether no other cluster of the name is larger."""
        return not self.rivals or len(self.rivals[0]) <= len(self.photos)

    @property
    def owns_the_name(self) -> bool:
        """Whether all other clusters of the name are smaller."""
        return not self.rivals or len(self.rivals[0]) < len(self.photos)


@dataclass(frozen=True, slots=True, eq=False)
class _ClosePairs:
    """Pairs of photos under two names, nearest first."""

    distances: Floats  # (k,)
    first: Indices  # (k,)
    second: Indices  # (k,)

    @classmethod
    def nearest(cls, parts: Sequence["_ClosePairs"]) -> Self:
        """Join parts and keep the MAX_CLOSE nearest pairs."""
        distances = np.concatenate([part.distances for part in parts])
        order = np.argsort(distances, kind="stable")[:MAX_CLOSE]
        first, second = (
            np.concatenate(each)[order] for each in zip(*((p.first, p.second) for p in parts), strict=True)
        )
        return cls(distances[order], first, second)

    def part(self, chosen: NDArray[np.int64]) -> Self:
        """Return some of the pairs."""
        return type(self)(self.distances[chosen], self.first[chosen], self.second[chosen])

    def turned(self, chosen: NDArray[np.int64]) -> Self:
        """Swap first and second in some of the pairs."""
        first, second = self.first.copy(), self.second.copy()
        first[chosen], second[chosen] = self.second[chosen], self.first[chosen]
        return type(self)(self.distances, first, second)


@dataclass(frozen=True, slots=True, eq=False)
class _Move:
    """Photos that belong to the person of other photos, under another name."""

    photos: Indices
    onto: Indices
    of_other: float  # evidence for the person of `onto`
    against_own: float  # evidence against the person of their own name
    is_merger: bool  # all photos of both names show one person

    @property
    def evidence(self) -> float:
        """Evidence for this explanation, against that all labels are right."""
        return self.of_other + self.against_own


def check_labels(protocol: Protocol, embedded: EmbeddedSet, card: ModelCard) -> LabelReport:
    """Find the photos of a protocol that are probably under a wrong name.

    Memory grows linearly with the number of photos. Raises LabelsError for a card without operating points.
    """
    poor = too_poor(card.quality_penalties, embedded.measures)
    search = _Search(protocol, _faces(protocol, embedded, card, poor))
    found = search.across_names()
    told = {pair.doubtful for finding in found if finding.kind != "two_names" for pair in finding.pairs}
    found += [*search.within_names(told), *search.identical_files(embedded.image_digests)]
    found.sort(key=lambda each: (-each.certainty, -each.evidence, each.pairs[0].distance))
    without_face = sum(fault is not None for fault in embedded.faults)
    counts = (len(protocol.photos), protocol.n_identities, without_face, int(poor.sum()), protocol.n_other_files)
    return LabelReport(tuple(found), *counts)


def require_evidence(card: ModelCard) -> LogLikelihoodRatio:
    """Return the evidence of a distance as the card states it. Raises LabelsError if the card does not."""
    if card.ratio is None or card.default_point is None:
        raise LabelsError(
            f"the card of {card.name} does not say what a distance proves; run visavis calibrate to measure it"
        )
    return card.ratio


def _faces(protocol: Protocol, embedded: EmbeddedSet, card: ModelCard, poor: NDArray[np.bool_]) -> _Faces:
    ratio = require_evidence(card)
    thresholds = {point.name: point.threshold for point in card.operating_points}
    vectors = embedded.vectors.astype(np.float64)
    vectors[poor] = np.nan
    penalties = Penalties.by(card.quality_penalties, embedded.measures)
    return _Faces(vectors, protocol.identities, penalties, ratio, SAME_PICTURE * thresholds[card.default_point or ""])


class _Search:
    """Clusters the photos of each name, and finds what is wrong across names and within them."""

    def __init__(self, protocol: Protocol, faces: _Faces) -> None:
        self._photos, self._faces = protocol.photos, faces
        self._clusters = list(_clusters(faces))
        self._cluster_of = np.full(len(protocol.photos), -1, np.int32)
        for k, cluster in enumerate(self._clusters):
            self._cluster_of[cluster.photos] = k
        self._of_name = _log_odds(WRONG)
        self._of_another = _log_odds(WRONG) - np.log(max(1, protocol.n_identities - 1))  # of one certain other name

    def across_names(self) -> list[LabelFinding]:
        """Find pictures and people under two names, and photos of a person who has another name."""
        found: list[LabelFinding] = []
        moves: dict[tuple[int, ...], LabelFinding] = {}  # the best explanation of each set of photos
        for close in self._close_pairs_of_clusters():
            explained = False
            for move in self._explanations(close):
                finding, key = self._moved(move, close), tuple(move.photos.tolist())
                explained = True
                if move.is_merger:
                    found.append(finding)
                elif key not in moves or moves[key].evidence < finding.evidence:
                    moves[key] = finding
            same = close.part(np.flatnonzero(close.distances < self._faces.same_picture))
            if len(same.first) and not explained:
                found.append(self._picture_twice(same))
        return [*found, *moves.values()]

    def within_names(self, told: set[LabeledPhoto]) -> Iterator[LabelFinding]:
        """Yield photos that show another person than the others of their name, except those that were `told` of."""
        for cluster in self._clusters:
            if cluster.owns_the_name:
                continue
            photos, rival = ({self._photos[k] for k in each} for each in (cluster.photos, cluster.rivals[0]))
            if photos & told or (cluster.is_largest and rival & told):
                continue
            evidence = -self._faces.evidence(cluster.photos, cluster.rivals[0])
            certainty = _probability(evidence + self._of_name)
            if certainty >= WRONG:
                told |= photos
                pairs = self._nearest(cluster.photos, cluster.rivals[0])
                advice = _advice_on_strangers(pairs, n_others=len(rival))
                yield LabelFinding("two_people", pairs, evidence, certainty, advice)

    def identical_files(self, digests: Sequence[str]) -> Iterator[LabelFinding]:
        """Yield identical files under two names in which no face could be compared."""
        same: dict[str, list[int]] = defaultdict(list)
        for k in np.flatnonzero(self._cluster_of < 0).tolist():
            same[digests[k]].append(k)
        for first, *others in same.values():
            of_others = [k for k in others if self._faces.names[k] != self._faces.names[first]]
            if of_others:
                firsts = np.full(len(of_others), first, np.int32)
                yield self._picture_twice(_ClosePairs(np.zeros(len(firsts)), firsts, np.array(of_others, np.int32)))

    def _close_pairs_of_clusters(self) -> Iterator[_ClosePairs]:
        """Yield the close pairs of each two clusters of different names, nearest first."""
        close = _close_pairs(self._faces, self._of_another)
        first, second = self._cluster_of[close.first].astype(np.int64), self._cluster_of[close.second]
        close = close.turned(np.flatnonzero(first > second))
        keys = np.minimum(first, second) * len(self._clusters) + np.maximum(first, second)
        order = np.argsort(keys, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            if len(part):
                yield close.part(part)

    def _explanations(self, close: _ClosePairs) -> list[_Move]:
        """Explain the close pairs of two clusters: both show one person, or single photos are misplaced."""
        first, second = (self._clusters[self._cluster_of[each[0]]] for each in (close.first, close.second))
        whole = [*self._whole(first, second), *self._whole(second, first)]
        singles = [
            *self._singles(close.first, first, second),
            *self._singles(close.second, second, first),
        ]
        best = max((each.evidence for each in whole), default=-np.inf)
        if any(each.evidence > best for each in singles):
            whole = []
        else:
            whole, singles = [each for each in whole if each.evidence == best][:1], []
        is_same = close.distances[0] < self._faces.same_picture
        return [each for each in (*whole, *singles) if self._is_likely(each, is_same=is_same)]

    def _is_likely(self, move: _Move, *, is_same: bool) -> bool:
        """Whether a move is more certain than WRONG, and its name more probable than that of a person unknown."""
        is_named = move.is_merger or is_same or move.of_other + self._of_another > self._of_name
        return is_named and _probability(move.evidence + self._of_another) >= WRONG

    def _whole(self, cluster: _Cluster, other: _Cluster) -> Iterator[_Move]:
        """Yield the explanation that a whole cluster shows the person of another name."""
        if not other.is_largest or (cluster.owns_the_name and not other.owns_the_name):
            return
        evidence = self._faces.evidence(cluster.photos, other.photos)
        if evidence <= 0:
            return
        against = 0.0 if cluster.owns_the_name else -self._faces.evidence(cluster.photos, cluster.rivals[0])
        yield _Move(cluster.photos, other.photos, evidence, against, is_merger=cluster.owns_the_name)

    def _singles(self, photos: Indices, own: _Cluster, other: _Cluster) -> Iterator[_Move]:
        """Yield the explanations that one of these photos shows the person of another name."""
        if len(own.photos) == 1 or not other.is_largest:
            return
        for photo in dict.fromkeys(photos.tolist()):
            alone = np.array([photo], np.int32)
            evidence = self._faces.evidence(alone, other.photos)
            if evidence > 0:
                against = -self._faces.evidence(alone, own.photos[own.photos != photo])
                yield _Move(alone, other.photos, evidence, against, is_merger=False)

    def _moved(self, move: _Move, close: _ClosePairs) -> LabelFinding:
        same = close.part(np.flatnonzero(close.distances < self._faces.same_picture))
        if move.is_merger:
            pairs = self._pairs(same if len(same.first) else close.part(np.arange(1)))
            n_photos = len(move.photos), len(move.onto)
            is_all = len(same.first) == min(n_photos)  # then the picture alone may be misplaced
            advice = _advice_on_picture(pairs[0]) if is_all else _advice_on_names(pairs[0], *n_photos)
        else:
            pairs = self._nearest(move.photos, move.onto)
            advice = _advice_on_moved(pairs)
        if pairs[0].distance < self._faces.same_picture:
            return LabelFinding("same_picture", pairs, move.evidence, 1.0, advice)
        certainty = _probability(move.evidence + self._of_another)
        return LabelFinding("two_names" if move.is_merger else "wrong_name", pairs, move.evidence, certainty, advice)

    def _picture_twice(self, same: _ClosePairs) -> LabelFinding:
        pairs = self._pairs(same)
        evidence = self._faces.ratio.at(pairs[0].distance)
        return LabelFinding("same_picture", pairs, evidence, 1.0, _advice_on_picture(pairs[0]))

    def _nearest(self, photos: Indices, others: Indices) -> tuple[LabelPair, ...]:
        """Pair each photo with the nearest of some others; the nearest pair is the first."""
        nearest = [np.argmin(self._faces.distances(photos[k : k + 1], others)) for k in range(len(photos))]
        partners = others[nearest]
        distances = [self._faces.distances(photos[k : k + 1], partners[k : k + 1])[0, 0] for k in range(len(photos))]
        order = np.argsort(distances, kind="stable")
        return self._pairs(_ClosePairs(np.array(distances), photos, partners).part(order))

    def _pairs(self, close: _ClosePairs) -> tuple[LabelPair, ...]:
        columns = close.first.tolist(), close.second.tolist(), close.distances.tolist()
        return tuple(
            LabelPair(self._photos[i], self._photos[j], distance) for i, j, distance in zip(*columns, strict=True)
        )


def _clusters(faces: _Faces) -> Iterator[_Cluster]:
    """Cluster the photos of each name that have a usable face."""
    usable = np.flatnonzero(~np.isnan(faces.vectors).any(axis=1)).astype(np.int32)
    order = usable[np.argsort(faces.names[usable], kind="stable")]
    for of_name in np.split(order, np.flatnonzero(np.diff(faces.names[order])) + 1):
        clusters = sorted(_clusters_of_name(faces, of_name), key=lambda photos: (-len(photos), photos[0]))
        for k, photos in enumerate(clusters):
            yield _Cluster(photos, tuple(clusters[:k] + clusters[k + 1 :]))


def _clusters_of_name(faces: _Faces, photos: Indices) -> list[Indices]:
    """Cluster a name's photos; the largest clusters of several parts count as one person."""
    if not len(photos):
        return []
    parts = [_clustered(faces, part) for part in np.array_split(photos, -(-len(photos) // CLUSTERED))]
    largest = [max(part, key=len) for part in parts]
    others = [each for part, first in zip(parts, largest, strict=True) for each in part if each is not first]
    return [np.concatenate(largest), *others]


def _clustered(faces: _Faces, photos: Indices) -> list[Indices]:
    """Join photos, and clusters of them, while the mean distance supports one person."""
    if len(photos) == 1:
        return [photos]
    distances = faces.distances(photos, photos)
    np.fill_diagonal(distances, 0)
    neutral = -faces.ratio.intercept / faces.ratio.slope  # the distance that supports neither
    model = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=neutral)
    labels = model.fit_predict(distances)
    return [photos[labels == label] for label in range(model.n_clusters_)]


def _close_pairs(faces: _Faces, prior: float) -> _ClosePairs:
    """Find the pairs of photos under two names that could show one person at all, by prior log-odds."""
    ratio = faces.ratio
    least = max(0.0, _log_odds(WRONG) - prior + ratio.at(np.inf))  # if the photo fits none of its own name
    limit = (least - ratio.intercept) / ratio.slope
    compared = compared_faces(faces.vectors.astype(np.float32), faces.names, faces.penalties)
    kept = _ClosePairs(np.empty(0), np.empty(0, np.int32), np.empty(0, np.int32))
    for block in blocks(compared):
        chosen = np.flatnonzero((block.kinds == IMPOSTOR) & (block.scores < limit))
        kept = _ClosePairs.nearest([kept, _ClosePairs(block.scores[chosen], *block.photos(chosen, compared))])
    return kept


def _log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def _advice_on_picture(pair: LabelPair) -> str:
    names = f"{pair.doubtful.identity} and {pair.other.identity}"
    return f"one picture is under {names}: remove it from the wrong one"


def _advice_on_names(pair: LabelPair, n_first: int, n_second: int) -> str:
    first, second = pair.doubtful.identity, pair.other.identity
    return (
        f"{first} ({_photos(n_first)}) and {second} ({_photos(n_second)}) seem to be one person: put all under one "
        "name, or remove one name"
    )


def _advice_on_moved(pairs: Sequence[LabelPair]) -> str:
    name = pairs[0].doubtful.identity
    shown = pairs[0].doubtful.name if len(pairs) == 1 else f"{len(pairs):,} photos of {name}"
    other = pairs[0].other.identity
    return f"{shown} {_verb(pairs)} to show {other}: put {_them(pairs)} there, or remove {_them(pairs)}"


def _advice_on_strangers(pairs: Sequence[LabelPair], n_others: int) -> str:
    name = pairs[0].doubtful.identity
    if len(pairs) == n_others:
        return (
            f"{name} seems to be two people, with {_photos(n_others)} each: remove the one whom the name does not mean"
        )
    shown = pairs[0].doubtful.name if len(pairs) == 1 else f"{len(pairs):,} photos of {name}"
    return f"{shown} {_verb(pairs)} to show another person than {_photos(n_others)} of {name}: remove {_them(pairs)}"


def _photos(n: int) -> str:
    return "1 photo" if n == 1 else f"{n:,} photos"


def _verb(pairs: Sequence[LabelPair]) -> str:
    return "seems" if len(pairs) == 1 else "seem"


def _them(pairs: Sequence[LabelPair]) -> str:
    return "it" if len(pairs) == 1 else "them"
