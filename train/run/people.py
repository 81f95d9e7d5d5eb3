"""Who learns and who is held out, as positions among prepared chips; held-out chips as an evaluation needs them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embedder import FaceEmbedder

from ..data.photos import shown
from ..data.prepared import PreparedData, open_prepared
from ..data.splits import EXAMPLES, PeopleSplit, other_people, split_people
from ..errors import DataError
from ..evaluation.embedding import EmbeddedSet
from ..evaluation.protocols.protocol import Indices, Protocol, identity_numbers
from ..run_file import RunFile


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutPeople:
    """People whom a network does not learn from."""

    data: PreparedData
    positions: Indices  # (n,) among the data's chips
    labels: Indices  # (n,)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPeople:
    """Those who are learnt from, and those held out."""

    data: PreparedData
    positions: Indices  # (n,) of the chips that are learnt from
    labels: Indices  # (n,) their identities, counted from 0
    held_out: HeldOutPeople
    left_out: tuple[str, ...]  # who and what takes no part, in words

    @property
    def n_identities(self) -> int:
        """How many people are learnt from."""
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
            f"{held_out.data.folder}: of those held out nobody has two images, so no error rate can be measured on "
            f"them; raise data.min_images (now {min_images}) to 2 or more, or hold out more people"
        )


def _left_out(split: PeopleSplit, min_images: int) -> Iterator[str]:
    """Say who and what takes no part."""
    if split.left_out:
        names = ", ".join(map(shown, split.left_out[:EXAMPLES])) + ", ..." * (len(split.left_out) > EXAMPLES)
        yield f"left out: {len(split.left_out):,} with fewer than {min_images} images of them ({names})"
    if len(split.contradictory):
        yield f"left out: {len(split.contradictory):,} images that lie with people on both sides"


def _held_out(data: PreparedData, positions: Indices) -> HeldOutPeople:
    return HeldOutPeople(data, positions, _labels(data, positions))


def _labels(data: PreparedData, positions: Indices) -> Indices:
    return identity_numbers([data.identities[k] for k in np.asarray(positions)])


BATCH = 64


def protocol_of(data: PreparedData, positions: Indices, name: str) -> Protocol:
    """Return the photos behind some chips, to be compared all against all."""
    return Protocol(name, tuple(data.photo(int(k)) for k in positions), None, data.face)


def embedded_chips(data: PreparedData, positions: Indices, embedder: FaceEmbedder) -> EmbeddedSet:
    """Embed chips as serving embeds the faces of their photos, which are these very chips."""
    parts = [positions[start : start + BATCH] for start in range(0, len(positions), BATCH)]
    vectors = np.concatenate([embedder.embed_faces(data.chips(part)) for part in parts])
    digests = tuple(data.image_digests[k] for k in positions)
    return EmbeddedSet(vectors, (None,) * len(positions), digests, data.measures[positions])
