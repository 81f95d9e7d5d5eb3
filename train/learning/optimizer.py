"""Optimizer, learning rate schedule and frozen stages."""

import math
from collections.abc import Iterator, Mapping

from torch.optim import SGD, AdamW, Optimizer

from embedder import EmbeddingNet

from ..errors import TrainingError
from ..run_file import NetworkConfig, OptimizerConfig as OptimizerSettings, ScheduleConfig
from .learner import Learner

FIRST = 1e-3  # share of the full rate at the first step, which would have no effect with 0


def factor(schedule: ScheduleConfig, share: float) -> float:
    """Return the factor on the learning rate after a share of the run, 0..1."""
    if share < schedule.warm_up:
        return max(share / schedule.warm_up, FIRST)
    rest = (share - schedule.warm_up) / (1 - schedule.warm_up)
    return schedule.last + (1 - schedule.last) * _shape(schedule, rest)


def _shape(schedule: ScheduleConfig, rest: float) -> float:
    """Return the factor after warm-up; it falls from 1 to 0."""
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "poly":
        return float((1 - rest) ** schedule.power)
    return (1 + math.cos(math.pi * rest)) / 2


BACKBONE = "backbone"  # every stage but the head
HEAD = "head"


def frozen_stages(network: EmbeddingNet, settings: NetworkConfig) -> frozenset[str]:
    """Return the names of the frozen stages. Raises TrainingError for a stage that the network does not have."""
    stages = list(network.stages())
    named = {*settings.frozen, *settings.rates}
    unknown = sorted(named - {*stages, BACKBONE})
    if unknown:
        raise TrainingError(
            f"network.frozen and network.rates: there is no stage {unknown[0]}; there are {_listed(stages)}"
        )
    frozen = {name for name in stages if name in settings.frozen or _is_in_backbone(name, settings.frozen)}
    if frozen == set(stages):
        raise TrainingError("network.frozen names every stage, so nothing is left to train; leave out head")
    return frozenset(frozen)


def freeze(network: EmbeddingNet, frozen: frozenset[str]) -> None:
    """Turn off gradients for the frozen stages; `set_training` also freezes their batch norm statistics."""
    for name, stage in network.stages().items():
        stage.requires_grad_(name not in frozen)


def set_training(network: EmbeddingNet, frozen: frozenset[str]) -> None:
    """Switch to train mode, with frozen stages in eval mode."""
    network.train()
    for name, stage in network.stages().items():
        stage.train(name not in frozen)


def build_optimizer(learner: Learner, network: NetworkConfig, settings: OptimizerSettings) -> Optimizer:
    """Build the optimizer, with `factor` in the parameter groups of every stage; biases and scales do not decay.

    With L2-SP the network's weights do not also decay towards 0.
    """
    groups = list(_groups(learner, network.rates, settings))
    if settings.kind == "sgd":
        return SGD(groups, settings.rate, momentum=settings.momentum, nesterov=settings.momentum > 0)
    return AdamW(groups, settings.rate)


def _groups(learner: Learner, rates: Mapping[str, float], settings: OptimizerSettings) -> Iterator[dict[str, object]]:
    decays = 0.0 if settings.pull else settings.weight_decay
    modules = [(stage, _rate(name, rates), decays) for name, stage in learner.network.stages().items()]
    modules.append((learner.losses, settings.classifier_factor, settings.weight_decay))
    for module, factor, of_weights in modules:
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for is_weight, decay in ((True, of_weights), (False, 0.0)):
            group = [parameter for parameter in learning if (parameter.ndim > 1) == is_weight]
            if group:
                yield {"params": group, "factor": factor, "weight_decay": decay}


def _rate(name: str, rates: Mapping[str, float]) -> float:
    return rates.get(name, rates.get(BACKBONE, 1.0) if name != HEAD else 1.0)


def _is_in_backbone(name: str, frozen: tuple[str, ...]) -> bool:
    return name != HEAD and BACKBONE in frozen


def _listed(stages: list[str]) -> str:
    return ", ".join([*stages, f"and {BACKBONE} for all but the head"])
