"""Metric losses against the papers' formulas in plain loops, with a memory and without; and their gradients."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from train.losses.build import LossValue, TotalLoss, build_losses
from train.run_file import Contrastive, LossTerm, MultiSimilarity, Triplet

CHANNELS = 128


@dataclass(frozen=True)
class Case:
    """Embeddings of a batch, what was remembered before, and how long both are taken to be."""

    embedded: np.ndarray  # (n, 128)
    labels: list[int]
    remembered: np.ndarray  # (k, 128)
    remembered_labels: list[int]
    unit_length: bool

    def rows(self) -> list[int]:
        return list(range(len(self.labels)))

    def references(self) -> np.ndarray:
        return np.concatenate([self.embedded, self.remembered])

    def positives(self, i: int) -> list[int]:
        return [j for j, label in enumerate(self.labels + self.remembered_labels) if label == self.labels[i] and j != i]

    def negatives(self, i: int) -> list[int]:
        return [j for j, label in enumerate(self.labels + self.remembered_labels) if label != self.labels[i]]

    def distance(self, i: int, j: int) -> float:
        one, other = self.embedded[i], self.references()[j]
        if self.unit_length:
            one, other = one / math.sqrt((one**2).sum()), other / math.sqrt((other**2).sum())
        return math.sqrt(((one - other) ** 2).sum())

    def cosine(self, i: int, j: int) -> float:
        one, other = self.embedded[i], self.references()[j]
        return float((one * other).sum() / math.sqrt((one**2).sum() * (other**2).sum()))

    def triplets(self) -> Iterator[tuple[float, float]]:
        """Distances anchor to positive, and to negative."""
        for i in self.rows():
            for p in self.positives(i):
                yield from ((self.distance(i, p), self.distance(i, n)) for n in self.negatives(i))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small batches: at random, with faces twice, in one point; or, where they stay as long as they are, on a grid."""
    n, n_more = draw(st.integers(2, 8)), draw(st.integers(0, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = draw(st.sampled_from(["random", "twice", "one point", "grid"]))
    few = generator.normal(size=(n + n_more, 3))
    if kind == "grid":
        few = generator.integers(1, 4, size=few.shape).astype(float)
    elif kind != "random":
        few = few[generator.integers(0, 1 if kind == "one point" else 2, size=n + n_more)]
    points = np.zeros((n + n_more, CHANNELS))
    points[:, :3] = few
    labels = (generator.permutation(n + n_more) % draw(st.sampled_from([1, 2, 3, 100]))).tolist()
    return Case(points[:n], labels[:n], points[n:], labels[n:], unit_length=kind != "grid" and draw(st.booleans()))


def built(term: LossTerm, *, unit_length: bool) -> TotalLoss:
    return build_losses(
        [term], n_identities=10, n_channels=CHANNELS, unit_length=unit_length, generator=torch.Generator()
    )


def value(term: Contrastive | Triplet | MultiSimilarity, case: Case) -> float:
    losses = built(term.model_copy(update={"memory": 8 if case.remembered_labels else 0}), unit_length=case.unit_length)
    losses.double()
    if case.remembered_labels:
        losses(torch.from_numpy(case.remembered), torch.tensor(case.remembered_labels), 0)
    return losses(torch.from_numpy(case.embedded), torch.tensor(case.labels), 1).total.item()  # type: ignore[no-any-return]


def mean(costs: list[float]) -> float:
    return sum(costs) / len(costs) if costs else 0.0


def mean_of_those_that_cost(costs: list[float]) -> float:
    return mean([cost for cost in costs if cost > 0])


def soft(near: float, far: float) -> float:
    return math.log1p(math.exp(near - far))


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from([0.0, 0.3]), st.sampled_from([1.0, 2.5]))
def test_contrastive_is_the_distance_beyond_two_margins(case: Case, within: float, beyond: float) -> None:
    genuine = [max(0, case.distance(i, p) - within) for i in case.rows() for p in case.positives(i)]
    impostor = [max(0, beyond - case.distance(i, n)) for i in case.rows() for n in case.negatives(i)]
    expected = mean_of_those_that_cost(genuine) + mean_of_those_that_cost(impostor)
    term = Contrastive(kind="contrastive", positive_margin=within, negative_margin=beyond)
    assert value(term, case) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from([0.2, 1.0]))
def test_batch_all_is_the_mean_over_triplets_that_cost_something(case: Case, margin: float) -> None:
    expected = mean_of_those_that_cost([max(0, near - far + margin) for near, far in case.triplets()])
    assert value(Triplet(kind="triplet", miner="all", margin=margin), case) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from([0.2, 1.0]))
def test_semi_hard_is_the_mean_over_triplets_within_the_margin(case: Case, margin: float) -> None:
    costs = [near - far + margin for near, far in case.triplets() if near < far and far - near < margin]
    assert value(Triplet(kind="triplet", margin=margin), case) == pytest.approx(mean(costs), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from([0.2, 1.0]))
