"""What a step learns from. A batch depends on the seed and the step alone, so a run can go on anywhere.

A feed of chips augments them anew each time; a feed of features, for a head that learns alone, draws from what the
backbone made of them once.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from embedder import Pixels

from ..augmentation import Augmenter
from ..data.prepared import KeptChips, PreparedData
from ..evaluation.protocols.protocol import Indices
from .sampler import PeopleSampler

_AUGMENTATION = 2  # a stream of draws of its own beside the sampler's


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """n faces, and what is known of them."""

    inputs: Tensor  # uint8 (n, 3, side, side), or float32 (n, channels, side, side) of features
    labels: Tensor  # int64 (n,)
    teachers: dict[str, Tensor]  # by the teacher's name: (n, 128)

    def to(self, device: torch.device) -> "Batch":
        """The same there."""
        teachers = {name: vectors.to(device) for name, vectors in self.teachers.items()}
        return Batch(self.inputs.to(device), self.labels.to(device), teachers)


class Feed(Protocol):
    """Batches by step."""

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, counted from 0."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceBatches:
    """Which faces are learnt from."""

    data: PreparedData
    positions: Indices  # (n,) among the data's chips
    labels: Indices  # (n,) identity of each, counted from 0
    teachers: dict[str, np.ndarray]  # by the teacher's name: float32 (n, 128)

    def batch(self, chosen: Indices, inputs: Tensor) -> Batch:
        """Join inputs with what is known of the chosen faces, (k,) of the n."""
        teachers = {name: torch.from_numpy(vectors[chosen]) for name, vectors in self.teachers.items()}
        return Batch(inputs, torch.from_numpy(self.labels[chosen].astype(np.int64)), teachers)


class ChipFeed:
    """Augmented chips."""

    def __init__(self, faces: FaceBatches, sampler: PeopleSampler, augmenter: Augmenter, seed: int) -> None:
        self._faces, self._sampler, self._augmenter = faces, sampler, augmenter
        self._chips = KeptChips(faces.data, faces.positions)
        self._seed = seed

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, counted from 0."""
        chosen = self._sampler.batch(step)
        chips = self._chips(chosen)
        generator = np.random.default_rng([self._seed, _AUGMENTATION, self._sampler.process, step])
        return self._faces.batch(chosen, self._augmenter(chips, generator))


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBatches:
    """What a trunk that does not learn makes of each face."""

    upright: Tensor  # float32 (n, channels, side, side), mostly of one pixel
    mirrored: Tensor  # the same of the mirror images; the same as `upright` where these are never drawn
    probability: float  # with which the mirror image is drawn


class FeatureFeed:
    """Features in place of chips, for a head that learns alone."""

    def __init__(self, faces: FaceBatches, sampler: PeopleSampler, features: FeatureBatches, seed: int) -> None:
        self._faces, self._sampler, self._features = faces, sampler, features
        self._seed = seed

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, counted from 0."""
        chosen = self._sampler.batch(step)
        generator = np.random.default_rng([self._seed, _AUGMENTATION, self._sampler.process, step])
        is_mirrored = torch.from_numpy(generator.random(len(chosen)) < self._features.probability)
        drawn = torch.where(
            is_mirrored[:, None, None, None], self._features.mirrored[chosen], self._features.upright[chosen]
        )
        return self._faces.batch(chosen, drawn)


class Prefetcher:
    """Another feed whose next batch is made while this one is learnt from."""

    def __init__(self, feed: Feed, pool: ThreadPoolExecutor) -> None:
        self._feed, self._pool = feed, pool
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, and begin with the next one's."""
        ready = self._next if self._next is not None and self._next[0] == step else None
        batch = self._feed.batch(step) if ready is None else ready[1].result()
        self._next = step + 1, self._pool.submit(self._feed.batch, step + 1)
        return batch


@contextmanager
def prefetch(feed: Feed, device: torch.device) -> Iterator[Feed]:
    """Make batches ahead, in a thread that ends with the block, while the device learns.

    Not where that is the CPU: the threads of a step wait for each other hundreds of times, and so for the one whose
    core makes batches. Those are made between steps then.
    """
    if device.type == "cpu":
        yield feed
        return
    pool = ThreadPoolExecutor(1)
    try:
        yield Prefetcher(feed, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def flipped(chips: Pixels) -> Pixels:
    """Left and right exchanged, of chips (n, height, width, 3)."""
    return np.ascontiguousarray(chips[:, :, ::-1])
