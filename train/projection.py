"""Learn a projection of a model's embeddings to fewer channels on a folder of people, and measure what it costs.

It is the linear discriminant: the directions in which people differ most, relative to how much the photos of one person
do. The covariance within people is shrunk, because there are hardly more photos than channels: Ledoit & Wolf, "A
well-conditioned estimator for large-dimensional covariance matrices", 2004. benchmarks/projection.py compares it with
principal components.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from embedder import Bundle, ModelCard, Projection, new_card, projected, write_bundle

from .data.splits import held_out_people
from .errors import DataError
from .evaluation.bootstrap import Resampling
from .evaluation.compared import compare_photos
from .evaluation.embedding import EmbeddedSet
from .evaluation.measure import Measurement, TarAt, measure
from .evaluation.metrics import has_enough_impostors
from .evaluation.protocols.protocol import Indices, Protocol
from .evaluation.results import Estimate

HELD_OUT = 1 / 3  # of the people
MIN_PHOTOS = 2  # of a person
FMR = 1e-3

Vectors = NDArray[np.float32]


def discriminant(vectors: Vectors, identities: Indices, n_channels: int) -> Projection:
    """Fit the projection of embeddings (n, channels before) of people (n,) with two photos or more.

    The projected embeddings are as long as those before, on average. Raises DataError unless there are more people than
    `n_channels`.
    """
    _, people, counts = np.unique(identities, return_inverse=True, return_counts=True)
    if len(counts) <= n_channels:
        raise DataError(
            f"a projection to {n_channels} channels takes at least {n_channels + 1} people with {MIN_PHOTOS} photos of "
            f"a face or more, besides those held out; there are {len(counts)}"
        )
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)
    centres = np.zeros((len(counts), exact.shape[1]))
    np.add.at(centres, people, exact - mean)
    centres /= counts[:, None]
    within, _ = ledoit_wolf(exact - mean - centres[people], assume_centered=True)
    between = (centres * counts[:, None]).T @ centres / len(exact)
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    _, axes = np.linalg.eigh(whitening @ between @ whitening.T)  # the smallest first
    matrix = axes[:, : -n_channels - 1 : -1].T @ whitening
    scale = np.sqrt(((exact - mean) ** 2).sum() / (((exact - mean) @ matrix.T) ** 2).sum())
    return Projection((scale * matrix).astype(np.float32), mean.astype(np.float32))


@dataclass(frozen=True, slots=True)
class ProjectionPeople:
    """The people that a projection is learned on, and others that it is measured on."""

    learned: Protocol
    held_out: Protocol

    @classmethod
    def of(cls, people: Protocol, seed: int) -> Self:
        """Hold out a third of the people."""
        held = held_out_people({photo.identity for photo in people.photos}, HELD_OUT, seed)
        parts = (
            tuple(photo for photo in people.photos if (photo.identity in held) is is_held_out)
            for is_held_out in (False, True)
        )
        return cls(*(replace(people, photos=photos) for photos in parts))


@dataclass(frozen=True, slots=True, eq=False)
class LearnedProjection:
    """A projection, and on how many photos and people it was learned."""

    projection: Projection
    n_photos: int
    n_people: int

    def __str__(self) -> str:
        before, after = self.projection.matrix.shape[::-1]
        return f"{before} to {after} channels, learned on {self.n_photos:,} photos of {self.n_people:,} people"


def learn_projection(people: Protocol, embedded: EmbeddedSet, n_channels: int) -> LearnedProjection:
    """Learn a projection on the photos that show a face. Raises DataError if they show too few people."""
    identities = people.identities
    usable = ~np.isnan(embedded.vectors[:, 0])
    kept = usable & (np.bincount(identities[usable], minlength=people.n_identities)[identities] >= MIN_PHOTOS)
    projection = discriminant(embedded.vectors[kept], identities[kept], n_channels)
    return LearnedProjection(projection, int(kept.sum()), len(np.unique(identities[kept])))


def write_projected(bundle: Bundle, learned: LearnedProjection, name: str, folder: Path) -> ModelCard:
    """Write a bundle that ends with the projection; its card has no operating points. Raises BundleError."""
    network, card = projected(bundle, learned.projection), bundle.card
    provenance = card.provenance.model_copy(
        update={
            "trained_on": f"{card.provenance.trained_on}; then projected from {learned}",
            "stored_parameters": network.n_parameters,
        }
    )
    made = new_card(
        name=name,
        summary=f"{card.summary} Projected from {learned}.",
        limits=card.limits,
        architecture=network.architecture,
        preprocessing=card.preprocessing,
        alignment=card.alignment,
        detector=card.detector,
        provenance=provenance,
        weights=network.weights,
        graph=network.graph,
        training=card.training,
    )
    write_bundle(folder, made, network.weights, network.graph)
    return made


@dataclass(frozen=True, slots=True)
class ProjectionCost:
    """FNMR at an FMR of 1e-3 before and after, on the same photos, and the difference."""

    before: Estimate
    after: Estimate
    difference: Estimate  # positive: more genuine comparisons are rejected after it


def projection_cost(
    held_out: Protocol, before: EmbeddedSet, after: EmbeddedSet, resampling: Resampling
) -> ProjectionCost:
    """Compare all photos with all, by embeddings of both kinds, without penalties for poor photos."""
    first, second = (_fnmr(held_out, each, resampling) for each in (before, after))
    if first is None or second is None:
        return ProjectionCost(*(Estimate(None, None),) * 3)
    difference = Measurement(second.values - first.values, second.draws - first.draws)
    return ProjectionCost(first.estimate(), second.estimate(), difference.estimate())


def _fnmr(photos: Protocol, embedded: EmbeddedSet, resampling: Resampling) -> Measurement | None:
    """FNMR at that FMR; None if there are too few comparisons."""
    scores = compare_photos(photos, embedded, seed=resampling.seed).scores
    if not has_enough_impostors(scores.impostor.tally, FMR) or not scores.genuine.tally.n:
        return None
    tar = measure(scores, {"tar": TarAt((FMR,))}, resampling)["tar"]
    return Measurement(1 - tar.values, 1 - tar.draws)


def difference_text(cost: ProjectionCost) -> str:
    """Return the difference in percentage points, with its interval."""
    value, between = cost.difference.value, cost.difference.interval
    if value is None:
        return "the difference is not measured: there are too few comparisons"
    limits = "" if between is None else f" [{100 * between[0]:+.2f} to {100 * between[1]:+.2f}]"
    return f"a difference of {100 * value:+.2f} points{limits}"
