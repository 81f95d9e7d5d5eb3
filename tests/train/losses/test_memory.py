"""The cross-batch memory: what it holds, when it takes part, and that it goes on after a stop as if there were none."""

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import CrossBatchMemory as LibraryMemory, TripletMarginLoss
from torch import Tensor

from train.errors import LossError
from train.losses.batch import LossBatch
from train.losses.build import TotalLoss, build_losses
from train.losses.metric import CrossBatchMemory
from train.run_file import Contrastive, Triplet

N = 6


def batch(seed: int, n: int = N) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 128, generator=torch.Generator().manual_seed(seed)), torch.arange(n) % 3 + seed % 2


def faces(seed: int, n: int = N) -> LossBatch:
    return LossBatch(*batch(seed, n), teachers={})


def contrastive(memory: int, after: int = 0) -> TotalLoss:
    term = Contrastive(kind="contrastive", negative_margin=20, memory=memory, memory_after_steps=after)
    return build_losses([term], n_identities=4, n_channels=128, unit_length=False, generator=torch.Generator())


def test_it_holds_the_last_embeddings_that_it_was_shown_and_the_batch_comes_first() -> None:
    memory, shown = CrossBatchMemory(15, 128, 0), [faces(seed) for seed in range(5)]
    for step, each in enumerate(shown[:4]):
        memory(each, step)
    found = memory(shown[4], 4)
    assert torch.equal(found.references[:N], shown[4].embeddings)
    last = torch.cat([each.embeddings for each in shown[:4]])[-15:]
    labels = torch.cat([each.labels for each in shown[:4]])[-15:]
    kept = {(tuple(row.tolist()), int(label)) for row, label in zip(last, labels, strict=True)}
    held = zip(found.references[N:], found.reference_labels[N:], strict=True)
    assert {(tuple(row.tolist()), int(label)) for row, label in held} == kept


def test_an_empty_memory_changes_nothing() -> None:
    assert contrastive(20)(*batch(0), 0).total == contrastive(0)(*batch(0), 0).total


def test_nothing_is_remembered_before_its_step() -> None:
    losses, without = contrastive(20, after=2), contrastive(0)
    for step in range(3):
        assert losses(*batch(step), step).total == without(*batch(step), step).total
    assert losses(*batch(3), 3).total != without(*batch(3), 3).total


def test_its_value_is_that_of_the_librarys_memory_which_counts_the_batch_as_remembered() -> None:
    term = Triplet(kind="triplet", miner="all", margin=5, memory=12)
    ours = build_losses([term], n_identities=4, n_channels=128, unit_length=False, generator=torch.Generator())
    loss = TripletMarginLoss(margin=5, distance=LpDistance(normalize_embeddings=False))
    theirs = LibraryMemory(loss, 128, memory_size=12 + N)
    for step in range(6):
        assert ours(*batch(step), step).total.item() == pytest.approx(theirs(*batch(step)).item(), rel=1e-5)


def test_pairs_within_a_batch_have_their_whole_gradient_of_which_the_librarys_memory_keeps_half() -> None:
    term = Triplet(kind="triplet", miner="all", margin=5, memory=12)
    ours = build_losses([term], n_identities=4, n_channels=128, unit_length=False, generator=torch.Generator())
    loss = TripletMarginLoss(margin=5, distance=LpDistance(normalize_embeddings=False))
    (one, labels), (other, _) = batch(0), batch(0)
    ours(one.requires_grad_(), labels, 0).total.backward()
    LibraryMemory(loss, 128, memory_size=12 + N)(other.requires_grad_(), labels).backward()
    assert one.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(one.grad, 2 * other.grad)


def test_gradients_reach_the_batch_and_not_what_is_remembered() -> None:
    losses, (first, labels) = contrastive(20), batch(0)
    losses(first.requires_grad_(), labels, 0)
    second, more = batch(1)
    losses(second.requires_grad_(), more, 1).total.backward()
    assert first.grad is None
    assert second.grad is not None
    assert second.grad.abs().sum() > 0


def test_a_memory_smaller_than_a_batch_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        LossError, match=r"memory of 5 embeddings is smaller than one batch of 6; raise the term's memory"
    ):
        contrastive(5)(*batch(0), 0)


def test_a_run_that_is_taken_up_again_goes_on_bit_for_bit() -> None:
    term = Triplet(kind="triplet", miner="hard", margin=0.5, memory=14, memory_after_steps=1)
    whole, begun, resumed = (
        build_losses([term], n_identities=4, n_channels=128, unit_length=True, generator=torch.Generator())
        for _ in range(3)
    )
    expected = [whole(*batch(step), step).total for step in range(8)]
    for step in range(4):
        begun(*batch(step), step)
    resumed.load_state_dict(begun.state_dict())
    assert [resumed(*batch(step), step).total for step in range(4, 8)] == expected[4:]
    assert all(torch.equal(one, other) for one, other in zip(whole.buffers(), resumed.buffers(), strict=True))
