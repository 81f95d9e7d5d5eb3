"""What is trained: the network with its losses, in one module, so that several processes can share its gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embedder import EmbeddingNet

from ..losses.total import LossValue, TotalLoss
from .feed import Batch


@dataclass(frozen=True, slots=True, eq=False)
class StepOutput:
    """What one pass gives."""

    embeddings: Tensor  # float32 (n, 128)
    loss: LossValue


class Learner(nn.Module):
    """A batch in, its loss out."""

    def __init__(self, network: EmbeddingNet, losses: TotalLoss, *, head_alone: bool) -> None:
        """With `head_alone` a batch holds features, which the head alone sees."""
        super().__init__()
        self.network, self.losses, self.head_alone = network, losses, head_alone

    def forward(self, batch: Batch, step: int) -> StepOutput:
        """Embed and judge; the losses are computed in float32 or better whatever the network is computed in."""
        embed = self.network.head if self.head_alone else self.network.embed_pictures
        embeddings: Tensor = embed(batch.inputs).float()
        with torch.autocast(embeddings.device.type, enabled=False):
            return StepOutput(embeddings, self.losses(embeddings, batch.labels, step, batch.teachers))
