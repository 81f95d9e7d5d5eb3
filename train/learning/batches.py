"""Batches for the training loop. A batch depends only on the seed and the step, so a run can resume at any step.

A chip feed augments chips again each time. A feature feed, for training the head only, draws from features that the
frozen backbone computed once.
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

from ..augmentation import Augmenter, ShareOfDraws
from ..data.prepared import KeptChips, PreparedData
from ..evaluation.protocols.protocol import Indices
from .sampler import PKSampler, Share

_AUGMENTATION = (2, 0)  # random stream, separate from the sampler's


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """n faces with their labels and teachers' embeddings; with several processes, each has only its share of inputs."""

    inputs: Tensor  # uint8 (n, 3, side, side), or float32 (n, channels, side, side) of features
    labels: Tensor  # int64 (n,)
    teachers: dict[str, Tensor]  # by the teacher's name: (n, channels)

    def to(self, device: torch.device) -> "Batch":
        """Move the batch to a device."""
        teachers = {name: vectors.to(device) for name, vectors in self.teachers.items()}
        return Batch(self.inputs.to(device), self.labels.to(device), teachers)


class BatchSource(Protocol):
    """A source of batches, by step."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""


@dataclass(frozen=True, slots=True, eq=False)
class LabeledChips:
    """The faces to train on."""

    data: PreparedData
    positions: Indices  # (n,) among the data's chips
    labels: Indices  # (n,) identity of each, counted from 0
    teachers: dict[str, np.ndarray]  # by the teacher's name: float32 (n, channels)

    def batch(self, chosen: Indices, inputs: Tensor) -> Batch:
        """Join inputs with the labels and teachers' embeddings of the chosen faces, (k,) positions among the n."""
        teachers = {name: torch.from_numpy(vectors[chosen]) for name, vectors in self.teachers.items()}
        return Batch(inputs, torch.from_numpy(self.labels[chosen].astype(np.int64)), teachers)


class ChipBatchSource:
    """A feed of augmented chips."""

    def __init__(self, faces: LabeledChips, sampler: PKSampler, augmenter: Augmenter, seed: int) -> None:
        self._faces, self._sampler, self._augmenter = faces, sampler, augmenter
        self._chips = KeptChips(faces.data, faces.positions)
        self._seed, self._share = seed, sampler.share

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        chosen = self._sampler.batch(step)
        chips = self._chips(chosen[self._share.of(len(chosen))])
        return self._faces.batch(chosen, self._augmenter(chips, _draws(self._seed, step, self._share)))


def _draws(seed: int, step: int, share: Share) -> ShareOfDraws:
    return ShareOfDraws(np.random.default_rng([seed, *_AUGMENTATION, step]), share.process, share.n_processes)


@dataclass(frozen=True, slots=True, eq=False)
class LabeledFeatures:
    """The features of each face, from a frozen backbone."""

    upright: Tensor  # float32 (n, channels, side, side), usually of side 1
    mirrored: Tensor  # features of flipped chips, same shape; equal to `upright` if these are never drawn
    probability: float  # of drawing the flipped chip


class FeatureBatchSource:
    """A feed of features, for training the head only."""

    def __init__(self, faces: LabeledChips, sampler: PKSampler, features: LabeledFeatures, seed: int) -> None:
        self._faces, self._sampler, self._features = faces, sampler, features
        self._seed, self._share = seed, sampler.share

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        chosen = self._sampler.batch(step)
        own = chosen[self._share.of(len(chosen))]
        chances = _draws(self._seed, step, self._share).random(len(own))
        is_mirrored = torch.from_numpy(chances < self._features.probability)
        drawn = torch.where(is_mirrored[:, None, None, None], self._features.mirrored[own], self._features.upright[own])
        return self._faces.batch(chosen, drawn)


class Prefetcher:
    """Wraps a feed and prepares its next batch in a thread during the current step."""

    def __init__(self, feed: BatchSource, pool: ThreadPoolExecutor) -> None:
        self._feed, self._pool = feed, pool
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, and start to make the next one."""
        ready = self._next if self._next is not None and self._next[0] == step else None
        batch = self._feed.batch(step) if ready is None else ready[1].result()
        self._next = step + 1, self._pool.submit(self._feed.batch, step + 1)
        return batch


@contextmanager
def prefetch(feed: BatchSource, device: torch.device) -> Iterator[BatchSource]:
    """Make batches ahead in a thread, which ends with the block.

    On the CPU, batches are made between steps instead: the threads of a step synchronise hundreds of times, so all
    would wait for the thread whose core also makes batches.
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
    """Flip chips (n, height, width, 3) horizontally."""
    return np.ascontiguousarray(chips[:, :, ::-1])
