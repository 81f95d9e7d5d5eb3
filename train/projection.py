"""Learn a projection of a model's embeddings to fewer channels on a folder of people, and measure what it costs.

It keeps the principal components. benchmarks/projection.py compares them with a linear discriminant, which was no
better on people held out.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import Bundle, ModelCard, Projection, new_card, projected, write_bundle

from .data.splits import held_out_people
from .errors import DataError
from .evaluation.bootstrap import Resampling
from .evaluation.compared import compare_photos
from .evaluation.embedding import EmbeddedSet
from .evaluation.measure import Measurement, TarAt, difference_of, measure
from .evaluation.metrics import has_enough_impostors
from .evaluation.protocols.protocol import Protocol
from .evaluation.results import Estimate
from .evaluation.scores import ScoreSet

HELD_OUT = 1 / 3  # of the people
FMR = 1e-3

Vectors = NDArray[np.float32]


def principal_components(vectors: Vectors, n_channels: int) -> Projection:
    """Fit the projection of embeddings (n, channels before) to the directions in which they differ most.

    Raises DataError unless there are more embeddings than `n_channels`.
    """
    if len(vectors) <= n_channels:
        raise DataError(
            f"a projection to {n_channels} channels takes at least {n_channels + 1} photos of a face, besides those of "
            f"people held out; there are {len(vectors)}"
        )
    centred = vectors.astype(np.float64)
    mean = centred.mean(axis=0)
    centred -= mean
    _, axes = np.linalg.eigh(centred.T @ centred)  # the smallest first
    return Projection(axes[:, : -n_channels - 1 : -1].T.astype(np.float32), mean.astype(np.float32))


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
    """Learn a projection on the photos that show a face. Raises DataError if there are too few."""
    usable = ~np.isnan(embedded.vectors[:, 0])
    projection = principal_components(embedded.vectors[usable], n_channels)
    return LearnedProjection(projection, int(usable.sum()), len(np.unique(people.identities[usable])))


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
    both = [compare_photos(held_out, each, seed=resampling.seed).scores for each in (before, after)]
    if not all(has_enough_impostors(each.impostor.tally, FMR) and each.genuine.tally.n for each in both):
        return ProjectionCost(*(Estimate(None, None),) * 3)
    first, second = (_fnmr(each, resampling) for each in both)
    n_people = [each.genuine.n_pairs for each in both]
    return ProjectionCost(
        before=first.rate(0, n_people[0]),
        after=second.rate(0, n_people[1]),
        difference=difference_of(second, first, 0, min(n_people)),
    )


def _fnmr(scores: ScoreSet, resampling: Resampling) -> Measurement:
    """FNMR at that FMR."""
    tar = measure(scores, {"tar": TarAt((FMR,))}, resampling)["tar"]
    return Measurement(1 - tar.values, 1 - tar.draws)


def difference_text(cost: ProjectionCost) -> str:
    """Return the difference in percentage points, with its interval."""
    value, between = cost.difference.value, cost.difference.interval
    if value is None:
        return "the difference is not measured: there are too few comparisons"
    limits = "" if between is None else f" [{100 * between[0]:+.2f} to {100 * between[1]:+.2f}]"
    return f"a difference of {100 * value:+.2f} points{limits}"