def test_batch_hard_is_the_mean_over_anchors(case: Case, margin: float) -> None:
    costs = [max(0, near - far + margin) for near, far in hardest(case)]
    assert value(Triplet(kind="triplet", miner="hard", margin=margin), case) == pytest.approx(mean(costs), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(cases())
def test_the_soft_margin_is_the_logarithm_of_one_and_the_exponential(case: Case) -> None:
    every = [soft(*triplet) for triplet in case.triplets()]
    semi_hard = [soft(near, far) for near, far in case.triplets() if near < far and far - near < 1]
    by_miner = {"all": every, "hard": [soft(*triplet) for triplet in hardest(case)], "semi-hard": semi_hard}
    for miner, costs in by_miner.items():
        term = Triplet.model_validate({"kind": "triplet", "miner": miner, "margin": 1, "soft": True})
        assert value(term, case) == pytest.approx(mean(costs), abs=1e-9)


def hardest(case: Case) -> list[tuple[float, float]]:
    """For each anchor the farthest positive and the nearest negative."""
    both = [i for i in case.rows() if case.positives(i) and case.negatives(i)]
    return [
        (max(case.distance(i, p) for p in case.positives(i)), min(case.distance(i, n) for n in case.negatives(i)))
        for i in both
    ]


@settings(deadline=None, max_examples=40)
@given(cases())
def test_multi_similarity_is_that_of_the_paper_over_the_pairs_of_its_miner(case: Case) -> None:
    term = MultiSimilarity(kind="multi-similarity", alpha=2, beta=20, base=0.4, epsilon=0.1)
    costs = [multi_similarity(case, i, term) for i in case.rows()]
    assert value(term, case) == pytest.approx(mean(costs), abs=1e-9)


def multi_similarity(case: Case, i: int, term: MultiSimilarity) -> float:
    genuine = [case.cosine(i, p) for p in case.positives(i)]
    impostor = [case.cosine(i, n) for n in case.negatives(i)]
    if not (genuine and impostor):
        return 0.0
    kept_genuine = [s for s in genuine if s < max(impostor) + term.epsilon]
    kept_impostor = [s for s in impostor if s > min(genuine) - term.epsilon]
    pull = math.log(1 + sum(math.exp(-term.alpha * (s - term.base)) for s in kept_genuine)) / term.alpha
    push = math.log(1 + sum(math.exp(term.beta * (s - term.base)) for s in kept_impostor)) / term.beta
    return pull + push


TERMS: dict[str, LossTerm] = {
    "contrastive": Contrastive(kind="contrastive", positive_margin=0.1, negative_margin=1.5),
    "all": Triplet(kind="triplet", miner="all", margin=0.5),
    "hard": Triplet(kind="triplet", miner="hard", margin=0.5),
    "semi-hard": Triplet(kind="triplet", miner="semi-hard", margin=0.5),
    "soft": Triplet(kind="triplet", miner="hard", soft=True),
    "multi-similarity": MultiSimilarity(kind="multi-similarity"),
    "memory": Triplet(kind="triplet", miner="hard", margin=0.5, memory=20),
}


def batch(n: int = 8, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, CHANNELS, generator=generator, dtype=dtype), torch.arange(n) % 3


def judge(losses: TotalLoss, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """The loss as a function of the embeddings alone: the memory is each time what it was at first."""
    state = {name: tensor.clone() for name, tensor in losses.state_dict().items()}

    def total(embedded: Tensor) -> Tensor:
        losses.load_state_dict(state)
        found: LossValue = losses(embedded, labels, 1)
        return found.total

    return total


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_those_of_finite_differences(name: str, unit_length: bool) -> None:  # noqa: FBT001 - a parameter of the test
    losses = built(TERMS[name], unit_length=unit_length).double()
    losses(*batch(seed=1), 0)
    embedded, labels = batch()
    assert torch.autograd.gradcheck(judge(losses, labels), embedded.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize("name", TERMS)
def test_identical_embeddings_have_finite_gradients(name: str, unit_length: bool) -> None:  # noqa: FBT001 - a parameter of the test
    losses = built(TERMS[name], unit_length=unit_length)
    embedded, labels = batch(dtype=torch.float32)
    alike = embedded[:1].repeat(len(labels), 1).requires_grad_()
    losses(alike, labels, 0).total.backward()
    assert alike.grad is not None
    assert torch.isfinite(alike.grad).all()


@pytest.mark.parametrize(("name", "is_high"), [("hard", True), ("all", True), ("soft", True), ("contrastive", False)])
def test_in_one_point_a_loss_stands_at_its_plateau(name: str, is_high: bool) -> None:  # noqa: FBT001 - a parameter of the test
    embedded, labels = batch()
    found = built(TERMS[name], unit_length=False)(embedded[:1].repeat(len(labels), 1), labels, 0)
    assert found.share_of_plateau == pytest.approx(1)
    assert (found.active_share == 1) is is_high  # positives in one point cost contrastive nothing


def test_in_one_point_semi_hard_mining_finds_nothing_and_says_that_all_violates_the_margin() -> None:
    embedded, labels = batch()
    found = built(TERMS["semi-hard"], unit_length=True)(embedded[:1].repeat(len(labels), 1), labels, 0)
    assert (found.total.item(), found.active_share, found.share_of_plateau) == (0, 1, None)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16))
def test_margins_are_of_the_served_distance_and_not_of_its_square(seed: int) -> None:
    anchor, direction = torch.randn(2, CHANNELS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    step = direction / direction.norm()
    embedded = torch.stack([anchor, anchor + 0.5 * step, anchor + 0.9 * step])  # distances 0.5 and 0.9, apart by 0.4
    found = built(Triplet(kind="triplet", miner="all", margin=0.6), unit_length=False)(
        embedded, torch.tensor([0, 0, 1]), 0
    )
    assert found.total.item() == pytest.approx(((0.5 - 0.9 + 0.6) + (0.5 - 0.4 + 0.6)) / 2)


def test_near_alike_embeddings_keep_their_distance_in_a_large_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    embedded = torch.randn(1, CHANNELS, generator=generator) + 1e-4 * torch.randn(40, CHANNELS, generator=generator)
    term = Contrastive(kind="contrastive", positive_margin=0, negative_margin=1)
    found = built(term, unit_length=False)(embedded, torch.zeros(40, dtype=torch.int64), 0)
    exact = torch.cdist(embedded.double(), embedded.double())
    assert found.total.item() == pytest.approx(exact[~torch.eye(40, dtype=torch.bool)].mean().item(), rel=1e-4)
