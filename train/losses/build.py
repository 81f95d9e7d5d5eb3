"""From the terms of a run file to the loss."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from ..runfile.losses import (
    ArcFace,
    Contrastive,
    CosFace,
    Distillation,
    LossTerm,
    MultiSimilarity,
    Triplet,
)
from .branches import BranchLosses
from .classification import arcface, cosface
from .distillation import distillation
from .metric import contrastive, multi_similarity, triplet
from .total import LossWeight, TotalLoss

CHANNELS = 128

LabelTerm = Contrastive | Triplet | MultiSimilarity | ArcFace | CosFace


def build_losses(
    terms: Sequence[LossTerm],
    *,
    n_identities: int,
    unit_length: bool,
    generator: torch.Generator,
    n_branches: int = 1,
) -> TotalLoss:
    """Build the loss of a run.

    With `unit_length` contrastive and triplet terms measure the distance of embeddings made unit length, else of them
    as they are; multi-similarity and classification go by angles in either case. `generator` draws class weights. Of a
    network with several branches each is judged by itself; a teacher's embeddings are for all of them together.
    """
    names = names_of(terms)
    built = [_built(term, n_identities, generator, unit_length=unit_length, n_branches=n_branches) for term in terms]
    weights = [LossWeight.of(term) for term in terms]
    return TotalLoss(dict(zip(names, built, strict=True)), dict(zip(names, weights, strict=True)))


def names_of(terms: Sequence[LossTerm]) -> list[str]:
    """Name each term by its kind; from the second of a kind on with its number, as in triplet-2."""
    kinds = [term.kind for term in terms]
    numbers = [kinds[: k + 1].count(kind) for k, kind in enumerate(kinds)]
    return [kind if number == 1 else f"{kind}-{number}" for kind, number in zip(kinds, numbers, strict=True)]


def _built(
    term: LossTerm, n_identities: int, generator: torch.Generator, *, unit_length: bool, n_branches: int
) -> nn.Module:
    if isinstance(term, Distillation):
        return distillation(term)
    judge = partial(_judge, term, CHANNELS // n_branches, n_identities, generator, unit_length=unit_length)
    return judge() if n_branches == 1 else BranchLosses([judge() for _ in range(n_branches)])


def _judge(
    term: LabelTerm, n_channels: int, n_identities: int, generator: torch.Generator, *, unit_length: bool
) -> nn.Module:
    """A term that goes by who is who, for embeddings of so many channels."""
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
