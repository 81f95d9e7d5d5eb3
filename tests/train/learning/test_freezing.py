"""Stages that stand still, and those that learn at a rate of their own."""

import pytest
import torch

from embedder import BUILT_IN, EmbeddingNet, build_network, read_bundle
from train.errors import TrainingError
from train.learning.learner import Learner
from train.learning.optimizer import build_optimizer, freeze, frozen_stages, set_training
from train.losses.build import build_losses
from train.run_file import ArcFace, NetworkConfig, OptimizerConfig as OptimizerSettings


@pytest.fixture(scope="module")
def network() -> EmbeddingNet:
    return build_network(read_bundle(BUILT_IN))


def settings(**given: object) -> NetworkConfig:
    return NetworkConfig.model_validate({"start": "built-in"} | given)


def test_the_backbone_is_every_stage_but_the_head(network: EmbeddingNet) -> None:
    assert frozen_stages(network, settings(frozen=["backbone"])) == set(network.stages()) - {"head"}
    assert frozen_stages(network, settings(frozen=["stem", "stage2"])) == {"stem", "stage2"}
    assert frozen_stages(network, settings()) == frozenset()


@pytest.mark.parametrize("given", [{"frozen": ["stage9"]}, {"rates": {"stage9": 0.5}}])
def test_a_stage_that_is_none_is_refused_with_the_names_of_those_there_are(
    network: EmbeddingNet, given: dict[str, object]
) -> None:
    with pytest.raises(TrainingError, match=r"no stage stage9; there are stem, stage1, .*backbone"):
        frozen_stages(network, settings(**given))


def test_something_must_learn(network: EmbeddingNet) -> None:
    with pytest.raises(TrainingError, match="nothing is left to train"):
        frozen_stages(network, settings(frozen=["backbone", "head"]))


def test_frozen_stages_do_not_learn_and_stay_in_eval_mode(network: EmbeddingNet) -> None:
    frozen = frozenset({"stem", "stage1"})
    freeze(network, frozen)
    set_training(network, frozen)
    for name, stage in network.stages().items():
        assert all(parameter.requires_grad == (name not in frozen) for parameter in stage.parameters())
        assert {module.training for module in stage.modules()} == {name not in frozen}
    freeze(network, frozenset())


def test_every_parameter_that_learns_is_in_one_group_at_its_stages_rate_and_weights_alone_decay(
    network: EmbeddingNet,
) -> None:
    losses = build_losses(
        [ArcFace(kind="arcface")],
        n_identities=5,
        n_channels=128,
        unit_length=False,
        generator=torch.Generator().manual_seed(0),
    )
    learner = Learner(network, losses, head_alone=False)
    rates = {"backbone": 0.1, "stage5": 0.5, "head": 2.0}
    optimizer = build_optimizer(
        learner, settings(rates=rates), OptimizerSettings(classifier_factor=3.0, weight_decay=0.01)
    )
    factor_of = {id(p): group["factor"] for group in optimizer.param_groups for p in group["params"]}
    assert len(factor_of) == sum(len(group["params"]) for group in optimizer.param_groups)
    assert factor_of.keys() == {id(parameter) for parameter in learner.parameters()}
    for name, stage in network.stages().items():
        assert {factor_of[id(parameter)] for parameter in stage.parameters()} == {rates.get(name, 0.1)}
    assert {factor_of[id(parameter)] for parameter in losses.parameters()} == {3.0}
    of_network = [group for group in optimizer.param_groups if group["factor"] != 3.0]
    drawn_back = build_optimizer(learner, settings(), OptimizerSettings(pull=1.0, weight_decay=0.01))
    assert {group["weight_decay"] for group in drawn_back.param_groups[: len(of_network)]} == {0.0}
    for group in optimizer.param_groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}
