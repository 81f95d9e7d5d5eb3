"""Build the total loss from a run file's terms: their weighted sum, computed per branch if the network has several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from ..run_file import ArcFace, Contrastive, CosFace, Distillation, LossTerm, MultiSimilarity, Term, Triplet
from .batch import LossBatch, TermValue
from .classification import arcface, cosface
from .distillation import distillation
from .metric import contrastive, multi_similarity, triplet


class BranchLosses(nn.Module):
    """One term per branch, computed on the channels of that branch. The losses are added."""

    def __init__(self, terms: Sequence[nn.Module]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)

    def forward(self, faces: LossBatch, step: int) -> TermValue:
        """Compute the loss of a batch; shares are means over the branches."""
        parts = faces.embeddings.chunk(len(self.terms), dim=1)
        values: list[TermValue] = [
            term(replace(faces, embeddings=part), step) for term, part in zip(self.terms, parts, strict=True)
        ]
        return TermValue(
            sum((value.loss for value in values), start=faces.embeddings.new_zeros(())),
            _mean([value.active_share for value in values]),
            _mean([value.share_of_plateau for value in values]),
        )


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True, eq=False)
class LossValue:
    """The loss of a batch."""

    total: Tensor  # scalar; the weighted sum
    parts: dict[str, float]  # by the term's name, not weighted; without terms whose weight is still 0
    active_share: (
        float | None
    )  # 0..1; of the first term that compares faces, as its miner defines it; None: no such term
    share_of_plateau: float | None  # likewise: its loss divided by the loss of equal embeddings; None: unknown


@dataclass(frozen=True, slots=True)
class LossWeight:
    """A term's weight as a function of the step."""

    full: float
    warm_up_steps: int

    @classmethod
    def of(cls, term: Term) -> "LossWeight":
        """Return the weight of a run file's term."""
        return cls(term.weight, term.warm_up_steps)

    def at(self, step: int) -> float:
        """Return the weight at a step, counted from 0; it rises linearly from 0 during warm-up."""
        return self.full * (min(step / self.warm_up_steps, 1) if self.warm_up_steps else 1)


class TotalLoss(nn.Module):
    """A weighted sum of terms. Its state: class weights and cross-batch memories."""

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
        """Compute the loss of embeddings (n, channels) with labels int64 (n,) in float32 or better; steps count from 0.

        `teacher` holds each teacher's embeddings (n, channels) of the same faces, by the teacher's name. Raises
        LossError if a memory is smaller than the batch, and ValueError if a teacher is missing or a label is out of
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
        """Return 0 with zero gradients for parameters of idle terms: distributed training waits for all gradients."""
        idle = [term for name, term in self.terms.items() if name not in weights]
        reached = [faces.embeddings, *(parameter for term in idle for parameter in term.parameters())] if idle else []
        return sum((0 * each.sum() for each in reached), start=faces.embeddings.new_zeros(()))


LabelTerm = Contrastive | Triplet | MultiSimilarity | ArcFace | CosFace


def build_losses(
    terms: Sequence[LossTerm],
    *,
    n_identities: int,
    n_channels: int,
    unit_length: bool,
    generator: torch.Generator,
    n_branches: int = 1,
) -> TotalLoss:
    """Build the loss of a run for embeddings of `n_channels` channels.

    With `unit_length`, contrastive and triplet terms normalise embeddings to unit length before measuring distances;
    multi-similarity and classification always use angles. `generator` draws class weights. With several branches, each
    branch has its own terms, except distillation, which uses the whole embedding.
    """
    names = names_of(terms)
    of_branch = partial(_judge, n_channels=n_channels // n_branches, n_identities=n_identities, generator=generator)
    built = [_built(term, partial(of_branch, term, unit_length=unit_length), n_branches) for term in terms]
    weights = [LossWeight.of(term) for term in terms]
    return TotalLoss(dict(zip(names, built, strict=True)), dict(zip(names, weights, strict=True)))


def names_of(terms: Sequence[LossTerm]) -> list[str]:
    """Name each term by its kind; repeated kinds get a number, as in triplet-2."""
    kinds = [term.kind for term in terms]
    numbers = [kinds[: k + 1].count(kind) for k, kind in enumerate(kinds)]
    return [kind if number == 1 else f"{kind}-{number}" for kind, number in zip(kinds, numbers, strict=True)]


def _built(term: LossTerm, judge: Callable[[], nn.Module], n_branches: int) -> nn.Module:
    if isinstance(term, Distillation):
        return distillation(term)
    return judge() if n_branches == 1 else BranchLosses([judge() for _ in range(n_branches)])


def _judge(
    term: LabelTerm, n_channels: int, n_identities: int, generator: torch.Generator, *, unit_length: bool
) -> nn.Module:
    """Build a term that uses identity labels, for embeddings of `n_channels` channels."""
    match term:
        case Contrastive():
            return contrastive(term, n_channels, unit_length=unit_length)
        case Triplet():
            return triplet(term, n_channels, unit_length=unit_length)
        case MultiSimilarity():
            return multi_similarity(term, n_channels)
        case ArcFace():
            return arcface(term, n_identities, n_channels, generator)
        case CosFace():
            return cosface(term, n_identities, n_channels, generator)
