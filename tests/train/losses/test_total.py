"""The sum of terms: names, weights and their warm-up, precision, and what reaches the gradients."""

import pytest
import torch
from torch import Tensor

from train.losses.build import LossWeight, TotalLoss, build_losses, names_of
from train.run_file import ArcFace, Contrastive, CosFace, Distillation, LossTerm, Triplet

ARCFACE = ArcFace(kind="arcface", weight=0.5)
HARD = Triplet(kind="triplet", miner="hard", margin=0.3, weight=2)


def built(*terms: LossTerm, seed: int = 0) -> TotalLoss:
    generator = torch.Generator().manual_seed(seed)
    return build_losses(terms, n_identities=4, n_channels=128, unit_length=True, generator=generator)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 128, generator=generator).to(dtype), torch.arange(8) % 4


def warming(term: LossTerm, steps: int) -> LossTerm:
    return term.model_copy(update={"warm_up_steps": steps})


def test_each_term_has_a_name_of_its_own() -> None:
    assert names_of([HARD, ARCFACE, HARD, HARD]) == ["triplet", "arcface", "triplet-2", "triplet-3"]


def test_a_mixed_loss_is_the_weighted_sum_of_its_terms() -> None:
    found = built(ARCFACE, HARD, CosFace(kind="cosface"))(*batch(), 0)
    alone = {term.kind: built(term)(*batch(), 0) for term in (ARCFACE, HARD)}
    assert found.parts["arcface"] == pytest.approx(alone["arcface"].parts["arcface"])
    assert found.parts["triplet"] == pytest.approx(alone["triplet"].parts["triplet"])
    expected = 0.5 * found.parts["arcface"] + 2 * found.parts["triplet"] + found.parts["cosface"]
    assert found.total.item() == pytest.approx(expected, rel=1e-6)
    assert found.active_share == alone["triplet"].active_share


@pytest.mark.parametrize(("step", "weight"), [(0, 0), (1, 0.5), (3, 1.5), (4, 2), (100, 2)])
def test_a_weight_rises_in_a_straight_line_over_its_warm_up(step: int, weight: float) -> None:
    assert LossWeight(2, 4).at(step) == pytest.approx(weight)
    assert LossWeight(2, 0).at(step) == 2


def test_a_term_of_weight_zero_is_not_computed() -> None:
    losses = built(HARD, warming(Distillation(kind="distillation"), 5))
    found = losses(*batch(), 0)  # without a teacher, which it would miss
    assert set(found.parts) == {"triplet"}
    assert losses.names == ("triplet", "distillation")
    with pytest.raises(ValueError, match="teacher"):
        losses(*batch(), 1)


def test_while_its_weight_is_zero_class_weights_have_a_gradient_of_zero() -> None:
    losses, (embedded, labels) = built(warming(ARCFACE, 5)), batch()
    found = losses(embedded.requires_grad_(), labels, 0)
    found.total.backward()
    (weights,) = losses.parameters()
    assert found.total.item() == 0
    assert [tensor.grad is not None and not tensor.grad.any() for tensor in (weights, embedded)] == [True, True]


def test_low_precision_is_raised_to_float32_and_float64_is_kept() -> None:
    exact, labels = batch(torch.bfloat16)
    from_bf16, from_f32 = (built(HARD)(each, labels, 0).total for each in (exact, exact.float()))
    assert from_bf16.dtype == torch.float32
    assert from_bf16 == from_f32
    assert built(HARD)(*batch(torch.float64), 0).total.dtype == torch.float64


def test_without_unit_length_scale_matters_and_with_it_it_does_not() -> None:
    embedded, labels = batch()
    contrastive = Contrastive(kind="contrastive")
    by_length = {
        unit_length: [
            build_losses(
                [contrastive], n_identities=4, n_channels=128, unit_length=unit_length, generator=torch.Generator()
            )(scale * embedded, labels, 0).total.item()
            for scale in (1, 0.1)
        ]
        for unit_length in (True, False)
    }
    assert by_length[True][0] == pytest.approx(by_length[True][1], rel=1e-5)
    assert by_length[False][0] != pytest.approx(by_length[False][1], rel=0.1)


def test_one_identity_or_identities_seen_once_cost_nothing_that_is_not_finite() -> None:
    embedded, _ = batch()
    for labels in (torch.zeros(8, dtype=torch.int64), torch.arange(8)):
        found = built(HARD, Triplet(kind="triplet"))(embedded.clone().requires_grad_(), labels, 0)
        found.total.backward()
        assert (found.total.item(), found.active_share, found.share_of_plateau) == (0, None, 0)


def test_its_state_holds_class_weights_and_takes_them_back() -> None:
    one, other = built(ARCFACE, HARD, seed=1), built(ARCFACE, HARD, seed=2)
    assert one(*batch(), 0).total != other(*batch(), 0).total
    other.load_state_dict(one.state_dict())
    assert one(*batch(), 0).total == other(*batch(), 0).total
