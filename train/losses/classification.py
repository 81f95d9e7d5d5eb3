"""Classification terms: ArcFace and CosFace. Their class weights learn with the network and are thrown away after."""

from functools import partial

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn

from .. import run_file as runfile
from .batch import LossBatch, TermValue


class ClassificationTerm(nn.Module):
    """A loss by the angle between an embedding and the weights of each identity, both made unit length."""

    def __init__(self, loss: nn.Module, n_identities: int) -> None:
        super().__init__()
        self.loss, self._n_identities = loss, n_identities

    def forward(self, faces: LossBatch, _step: int) -> TermValue:
        """Classify a batch; raises ValueError for a label outside 0 ... n_identities - 1."""
        low, high = int(faces.labels.min()), int(faces.labels.max())
        if low < 0 or high >= self._n_identities:
            raise ValueError(
                f"labels {low} ... {high} were given for {self._n_identities:,} identities, counted from 0"
            )
        return TermValue(self.loss(faces.embeddings, faces.labels))


class SafeArcFace(ArcFaceLoss):  # type: ignore[misc] # the library carries no types
    """The library's; but an embedding that lies on its class weights has a gradient, not NaN."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        """Take the arc cosine, whose slope at 1 is infinite, just inside of 1."""
        limit = 1 - torch.finfo(cosine_of_target_classes.dtype).eps
        return torch.acos(cosine_of_target_classes.clamp(-limit, limit))


def arcface(
    term: runfile.ArcFace, n_identities: int, n_channels: int, generator: torch.Generator
) -> ClassificationTerm:
    """Make an ArcFace term. Deng et al., "ArcFace: additive angular margin loss", CVPR 2019.

    Beyond the angle where angle and margin add up to 180 degrees it goes on with another, falling function, as there.
    """
    loss = SafeArcFace(
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
    """Make a CosFace term. Wang et al., "CosFace: large margin cosine loss", CVPR 2018."""
    loss = CosFaceLoss(
        num_classes=n_identities,
        embedding_size=n_channels,
        margin=term.margin,
        scale=term.scale,
        weight_init_func=_start(n_channels, generator),
    )
    return ClassificationTerm(loss, n_identities)


def _start(n_channels: int, generator: torch.Generator) -> partial[Tensor]:
    """Start class weights about 1 long, so that a learning rate turns them as fast as it turns other weights."""
    return partial(nn.init.normal_, std=n_channels**-0.5, generator=generator)
