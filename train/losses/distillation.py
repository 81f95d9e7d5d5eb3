"""Distillation: the distance between the embeddings and a teacher's embeddings of the same faces."""

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .. import run_file as runfile
from .batch import LossBatch, TermValue

Measure = Callable[[Tensor, Tensor], Tensor]


class DistillationTerm(nn.Module):
    """The mean over faces of a distance measure between their embeddings and the teacher's."""

    def __init__(self, teacher: str, measure: Measure) -> None:
        super().__init__()
        self._teacher, self._measure = teacher, measure

    def forward(self, faces: LossBatch, _step: int) -> TermValue:
        """Compute the loss of a batch. Raises ValueError if this teacher's embeddings are missing."""
        if self._teacher not in faces.teachers:
            raise ValueError(
                f"the embeddings of teacher {self._teacher!r} are missing; {sorted(faces.teachers)} are given"
            )
        theirs = faces.teachers[self._teacher].to(faces.embeddings)
        return TermValue(self._measure(faces.embeddings, theirs).mean())


def distillation(term: runfile.Distillation) -> DistillationTerm:
    """Build the distillation term of a run file."""
    measures: dict[str, Measure] = {"cosine": by_cosine, "mse": by_square}
    return DistillationTerm(term.teacher, measures[term.measure])


def by_cosine(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return 1 - cosine of (n, channels) and (n, channels), 0..2: (n,)."""
    return 1 - F.cosine_similarity(ours, theirs)


def by_square(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the squared distance, summed over channels: (n,)."""
    return (ours - theirs).square().sum(dim=1)
