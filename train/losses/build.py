"""From the terms of a run file to the loss."""

from collections.abc import Sequence

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
from .classification import arcface, cosface
from .distillation import distillation
from .metric import contrastive, multi_similarity, triplet
from .total import TotalLoss, Weight


def build_losses(
    terms: Sequence[LossTerm], *, n_identities: int, unit_length: bool, generator: torch.Generator
) -> TotalLoss:
    """Build the loss of a run.

    With `unit_length` contrastive and triplet terms measure the distance of embeddings made unit length, else of them
    as they are; multi-similarity and classification go by angles in either case. `generator` draws class weights.
    """
    names = names_of(terms)
    built = [_built(term, n_identities, generator, unit_length=unit_length) for term in terms]
    weights = [Weight.of(term) for term in terms]
    return TotalLoss(dict(zip(names, built, strict=True)), dict(zip(names, weights, strict=True)))


def names_of(terms: Sequence[LossTerm]) -> list[str]:
    """Name each term by its kind; from the second of a kind on with its number, as in triplet-2."""
    kinds = [term.kind for term in terms]
    numbers = [kinds[: k + 1].count(kind) for k, kind in enumerate(kinds)]
    return [kind if number == 1 else f"{kind}-{number}" for kind, number in zip(kinds, numbers, strict=True)]


def _built(term: LossTerm, n_identities: int, generator: torch.Generator, *, unit_length: bool) -> nn.Module:
    match term:
        case Contrastive():
            return contrastive(term, unit_length=unit_length)
        case Triplet():
            return triplet(term, unit_length=unit_length)
        case MultiSimilarity():
            return multi_similarity(term)
        case ArcFace():
            return arcface(term, n_identities, generator)
        case CosFace():
            return cosface(term, n_identities, generator)
        case Distillation():
            return distillation(term)
