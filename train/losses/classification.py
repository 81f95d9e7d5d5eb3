"""Classification terms: ArcFace and CosFace. Their class weights are used only in training."""

from functools import partial

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn

from .. import run_file as runfile
from .batch import LossBatch, TermValue


class ClassificationTerm(nn.Module):
    """A loss of the angles between an embedding and the class weights, both normalised to unit length."""

    def __init__(self, loss: nn.Module, n_identities: int) -> None:
        super().__init__()
        self.loss, self._n_identities = loss, n_identities

    def forward(self, faces: LossBatch, _step: int) -> TermValue:
        """Compute the loss of a batch. Raises ValueError for a label outside 0 ... n_identities - 1."""
        low, high = int(faces.labels.min()), int(faces.labels.max())
        if low < 0 or high >= self._n_identities:
            raise ValueError(
                f"labels {low} ... {high} were given for {self._n_identities:,} identities, counted from 0"
            )
        return TermValue(self.loss(faces.embeddings, faces.labels))


class StableArcFaceLoss(ArcFaceLoss):  # type: ignore[misc] # the library carries no types
    """ArcFaceLoss with a finite gradient for an embedding equal to its class weights, instead of NaN."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        """Clamp cosines just inside -1 ... 1, where the arc cosine has an infinite slope."""
        limit = 1 - torch.finfo(cosine_of_target_classes.dtype).eps
        return torch.acos(cosine_of_target_classes.clamp(-limit, limit))


def arcface(
    term: runfile.ArcFace, n_identities: int, n_channels: int, generator: torch.Generator
) -> ClassificationTerm:
    """Build an ArcFace term. Deng et al., "ArcFace: additive angular margin loss", CVPR 2019.

    Where angle and margin exceed 180 degrees, the loss continues with another decreasing function, as in the paper.
    """
    loss = StableArcFaceLoss(
        num_classes=n_identities,
        embedding_size=n_channels,
        margin=term.margin_degrees,
        scale=term.scale,
        weight_init_func=_start(n_channels, generator),
    )
    return ClassificationTerm(loss, n_identities)


def cosface(
    term: runfile.CosFace, n_identities: int, n_channels: int, generator: torch.Generator
) -> ClassificationTerm:
    """Build a CosFace term. Wang et al., "CosFace: large margin cosine loss", CVPR 2018."""
    loss = CosFaceLoss(
        num_classes=n_identities,
        embedding_size=n_channels,
        margin=term.margin,
        scale=term.scale,
        weight_init_func=_start(n_channels, generator),
    )
    return ClassificationTerm(loss, n_identities)


def _start(n_channels: int, generator: torch.Generator) -> partial[Tensor]:
    """Return an initialiser of class weights of length about 1, which fits the learning rate of the other weights."""
    return partial(nn.init.normal_, std=n_channels**-0.5, generator=generator)
