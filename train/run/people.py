"""Divide the people into those for training and those held out, and prepare the latter for an evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embedder import FaceEmbedder, Job, Progress, no_progress

from ..data.photos import shown
from ..data.prepared import PreparedData, open_prepared
from ..data.splits import EXAMPLES, PeopleSplit, other_people, split_people
from ..errors import DataError
from ..evaluation.embedding import EmbeddedSet
from ..evaluation.protocols.protocol import Indices, Protocol, identity_numbers
from ..run_file import RunFile


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutPeople:
    """Chips of people held out, who are not used for training."""

    data: PreparedData
    positions: Indices  # (n,) among the data's chips
    labels: Indices  # (n,)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPeople:
    """Chips of the people to train on, and of those held out."""

    data: PreparedData
    positions: Indices  # (n,) of the chips to train on
    labels: Indices  # (n,) their identities, counted from 0
    held_out: HeldOutPeople
    left_out: tuple[str, ...]  # descriptions of people and images that are not used

    @property
    def n_identities(self) -> int:
        """Number of people to train on."""
        return int(self.labels.max()) + 1


def people_of(run: RunFile) -> TrainingPeople:
    """Open the data and divide the people. Raises DataError."""
    data = open_prepared(run.data.train)
    if run.data.validation is None:
        split = split_people(data, run.data.held_out, run.data.min_images, run.seed)
        held_out = _held_out(data, split.validation)
    else:
        others = open_prepared(run.data.validation)
        split = other_people(data, others, run.data.min_images)
        held_out = _held_out(others, split.validation)
    _require_genuine_pairs(held_out, run.data.min_images)
    return TrainingPeople(
        data, split.train, _labels(data, split.train), held_out, tuple(_left_out(split, run.data.min_images))
    )


def _require_genuine_pairs(held_out: HeldOutPeople, min_images: int) -> None:
    if not (np.bincount(held_out.labels) > 1).any():
        raise DataError(
            f"{held_out.data.folder}: nobody held out has two images, so error rates cannot be measured on "
            f"them; raise data.min_images (now {min_images}) to 2 or more, or hold out more people"
        )


def _left_out(split: PeopleSplit, min_images: int) -> Iterator[str]:
    """Describe the people and images that are not used."""
    if split.left_out:
        names = ", ".join(map(shown, split.left_out[:EXAMPLES])) + ", ..." * (len(split.left_out) > EXAMPLES)
        yield f"left out: {len(split.left_out):,} people with fewer than {min_images} images ({names})"
    if len(split.contradictory):
        yield f"left out: {len(split.contradictory):,} images found among both the training and the held-out people"


def _held_out(data: PreparedData, positions: Indices) -> HeldOutPeople:
    return HeldOutPeople(data, positions, _labels(data, positions))


def _labels(data: PreparedData, positions: Indices) -> Indices:
    return identity_numbers([data.identities[k] for k in np.asarray(positions)])


BATCH = 64


def protocol_of(data: PreparedData, positions: Indices, name: str) -> Protocol:
    """Return the protocol that compares the photos of these chips all against all."""
    return Protocol(name, tuple(data.photo(int(k)) for k in positions), None, data.face)


def embedded_chips(
    data: PreparedData, positions: Indices, embedder: FaceEmbedder, progress: Progress = no_progress
) -> EmbeddedSet:
    """Embed chips exactly as serving embeds the faces of their photos."""
    parts = [positions[start : start + BATCH] for start in range(0, len(positions), BATCH)]
    vectors = []
    with progress(Job("embedding", len(positions))) as advance:
        for part in parts:
            vectors.append(embedder.embed_faces(data.chips(part)))
            advance(len(part))
    digests = tuple(data.image_digests[k] for k in positions)
    return EmbeddedSet(np.concatenate(vectors), (None,) * len(positions), digests, data.measures[positions])
