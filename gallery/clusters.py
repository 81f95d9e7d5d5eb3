"""Clusters of faces and the distances between them, as sums of embeddings: joining two costs the same at any size.

Two clusters are compared by their templates, which are the mean embeddings scaled back to length 1. The distance of two
templates is distributed as that of two photos if the clusters show two people, so that the FMR of a threshold applies,
and it is smaller if they show one, because a mean leaves out what differs from photo to photo.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import LEAST_VISIBLE, MEASURES, Advance, ModelCard

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Below these, many finds are no faces, and such finds resemble each other. Error rates were measured on few such faces:
# of the largest faces of 3,000 celebrities' photos and of LFW View 1, 99.5% have a score above 0.84.
LEAST_SCORE, LEAST_EYE_DISTANCE_PX = 0.75, 10.0

BLOCK_BYTES = 2**25  # of distances that are in memory at a time
PAIRS = 2**16  # whose embeddings are multiplied at a time
TOLERANCE = 1e-4  # of squared distances in float32; those in float64 decide


@dataclass(frozen=True, slots=True, eq=False)
class FaceSet:
    """The faces to group. Its `repr` does not show the embeddings, which are biometric data."""

    vectors: NDArray[np.float32] = field(repr=False)  # (n, channels)
    pictures: Indices  # (n,) which picture each face is on
    penalties: Floats  # (measures, n) in units of distance, for poor photos
    visible: Floats  # (2, n) the visible shares of eyes and mouth
    is_usable: NDArray[np.bool_]  # (n,) neither too poor by the card's rule nor too small, and surely a face
    unit_length: bool  # of the embeddings

    @classmethod
    def by(cls, card: ModelCard, vectors: NDArray[np.float32], pictures: Indices, qualities: Floats) -> Self:
        """Apply the card's penalties to faces whose measures of quality are (n, 10), in the order of MEASURES."""
        values = {name: qualities[:, k] for k, name in enumerate(MEASURES)}
        rule = card.quality_penalties
        penalties = np.array([each.of(values[each.measure]) for each in rule]).reshape(len(rule), len(vectors))
        is_usable = (values["detector_score"] >= LEAST_SCORE) & (values["eye_distance_px"] >= LEAST_EYE_DISTANCE_PX)
        for each in rule:
            is_usable &= values[each.measure] >= each.min_value
        visible = np.array([values["eyes_visible"], values["mouth_visible"]])
        return cls(vectors, pictures, penalties, visible, is_usable, card.architecture.unit_length)

    def part(self, chosen: Indices) -> "FaceSet":
        """Return some of the faces."""
        return FaceSet(
            self.vectors[chosen],
            self.pictures[chosen],
            self.penalties[:, chosen],
            self.visible[:, chosen],
            self.is_usable[chosen],
            self.unit_length,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """What must be known of clusters of faces to compare them: sums over their faces. One row for each cluster."""

    vectors: Floats = field(repr=False)  # (n, channels)
    squares: Floats  # (n,) of the lengths of embeddings
    penalties: Floats  # (n, measures)
    visible: Floats  # (n, 2) not a sum: of the face that shows most
    sizes: Indices  # (n,) number of faces

    @classmethod
    def of(cls, faces: FaceSet) -> Self:
        """Return the totals of clusters with one face each."""
        vectors = faces.vectors.astype(np.float64)
        squares, sizes = (vectors**2).sum(axis=1), np.ones(len(vectors), np.int64)
        return cls(vectors, squares, faces.penalties.T.copy(), faces.visible.T.copy(), sizes)

    def rows(self, chosen: Indices | slice) -> "Totals":
        """Return some of the rows."""
        return Totals(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def without(self, some: "Totals") -> "Totals":
        """Return each cluster without some of its faces."""
        sums = (getattr(self, name) - getattr(some, name) for name in ("vectors", "squares", "penalties"))
        vectors, squares, penalties = sums
        return Totals(vectors, squares, penalties, self.visible, self.sizes - some.sizes)

    def merge(self, first: Indices, second: Indices) -> None:
        """Add clusters to others, which they are joined to; their own size becomes 0."""
        for sums in (self.vectors, self.squares, self.penalties, self.sizes):
            sums[first] += sums[second]
        self.visible[first] = np.maximum(self.visible[first], self.visible[second])
        self.sizes[second] = 0

    def template_distances(self, others: "Totals") -> Floats:
        """Return the distance of each cluster's template to that of another one (n,), penalties included."""
        lengths = np.sqrt((self.vectors**2).sum(axis=1) * (others.vectors**2).sum(axis=1))
        cosines = np.einsum("ij,ij->i", self.vectors, others.vectors) / np.maximum(lengths, np.finfo(float).tiny)
        distances: Floats = np.sqrt(np.maximum(2 - 2 * cosines, 0)) + self._pair_penalties(others)
        return distances

    def mean_distances(self, others: "Totals") -> Floats:
        """Return the root mean square distance of each cluster's faces to those of another one (n,), with penalties."""
        products = np.einsum("ij,ij->i", self.vectors, others.vectors) / (self.sizes * others.sizes)
        squares = self.squares / self.sizes + others.squares / others.sizes - 2 * products
        distances: Floats = np.sqrt(np.maximum(squares, 0)) + self._pair_penalties(others)
        return distances

    def _pair_penalties(self, others: "Totals") -> Floats:
        """The penalty of the better mean, by each measure: never less than the mean over the pairs of faces."""
        ours, theirs = (each.penalties / each.sizes[:, None] for each in (self, others))
        penalties: Floats = np.minimum(ours, theirs).sum(axis=1)
        return penalties

    def have_a_common_part(self, others: "Totals") -> NDArray[np.bool_]:
        """Tell whether each part of the face is visible in a cluster or another one (n,)."""
        least = np.minimum.reduce(np.maximum(self.visible, others.visible), axis=1)
        is_common: NDArray[np.bool_] = least >= LEAST_VISIBLE
        return is_common


@dataclass(frozen=True, slots=True, eq=False)
class ClusterPairs:
    """Pairs of clusters; `first` is the smaller number."""

    first: Indices  # (k,)
    second: Indices  # (k,)
    distances: Floats  # (k,) of the templates, with penalties; infinite = not comparable
    mean_distances: Floats  # (k,) of their faces, with penalties

    def part(self, chosen: NDArray[np.bool_] | Indices) -> "ClusterPairs":
        """Return some of the pairs."""
        return ClusterPairs(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def joined(self, others: "ClusterPairs") -> "ClusterPairs":
        """Return these pairs and others."""
        return ClusterPairs(
            *(np.concatenate([getattr(self, each.name), getattr(others, each.name)]) for each in fields(self))
        )

    def __len__(self) -> int:
        return len(self.first)


class Clusters:
    """A partition of faces, first with a cluster for each. A number that was joined to another is not used again."""

    def __init__(self, faces: FaceSet) -> None:
        self.of_face: Indices = np.arange(len(faces.vectors))  # (n,) the cluster of each face
        self._faces, self._totals = faces, Totals.of(faces)
        n_on_picture = np.bincount(faces.pictures, minlength=1)[faces.pictures]
        self._with_others = np.flatnonzero(n_on_picture > 1)  # the faces that are not alone on their picture
        self._pictures = faces.pictures[self._with_others]

    @property
    def sizes(self) -> Indices:
        """Number of faces of each cluster; 0 = joined to another."""
        return self._totals.sizes

    def merge(self, first: Indices, second: Indices) -> Indices:
        """Join pairs of clusters, each cluster in one pair at most, to `first`; return the new number of each."""
        self._totals.merge(first, second)
        into = np.arange(len(self.sizes))
        into[second] = first
        self.of_face = into[self.of_face]
        return into

    def share_a_picture(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """Tell for pairs of clusters (k,), each cluster in one pair at most, whether both have a face of one picture.

        Faces of one cluster are all on different pictures.
        """
        pair_of = np.full(len(self.sizes), -1)
        pair_of[first] = pair_of[second] = np.arange(len(first))
        pairs = pair_of[self.of_face[self._with_others]]
        chosen = np.flatnonzero(pairs >= 0)
        order = chosen[np.lexsort((self._pictures[chosen], pairs[chosen]))]
        pairs, pictures = pairs[order], self._pictures[order]
        shared = np.zeros(len(first), np.bool_)
        shared[pairs[1:][(pairs[1:] == pairs[:-1]) & (pictures[1:] == pictures[:-1])]] = True
        return shared

    def pairs(self, first: Indices, second: Indices) -> ClusterPairs:
        """Compare pairs of clusters (k,)."""
        distances, means = np.empty(len(first)), np.empty(len(first))
        for start in range(0, len(first), PAIRS):
            part = slice(start, start + PAIRS)
            ours, theirs = self._totals.rows(first[part]), self._totals.rows(second[part])
            distances[part], means[part] = self._compared(ours, theirs)
        return ClusterPairs(first, second, distances, means)

    def own_distances(self) -> Floats:
        """Return the distance of each face (n,) to the others of its cluster; NaN where there are none."""
        distances = np.full(len(self.of_face), np.nan)
        alone, of_others = Totals.of(self._faces), np.flatnonzero(self.sizes[self.of_face] > 1)
        for start in range(0, len(of_others), PAIRS):
            part = of_others[start : start + PAIRS]
            face = alone.rows(part)
            distances[part] = self._compared(face, self._totals.rows(self.of_face[part]).without(face))[0]
        return distances

    def _compared(self, ours: Totals, theirs: Totals) -> tuple[Floats, Floats]:
        """Distances and mean distances. Without unit length, templates cannot be scaled: then both are the same."""
        means = ours.mean_distances(theirs)
        distances = ours.template_distances(theirs) if self._faces.unit_length else means
        return np.where(ours.have_a_common_part(theirs), distances, np.inf), means

    def nearest(self, of: Indices, limit: float, k: int, advance: Advance) -> ClusterPairs:
        """Find the k nearest clusters of each of some clusters, among those nearer than `limit`; each pair once."""
        n, keys = len(self.sizes), [np.empty(0, np.int64)]
        for n_rows, row, column in self._near(of, limit, k):
            keys.append(np.minimum(row, column) * n + np.maximum(row, column))
            advance(n_rows)
        pairs = self.pairs(*np.divmod(np.unique(np.concatenate(keys)), n))
        return pairs.part(pairs.distances < limit)

    def _near(self, of: Indices, limit: float, k: int) -> Iterator[tuple[int, Indices, Indices]]:
        """Propose pairs, block by block, by plain distances in float32, which are never more than the distances."""
        there = np.flatnonzero(self.sizes)
        rows, columns = self._factors(there)
        places = np.searchsorted(there, of)
        n_rows = max(1, BLOCK_BYTES // (4 * max(1, len(there))))
        for start in range(0, len(of), n_rows):
            these = places[start : start + n_rows]
            squares = rows[these] @ columns.T  # (these, there)
            squares[np.arange(len(these)), these] = np.inf
            row, column = np.divmod(np.flatnonzero(squares < limit**2 + TOLERANCE), len(there))
            chosen = _nearest_of_each(row, squares[row, column], k)
            yield len(these), of[start + row[chosen]], there[column[chosen]]

    def _factors(self, of: Indices) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Two matrices (k, 130) whose product is the squared distances of clusters, without penalties."""
        totals = self._totals.rows(of)
        scale = np.sqrt((totals.vectors**2).sum(axis=1)) if self._faces.unit_length else totals.sizes
        points = totals.vectors / scale[:, None]
        spreads = np.ones(len(of)) if self._faces.unit_length else totals.squares / totals.sizes
        ones = np.ones(len(of))
        rows = np.concatenate([-2 * points, spreads[:, None], ones[:, None]], axis=1)
        columns = np.concatenate([points, ones[:, None], spreads[:, None]], axis=1)
        return rows.astype(np.float32), columns.astype(np.float32)


def _nearest_of_each(rows: Indices, values: NDArray[np.float32], k: int) -> Indices:
    """Return the positions of the k smallest values of each row; `rows` ascend."""
    order = np.lexsort((values, rows))
    starts = np.searchsorted(rows, rows)  # where each row begins
    chosen: Indices = order[np.arange(len(rows)) - starts < k]
    return chosen
