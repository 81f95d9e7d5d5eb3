"""ArcFace, CosFace and distillation against the papers' formulas in plain loops; and their gradients."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from train.losses.build import LossValue, TotalLoss, build_losses
from train.run_file import ArcFace, CosFace, Distillation, LossTerm

CHANNELS, N_IDENTITIES = 128, 5


def built(term: LossTerm) -> TotalLoss:
    generator = torch.Generator().manual_seed(3)
    return build_losses(
        [term], n_identities=N_IDENTITIES, n_channels=CHANNELS, unit_length=False, generator=generator
    ).double()


def batch(seed: int, n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embedded = torch.randn(n, CHANNELS, generator=generator, dtype=torch.float64)
    return embedded, torch.randint(N_IDENTITIES, (n,), generator=generator)


def weights(losses: TotalLoss) -> Tensor:
    (found,) = losses.parameters()
    return found  # (128, identities)


def cosines(losses: TotalLoss, embedded: Tensor) -> list[list[float]]:
    columns, rows = weights(losses).detach().numpy().T, embedded.numpy()
    return [[float(w @ x / math.sqrt((w @ w) * (x @ x))) for w in columns] for x in rows]


def cross_entropy(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(logit - logits[label]) for logit in logits))


def arc(cosine: float, margin: float) -> float:
    angle = math.acos(cosine)
    return math.cos(angle + margin) if angle + margin <= math.pi else cosine - margin * math.sin(margin)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.sampled_from([0.0, 28.6, 80.0]))
def test_arcface_adds_the_margin_to_the_angle_of_the_own_class(seed: int, margin_degrees: float) -> None:
    losses = built(ArcFace(kind="arcface", scale=16, margin_degrees=margin_degrees))
    embedded, labels = batch(seed)
    embedded[0] = -weights(losses).detach()[:, labels[0]]  # opposite to its class: beyond 180 degrees with the margin
    embedded[0] += 0.01
    costs = []
    for row, label in zip(cosines(losses, embedded), labels.tolist(), strict=True):
        row[label] = arc(row[label], math.radians(margin_degrees))
        costs.append(cross_entropy([16 * cosine for cosine in row], label))
    assert losses(embedded, labels, 0).total.item() == pytest.approx(sum(costs) / len(costs), rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.sampled_from([0.0, 0.35]))
def test_cosface_takes_the_margin_from_the_cosine_of_the_own_class(seed: int, margin: float) -> None:
    losses = built(CosFace(kind="cosface", scale=16, margin=margin))
    embedded, labels = batch(seed)
    costs = []
    for row, label in zip(cosines(losses, embedded), labels.tolist(), strict=True):
        row[label] -= margin
        costs.append(cross_entropy([16 * cosine for cosine in row], label))
    assert losses(embedded, labels, 0).total.item() == pytest.approx(sum(costs) / len(costs), rel=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16))
def test_distillation_is_the_squared_distance_or_one_less_the_cosine(seed: int) -> None:
    embedded, labels = batch(seed)
    taught, _ = batch(seed + 1)
    ours, theirs = embedded.numpy(), taught.numpy()
    squares = [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(ours, theirs, strict=True)]
    angles = [1 - x @ y / math.sqrt((x @ x) * (y @ y)) for x, y in zip(ours, theirs, strict=True)]
    for measure, expected in (("mse", squares), ("cosine", angles)):
        term = Distillation.model_validate({"kind": "distillation", "measure": measure})
        found = built(term)(embedded, labels, 0, {"built-in": taught})
        assert found.total.item() == pytest.approx(np.mean(expected))
        assert found.active_share is None


TERMS: dict[str, LossTerm] = {
    "arcface": ArcFace(kind="arcface"),
    "cosface": CosFace(kind="cosface"),
    "cosine": Distillation(kind="distillation", measure="cosine"),
    "mse": Distillation(kind="distillation", measure="mse"),
}


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    losses, (embedded, labels), (taught, _) = built(TERMS[name]), batch(0), batch(1)

    def total(given_: Tensor, *_parameters: Tensor) -> Tensor:
        found: LossValue = losses(given_, labels, 0, {"built-in": taught})
        return found.total

    assert torch.autograd.gradcheck(total, (embedded.requires_grad_(), *losses.parameters()), fast_mode=True)


@pytest.mark.parametrize(("name", "sign"), list(product(["arcface", "cosface"], [1, -1])))
def test_an_embedding_on_its_class_weights_or_opposite_has_a_finite_gradient(name: str, sign: int) -> None:
    losses = built(TERMS[name]).float()
    embedded = (sign * weights(losses).detach().T).clone().requires_grad_()
    losses(embedded, torch.arange(N_IDENTITIES), 0).total.backward()
    assert embedded.grad is not None
    assert torch.isfinite(embedded.grad).all()


def test_class_weights_come_from_the_generator_and_are_about_one_long() -> None:
    one, again = built(TERMS["arcface"]), built(TERMS["arcface"])
    assert torch.equal(weights(one), weights(again))
    assert weights(one).norm(dim=0).mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("label", [-1, N_IDENTITIES])
def test_a_label_of_no_identity_is_a_mistake(label: int) -> None:
    embedded, _ = batch(0, n=1)
    with pytest.raises(ValueError, match="5 identities, counted from 0"):
        built(TERMS["cosface"])(embedded, torch.tensor([label]), 0)


def test_a_batch_without_its_teachers_embeddings_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="teacher 'built-in' are missing"):
        built(TERMS["mse"])(*batch(0), 0)
