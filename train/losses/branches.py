"""A term for each branch of a network, so that they learn apart: none leaves to another what it could see itself."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from .faces import LossBatch, TermValue


class BranchLosses(nn.Module):
    """As many terms as branches; each judges the channels of its own branch. Their losses are added."""

    def __init__(self, terms: Sequence[nn.Module]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)

    def forward(self, faces: LossBatch, step: int) -> TermValue:
        """Judge a batch; shares are means over the branches."""
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
