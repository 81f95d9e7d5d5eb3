"""Several processes that train one network: what they exchange, so that they learn what one process would.

Each process embeds its share of a batch. Losses compare all faces of a batch, so every process computes them from the
embeddings of all. Batch normalisation uses the mean and the variance over all shares.
"""

import platform
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from embedder import VisavisError

from ..errors import TrainingError
from .sampler import Share

T = TypeVar("T")


def gathered(own: Tensor, share: Share) -> Tensor:
    """Return the embeddings of all processes, in their order: (n, channels) from (n / n_processes, channels).

    Only a process's own embeddings have a gradient, multiplied by the number of processes. All compute the same loss,
    and gradients are then averaged over the processes: that gives the gradient of one process with the whole batch.
    """
    if share.n_processes == 1:
        return own
    still = own.detach().contiguous()
    parts = [torch.empty_like(still) for _ in range(share.n_processes)]
    dist.all_gather(parts, still)
    parts[share.process] = still + share.n_processes * (own - still)
    return torch.cat(parts)


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_ctx: FunctionCtx, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the faces of all processes. torch's SyncBatchNorm does this on GPUs only."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise maps (n, channels, height, width); n is equal in all processes."""
        if not self.training:
            return super().forward(maps)
        variance, mean = torch.var_mean(maps.float(), dim=(0, 2, 3), correction=0)
        variance, mean = variance.double(), mean.double()
        moments = _Total.apply(torch.stack([mean, variance + mean.square()])) / dist.get_world_size()
        mean, variance = moments[0], moments[1] - moments[0].square()
        self._remember(mean, variance, dist.get_world_size() * maps.numel() // maps.shape[1])
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        offset = self.bias - mean * scale if self.affine else -mean * scale
        normal = torch.addcmul(offset.float()[:, None, None], maps.float(), scale.float()[:, None, None])
        return normal.to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Update the running statistics as torch does, from n values of each channel."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return  # a norm that keeps no statistics
        self.num_batches_tracked += 1
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), weight)
        self.running_var.lerp_((variance * n / (n - 1)).to(self.running_var), weight)


def share_norms(network: nn.Module) -> None:
    """Let the batch normalisation of a network use the faces of all processes."""
    for each in network.modules():
        if type(each) is nn.BatchNorm2d:
            each.__class__ = SharedBatchNorm  # it has the same parameters, which the optimizer knows already


def from_first(accelerator: Accelerator, make: Callable[[], T]) -> T:
    """Return what `make` returns in the first process. Raises in all processes what it raises there."""
    if accelerator.num_processes == 1:
        return make()
    shared: list[T | VisavisError | None] = [None]
    if accelerator.is_main_process:
        shared = [_attempt(make)]
    broadcast_object_list(shared)
    if isinstance(shared[0], VisavisError):
        raise shared[0]
    return shared[0]  # type: ignore[return-value] # the first process has set it


def in_all(accelerator: Accelerator, make: Callable[[], T]) -> T:
    """Return what `make` returns in this process. Raises in all processes if it raises in one: nobody waits for it."""
    mine = _attempt(make)
    reports: list[str | None] = gather_object(
        [f"{name_of(accelerator)}: {mine}" if isinstance(mine, VisavisError) else None]
    )
    if isinstance(mine, VisavisError):
        raise mine
    failed = next((each for each in reports if each is not None), None)
    if failed is not None:
        raise TrainingError(f"another process cannot start: {failed}")
    return mine


def _attempt(make: Callable[[], T]) -> T | VisavisError:
    try:
        return make()
    except VisavisError as error:
        return error


def name_of(accelerator: Accelerator) -> str:
    """Name this process and its machine."""
    return f"process {accelerator.process_index} on {platform.node()}"
