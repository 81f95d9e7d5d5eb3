"""Outputs of frozen networks, computed once per face: a teacher's embeddings or a frozen backbone's features."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from embedder import Chips, EmbeddingNet, Job, Progress, fuse_batch_norm, load

from ..data.prepared import PreparedData
from ..errors import TrainingError
from ..evaluation.protocols.protocol import Indices
from ..learning.batches import LabeledFeatures, flipped
from ..run_file import Distillation, Flip, LossTerm
from ..run_file_reading import BUILT_IN

BATCH = 64

Floats = NDArray[np.float32]


def teachers_of(terms: tuple[LossTerm, ...]) -> tuple[str, ...]:
    """Return the names of all teachers, each once."""
    return tuple(dict.fromkeys(term.teacher for term in terms if isinstance(term, Distillation)))


def teacher_embeddings(name: str, data: PreparedData, positions: Indices, progress: Progress) -> Floats:
    """Embed chips with a teacher: (n, channels). Raises BundleError and TrainingError."""
    teacher = load(None if name == BUILT_IN else name)
    if teacher.card.alignment != data.alignment:
        raise TrainingError(
            f"the chips were prepared for another model than the teacher {name}; run visavis prepare with --model "
            f"{teacher.card.name if name == BUILT_IN else name}"
        )
    return _each(teacher.embed_faces, data, positions, progress)


def features_of(
    network: EmbeddingNet, data: PreparedData, positions: Indices, mirror: Flip, progress: Progress
) -> LabeledFeatures:
    """Compute the backbone's features of chips, and of flipped chips if `mirror` may draw these."""
    trunk = fuse_batch_norm(deepcopy(network).eval())
    turns = (np.asarray, flipped) if mirror.probability > 0 else (np.asarray,)
    found = [torch.from_numpy(_each(_features(trunk, turn), data, positions, progress)) for turn in turns]
    return LabeledFeatures(found[0], found[-1], mirror.probability)


def _features(network: EmbeddingNet, turn: Callable[[Chips], Chips]) -> Callable[[Chips], Floats]:
    device = next(network.parameters()).device

    def run(chips: Chips) -> Floats:
        with torch.inference_mode():
            there = torch.from_numpy(turn(chips)).to(device)
            maps: torch.Tensor = network.features(network.resized(there))
            return maps.cpu().numpy()

    return run


def _each(work: Callable[[Chips], Floats], data: PreparedData, positions: Indices, progress: Progress) -> Floats:
    parts = [positions[start : start + BATCH] for start in range(0, len(positions), BATCH)]
    done = []
    with progress(Job("embedding", len(positions))) as advance:
        for part in parts:
            done.append(work(data.chips(part)))
            advance(len(part))
    return np.concatenate(done)
