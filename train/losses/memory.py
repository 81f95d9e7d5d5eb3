"""Cross-batch memory: the embeddings of earlier batches, as further references for this one.

Wang et al., "Cross-batch memory for embedding learning", CVPR 2020. A network moves slowly, so what it gave a few
batches ago is nearly what it would give now.
"""

import torch
from torch import Tensor, nn

from ..errors import LossError
from .faces import LossBatch, ReferenceBatch


class CrossBatchMemory(nn.Module):
    """The last `size` embeddings that it was shown, in a ring; they and the position in it are part of its state.

    Nothing is remembered before step `from_step`: early embeddings are soon wrong.
    """

    embeddings: Tensor  # (size, channels)
    labels: Tensor  # (size,)
    n_seen: Tensor  # () how many were ever put in

    def __init__(self, size: int, n_channels: int, from_step: int) -> None:
        super().__init__()
        self._size, self._from_step = size, from_step
        self.register_buffer("embeddings", torch.zeros(size, n_channels))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.int64))

    def forward(self, faces: LossBatch, step: int) -> ReferenceBatch:
        """Compare a batch with itself and the memory, then remember it. Gradients reach the batch alone.

        Raises LossError for a batch that is larger than the memory.
        """
        self._require_room(len(faces.labels))
        n_kept = min(int(self.n_seen), self._size)
        comparisons = ReferenceBatch(
            faces.embeddings,
            faces.labels,
            torch.cat([faces.embeddings, self.embeddings[:n_kept].to(faces.embeddings.dtype)]),
            torch.cat([faces.labels, self.labels[:n_kept]]),
        )
        if step >= self._from_step:
            self._remember(faces)
        return comparisons

    @torch.no_grad()
    def _remember(self, faces: LossBatch) -> None:
        n = len(faces.labels)
        places = (self.n_seen + torch.arange(n, device=self.n_seen.device)) % self._size
        self.embeddings[places] = faces.embeddings.to(self.embeddings.dtype)
        self.labels[places] = faces.labels
        self.n_seen += n

    def _require_room(self, n: int) -> None:
        if n > self._size:
            raise LossError(
                f"a cross-batch memory of {self._size:,} embeddings is smaller than one batch of {n:,}; raise the "
                "term's memory to several batches, or set it to 0 for none"
            )
