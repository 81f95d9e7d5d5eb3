"""Every miner against plain loops over the papers' conditions, and against the miner of pytorch-metric-learning."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pytorch_metric_learning import miners as library
from pytorch_metric_learning.distances import CosineSimilarity
from torch import Tensor

from train.losses.batch import ReferenceBatch, euclidean
from train.losses.miners import AllPairsMiner, AllTripletsMiner, BatchHardMiner, MultiSimilarityMiner, SemiHardMiner

Floats = np.ndarray
EUCLIDEAN = euclidean(unit_length=False)


@st.composite
def comparisons(draw: st.DrawFn) -> ReferenceBatch:
    """A batch and a memory that may be empty: at random, on a grid (so that distances tie), or with faces twice."""
    n, n_more = draw(st.integers(2, 9)), draw(st.integers(0, 6))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = draw(st.sampled_from(["random", "grid", "twice", "one point"]))
    points = generator.normal(size=(n + n_more, 4))
    if kind == "grid":
        points = generator.integers(1, 4, size=points.shape).astype(float)
    elif kind != "random":
        points = points[generator.integers(0, 1 if kind == "one point" else 2, size=n + n_more)]
    n_identities = draw(st.sampled_from([1, 2, 3, n + n_more]))
    every = np.arange(n + n_more) % n_identities
    labels = torch.from_numpy(every if n_identities > n else generator.permutation(every))
    embedded = torch.from_numpy(points)
    return ReferenceBatch(embedded[:n], labels[:n], embedded, labels)


def distances(given_: ReferenceBatch) -> Floats:
    ours, theirs = given_.embeddings.numpy(), given_.references.numpy()
    return np.array([[np.sqrt(((a - b) ** 2).sum()) for b in theirs] for a in ours])


def cosines(given_: ReferenceBatch) -> Floats:
    ours, theirs = given_.embeddings.numpy(), given_.references.numpy()
    return np.array([[(a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) for b in theirs] for a in ours])


def positives(given_: ReferenceBatch, i: int) -> list[int]:
    return [j for j, label in enumerate(given_.reference_labels) if label == given_.labels[i] and j != i]


def negatives(given_: ReferenceBatch, i: int) -> list[int]:
    return [j for j, label in enumerate(given_.reference_labels) if label != given_.labels[i]]


def triplets(given_: ReferenceBatch) -> list[tuple[int, int, int]]:
    return [
        (i, p, n) for i in range(len(given_.labels)) for p, n in product(positives(given_, i), negatives(given_, i))
    ]


def as_set(*indices: Tensor) -> set[tuple[int, ...]]:
    return set(zip(*(index.tolist() for index in indices), strict=True))


def violating(found: list[tuple[int, int, int]], d: Floats, margin: float) -> float | None:
    """Share of triplets whose negative is not farther than the positive, or not by the margin."""
    return sum(d[i, n] - d[i, p] < margin or d[i, n] <= d[i, p] for i, p, n in found) / len(found) if found else None


@settings(deadline=None, max_examples=40)
@given(comparisons(), st.sampled_from([0.0, 0.2, 1.0]))
def test_every_triplet_is_found_once_and_its_active_share_is_that_of_a_loop(
    given_: ReferenceBatch, margin: float
) -> None:
    expected, d = triplets(given_), distances(given_)
    chosen = AllTripletsMiner(EUCLIDEAN, margin)(given_)
    assert as_set(*chosen.indices) == set(expected)
    assert len(chosen.indices[0]) == len(expected)
    assert chosen.active_share == violating(expected, d, margin)


@settings(deadline=None, max_examples=40)
@given(comparisons(), st.sampled_from([0.2, 1.0]))
def test_semi_hard_triplets_are_those_between_the_positive_and_the_margin(
    given_: ReferenceBatch, margin: float
) -> None:
    every, d = triplets(given_), distances(given_)
    chosen = SemiHardMiner(EUCLIDEAN, margin)(given_)
    assert as_set(*chosen.indices) == {
        (i, p, n) for i, p, n in every if d[i, p] < d[i, n] and d[i, n] - d[i, p] < margin
    }
    assert chosen.active_share == violating(every, d, margin)


@settings(deadline=None, max_examples=40)
@given(comparisons(), st.sampled_from([0.0, 0.2, 1.0]))
def test_batch_hard_takes_the_farthest_positive_and_the_nearest_negative(given_: ReferenceBatch, margin: float) -> None:
    d = distances(given_)
    both = [i for i in range(len(given_.labels)) if positives(given_, i) and negatives(given_, i)]
    hardest = [(max(d[i, positives(given_, i)]), min(d[i, negatives(given_, i)])) for i in both]
    chosen = BatchHardMiner(EUCLIDEAN, margin)(given_)
    anchors, found_positives, found_negatives = chosen.indices
    assert anchors.tolist() == both
    assert [(d[i, p], d[i, n]) for i, p, n in zip(*chosen.indices, strict=True)] == hardest
    assert all(p in positives(given_, int(i)) for i, p in zip(anchors, found_positives.tolist(), strict=True))
    assert all(n in negatives(given_, int(i)) for i, n in zip(anchors, found_negatives.tolist(), strict=True))
    n_active = sum(near - far < margin or near <= far for far, near in hardest)
    assert chosen.active_share == (n_active / len(both) if both else None)


@settings(deadline=None, max_examples=40)
@given(comparisons())
def test_every_pair_is_found_once_and_active_are_those_beyond_their_margin(given_: ReferenceBatch) -> None:
    d, n = distances(given_), len(given_.labels)
    genuine = {(i, p) for i in range(n) for p in positives(given_, i)}
    impostor = {(i, j) for i in range(n) for j in negatives(given_, i)}
    chosen = AllPairsMiner(EUCLIDEAN, 0.5, 2.0)(given_)
    assert as_set(*chosen.indices[:2]) == genuine
    assert as_set(*chosen.indices[2:]) == impostor
    n_active = sum(d[pair] > 0.5 for pair in genuine) + sum(d[pair] < 2.0 for pair in impostor)
    n_pairs = len(genuine) + len(impostor)
    assert chosen.active_share == (n_active / n_pairs if n_pairs else None)


@settings(deadline=None, max_examples=40)
@given(comparisons(), st.sampled_from([0.05, 0.1]))
def test_the_pairs_of_multi_similarity_are_those_of_the_papers_conditions(
    given_: ReferenceBatch, epsilon: float
) -> None:
    s, n = cosines(given_), len(given_.labels)
    genuine, impostor = set(), set()
    for i in range(n):
        least = min((s[i, p] for p in positives(given_, i)), default=np.inf)
        most = max((s[i, j] for j in negatives(given_, i)), default=-np.inf)
        genuine |= {(i, p) for p in positives(given_, i) if s[i, p] < most + epsilon}
        impostor |= {(i, j) for j in negatives(given_, i) if s[i, j] > least - epsilon}
    chosen = MultiSimilarityMiner(CosineSimilarity(), epsilon)(given_)
    assert as_set(*chosen.indices[:2]) == genuine
    assert as_set(*chosen.indices[2:]) == impostor


@pytest.mark.parametrize("seed", range(10))
def test_within_a_batch_the_miners_are_those_of_the_library(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    embedded = torch.randn(12, 8, generator=generator, dtype=torch.float64)
    labels = torch.arange(12) % 4
    batch = ReferenceBatch(embedded, labels, embedded, labels)
    hard = library.BatchHardMiner(distance=EUCLIDEAN)(embedded, labels)
    semi_hard = library.TripletMarginMiner(margin=0.8, type_of_triplets="semihard", distance=EUCLIDEAN)(
        embedded, labels
    )
    similar = library.MultiSimilarityMiner(epsilon=0.1)(embedded, labels)
    assert as_set(*BatchHardMiner(EUCLIDEAN, 0.8)(batch).indices) == as_set(*hard)
    assert as_set(*SemiHardMiner(EUCLIDEAN, 0.8)(batch).indices) == as_set(*semi_hard)
    ours = MultiSimilarityMiner(CosineSimilarity(), 0.1)(batch).indices
    assert [as_set(*ours[:2]), as_set(*ours[2:])] == [as_set(*similar[:2]), as_set(*similar[2:])]


@settings(deadline=None, max_examples=40)
@given(comparisons())
def test_no_face_is_ever_its_own_positive(given_: ReferenceBatch) -> None:
    for miner in (
        AllPairsMiner(EUCLIDEAN, 0, 1),
        AllTripletsMiner(EUCLIDEAN, 1),
        BatchHardMiner(EUCLIDEAN, 1),
        SemiHardMiner(EUCLIDEAN, 1),
    ):
        anchors, found = miner(given_).indices[:2]
        assert not (anchors == found).any()
