"""Of a network with several branches each is judged by itself, as if the others were not there."""

import pytest
import torch
from torch import Tensor

from train.losses.build import TotalLoss, build_losses
from train.run_file import Contrastive, CosFace, Distillation, LossTerm, MultiSimilarity, Triplet

N_BRANCHES = 4
CHANNELS = 128 // N_BRANCHES


def built(*terms: LossTerm, n_branches: int = N_BRANCHES) -> TotalLoss:
    return build_losses(
        terms,
        n_identities=4,
        n_channels=128,
        unit_length=True,
        generator=torch.Generator().manual_seed(0),
        n_branches=n_branches,
    )


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    return torch.randn(12, 128, generator=torch.Generator().manual_seed(seed)), torch.arange(12) % 4


def padded(part: Tensor) -> Tensor:
    """128 channels that have the distances and angles of these few."""
    return torch.cat([part, part.new_zeros(len(part), 128 - CHANNELS)], dim=1)


@pytest.mark.parametrize(
    "term",
    [
        Contrastive(kind="contrastive", negative_margin=1.2),
        Triplet(kind="triplet", miner="all"),
        MultiSimilarity(kind="multi-similarity"),
        Contrastive(kind="contrastive", negative_margin=1.2, memory=20),
    ],
)
def test_the_loss_is_the_sum_and_the_shares_are_the_means_of_those_of_the_branches(term: LossTerm) -> None:
    together, apart = built(term), [built(term, n_branches=1) for _ in range(N_BRANCHES)]
    for step in range(2):  # the second sees what a memory has kept of the first
        embedded, labels = batch(step)
        found = together(embedded, labels, step)
        parts = embedded.chunk(N_BRANCHES, dim=1)
        alone = [loss(padded(part), labels, step) for loss, part in zip(apart, parts, strict=True)]
        assert float(found.total) == pytest.approx(sum(float(each.total) for each in alone), rel=1e-5)
        assert found.active_share == pytest.approx(sum(each.active_share or 0 for each in alone) / N_BRANCHES)
        if alone[0].share_of_plateau is not None:
            shares = [each.share_of_plateau or 0 for each in alone]
            assert found.share_of_plateau == pytest.approx(sum(shares) / N_BRANCHES)


def test_each_branch_has_class_weights_of_its_own() -> None:
    losses = built(CosFace(kind="cosface"))
    weights = list(losses.parameters())
    assert [tuple(each.shape) for each in weights] == [(CHANNELS, 4)] * N_BRANCHES
    assert not torch.equal(weights[0], weights[1])
    embedded, labels = batch()
    one = built(CosFace(kind="cosface"))
    changed = embedded.clone()
    changed[:, :CHANNELS] = torch.randn(12, CHANNELS, generator=torch.Generator().manual_seed(9))
    losses(embedded, labels, 0).total.backward()
    one(changed, labels, 0).total.backward()
    gradients = [[each.grad for each in loss.parameters()] for loss in (losses, one)]
    same = [torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None and b is not None]
    assert same == [False, True, True, True]


def test_a_teacher_is_followed_by_all_branches_together() -> None:
    term = Distillation(kind="distillation", teacher="it")
    embedded, labels = batch()
    teacher = {"it": batch(1)[0]}
    apart, together = (built(term, n_branches=n)(embedded, labels, 0, teacher).total for n in (N_BRANCHES, 1))
    assert torch.equal(apart, together)
