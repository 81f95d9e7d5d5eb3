"""Distillation: how far the embeddings are from those that a teacher gives to the same faces."""

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .. import run_file as runfile
from .batch import LossBatch, TermValue

Measure = Callable[[Tensor, Tensor], Tensor]


class DistillationTerm(nn.Module):
    """The mean over faces of a measure between their embeddings and the teacher's."""

    def __init__(self, teacher: str, measure: Measure) -> None:
        super().__init__()
        self._teacher, self._measure = teacher, measure

    def forward(self, faces: LossBatch, _step: int) -> TermValue:
        """Compare; raises ValueError where the batch comes without this teacher's embeddings."""
        if self._teacher not in faces.teachers:
            raise ValueError(
                f"the embeddings of teacher {self._teacher!r} are missing; {sorted(faces.teachers)} are given"
            )
        theirs = faces.teachers[self._teacher].to(faces.embeddings)
        return TermValue(self._measure(faces.embeddings, theirs).mean())


def distillation(term: runfile.Distillation) -> DistillationTerm:
    """Make the term that a run file asks for."""
    measures: dict[str, Measure] = {"cosine": by_cosine, "mse": by_square}
    return DistillationTerm(term.teacher, measures[term.measure])


def by_cosine(ours: Tensor, theirs: Tensor) -> Tensor:
    """Measure 1 - cosine of (n, 128) and (n, 128), 0..2: (n,)."""
    return 1 - F.cosine_similarity(ours, theirs)


def by_square(ours: Tensor, theirs: Tensor) -> Tensor:
    """Measure the squared distance, summed over channels: (n,)."""
    return (ours - theirs).square().sum(dim=1)
