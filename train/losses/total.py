"""The whole loss of a run: its terms, each with a weight that may rise over the first steps."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..runfile.losses import Term
from .faces import LossBatch, TermValue


@dataclass(frozen=True, slots=True, eq=False)
class LossValue:
    """What a batch costs."""

    total: Tensor  # scalar; the weighted sum
    parts: dict[str, float]  # by the term's name, not weighted; a term whose weight is still 0 is absent
    active_share: float | None  # 0..1; of the first term that compares faces, as its miner defines it; None: none does
    share_of_plateau: (
        float | None
    )  # likewise: its loss over what it is when all embeddings are one point; None: unknown


@dataclass(frozen=True, slots=True)
class LossWeight:
    """A term's weight, step by step."""

    full: float
    warm_up_steps: int

    @classmethod
    def of(cls, term: Term) -> "LossWeight":
        """Take it from a run file."""
        return cls(term.weight, term.warm_up_steps)

    def at(self, step: int) -> float:
        """Return the weight at a step, counted from 0: it rises in a straight line from 0."""
        return self.full * (min(step / self.warm_up_steps, 1) if self.warm_up_steps else 1)


class TotalLoss(nn.Module):
    """A weighted sum of terms. Its state: class weights, and memories with their positions."""

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, LossWeight]) -> None:
        super().__init__()
        self.terms, self._weights = nn.ModuleDict(terms), dict(weights)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in the run file's order."""
        return tuple(self._weights)

    def forward(
        self, embeddings: Tensor, labels: Tensor, step: int, teacher: Mapping[str, Tensor] | None = None
    ) -> LossValue:
        """Judge embeddings (n, 128) with labels int64 (n,) at a step, counted from 0; lower precision becomes float32.

        `teacher` holds the (n, 128) embeddings that each teacher, by its name, gives to the same faces. Raises
        LossError where a memory is smaller than the batch; ValueError where a teacher is missing or a label is out of
        range.
        """
        exact = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        faces = LossBatch(exact, labels, teacher or {})
        weights = {name: weight for name in self.names if (weight := self._weights[name].at(step)) > 0}
        values: dict[str, TermValue] = {name: self.terms[name](faces, step) for name in weights}
        total = sum(
            (weight * values[name].loss for name, weight in weights.items()), start=self._nothing(faces, weights)
        )
        parts = {name: float(value.loss.detach()) for name, value in values.items()}
        return LossValue(
            total,
            parts,
            next((value.active_share for value in values.values() if value.active_share is not None), None),
            next((value.share_of_plateau for value in values.values() if value.share_of_plateau is not None), None),
        )

    def _nothing(self, faces: LossBatch, weights: Mapping[str, float]) -> Tensor:
        """0, with a gradient of 0 for all that no term reaches: processes that share gradients wait for every one."""
        idle = [term for name, term in self.terms.items() if name not in weights]
        reached = [faces.embeddings, *(parameter for term in idle for parameter in term.parameters())] if idle else []
        return sum((0 * each.sum() for each in reached), start=faces.embeddings.new_zeros(()))
