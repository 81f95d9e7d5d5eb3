"""Batches by step: the same whatever came before, ahead of time or not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from train.augmentation import Augmenter
from train.data.prepared import PreparedData, open_prepared
from train.evaluation.protocols.protocol import identity_numbers
from train.learning.batches import (
    Batch,
    BatchSource,
    ChipBatchSource,
    FeatureBatchSource,
    LabeledChips,
    LabeledFeatures,
    flipped,
    prefetch,
)
from train.learning.sampler import WHOLE, PKSampler, Share
from train.learning.validation import ChipValidation, FeatureValidation, evaluate_embeddings
from train.run.network import build_run_network
from train.run_file import Augmentation, NetworkConfig

KINDS = tuple(Augmentation.model_fields)
ANOTHER = torch.device("meta")  # than the CPU, which makes the batches


@pytest.fixture(scope="module")
def people(prepared_people: Path) -> PreparedData:
    return open_prepared(prepared_people)


@pytest.fixture
def faces(people: PreparedData) -> LabeledChips:
    teacher = np.arange(60 * 128, dtype=np.float32).reshape(60, 128)
    return LabeledChips(
        people, np.arange(60, dtype=np.int32), identity_numbers(people.identities), {"teacher": teacher}
    )


@pytest.fixture
def chip_feed(faces: LabeledChips) -> ChipBatchSource:
    return ChipBatchSource(faces, PKSampler(faces.labels, 4, 3, seed=5), Augmenter(Augmentation(), 64, 150), seed=5)


def same(one: Batch, other: Batch) -> bool:
    pairs = (
        (one.inputs, other.inputs),
        (one.labels, other.labels),
        (one.teachers["teacher"], other.teachers["teacher"]),
    )
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_batch_depends_on_the_step_alone(chip_feed: BatchSource) -> None:
    later = chip_feed.batch(7)
    chip_feed.batch(3)
    assert same(chip_feed.batch(7), later)
    assert not torch.equal(chip_feed.batch(8).inputs, later.inputs)


def test_batches_made_ahead_are_those_made_in_time_also_out_of_turn(chip_feed: BatchSource) -> None:
    with prefetch(chip_feed, ANOTHER) as prefetched:
        for step in (0, 1, 2, 9, 10, 4):
            assert same(prefetched.batch(step), chip_feed.batch(step))


def feeds(faces: LabeledChips, share: Share) -> tuple[BatchSource, BatchSource]:
    """Chips with every augmentation, and features of which half are mirrored."""
    sampler = PKSampler(faces.labels, 4, 3, seed=5, share=share)
    augmenter = Augmenter(Augmentation.model_validate({kind: {"probability": 0.5} for kind in KINDS}), 64, 150)
    features = LabeledFeatures(
        torch.randn(60, 2, 1, 1, generator=torch.Generator().manual_seed(0)), torch.ones(60, 2, 1, 1), 0.5
    )
    return ChipBatchSource(faces, sampler, augmenter, 5), FeatureBatchSource(faces, sampler, features, 5)


@pytest.mark.parametrize("n_processes", [2, 4])
def test_processes_share_the_very_batch_of_one_process(faces: LabeledChips, n_processes: int) -> None:
    shares = [feeds(faces, Share(process, n_processes)) for process in range(n_processes)]
    for whole, *parts in zip(feeds(faces, WHOLE), *shares, strict=True):
        batch, each = whole.batch(9), [part.batch(9) for part in parts]
        assert torch.equal(torch.cat([part.inputs for part in each]), batch.inputs)
        assert all(same(Batch(batch.inputs, part.labels, part.teachers), batch) for part in each)


def test_where_the_cpu_learns_nothing_is_made_beside_it(chip_feed: BatchSource) -> None:
    with prefetch(chip_feed, torch.device("cpu")) as feed:
        assert feed is chip_feed


def test_what_goes_wrong_ahead_is_raised_where_the_batch_is_asked_for() -> None:
    class Broken:
        def batch(self, step: int) -> Batch:
            if step == 1:
                raise ValueError("no such batch")
            return Batch(torch.zeros(1), torch.zeros(1, dtype=torch.int64), {})

    with prefetch(Broken(), ANOTHER) as prefetched:
        prefetched.batch(0)
        with pytest.raises(ValueError, match="no such batch"):
            prefetched.batch(1)


def test_a_batch_holds_so_many_of_each_person_with_the_teachers_embeddings_of_those_very_faces(
    chip_feed: ChipBatchSource, faces: LabeledChips
) -> None:
    batch = chip_feed.batch(0)
    assert batch.inputs.shape == (12, 3, 64, 64)
    assert sorted(torch.bincount(batch.labels).tolist())[-4:] == [3, 3, 3, 3]
    rows = (batch.teachers["teacher"][:, 0] / 128).int().tolist()
    assert [int(faces.labels[row]) for row in rows] == batch.labels.tolist()


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_features_of_mirror_images_are_drawn_as_often_as_asked(
    faces: LabeledChips, probability: float, share: float
) -> None:
    features = LabeledFeatures(torch.zeros(60, 8, 1, 1), torch.ones(60, 8, 1, 1), probability)
    feed = FeatureBatchSource(faces, PKSampler(faces.labels, 10, 4, seed=1), features, seed=1)
    drawn = torch.stack([feed.batch(step).inputs.mean() for step in range(20)])
    assert feed.batch(0).inputs.shape == (40, 8, 1, 1)
    assert drawn.mean().item() == pytest.approx(share, abs=0.08)


def test_a_mirrored_chip_is_the_chip_from_right_to_left(people: PreparedData) -> None:
    chips = people.chips([0, 1])
    assert np.array_equal(flipped(chips)[:, :, 0], chips[:, :, -1])
    assert np.array_equal(flipped(flipped(chips)), chips)


@pytest.mark.parametrize(
    "settings",
    [
        NetworkConfig(start="built-in", mirror=False),
        NetworkConfig(start="built-in", mirror=True),
        NetworkConfig(backbone="sface", mirror=False),  # whose head sees more than one pixel
    ],
    ids=str,
)
def test_people_held_out_are_judged_alike_by_chips_and_by_features(
    people: PreparedData, settings: NetworkConfig
) -> None:
    built = build_run_network(settings, people.alignment, torch.Generator())
    positions, labels = np.arange(20, dtype=np.int32), identity_numbers(people.identities[:20])
    chips = people.chips(positions)
    network = built.network.eval()
    with torch.inference_mode():
        each = [network.features(network.resized(torch.from_numpy(turned))) for turned in (chips, flipped(chips))]
    mirror = bool(settings.mirror)
    by_features = FeatureValidation(tuple(each) if mirror else (each[0],), labels)(network)
    assert by_features == ChipValidation(people, positions, labels, mirror)(network)


def test_people_told_apart_perfectly_have_no_error_and_too_few_comparisons_give_no_second_figure() -> None:
    labels = np.repeat(np.arange(3, dtype=np.int32), 2)
    look = evaluate_embeddings(np.eye(128, dtype=np.float32)[labels], labels)
    assert (look.eer, look.fnmr, look.n_genuine, look.n_impostor) == (0.0, None, 3, 12)


def test_a_network_that_gives_what_is_no_number_is_never_the_best() -> None:
    labels = np.repeat(np.arange(3, dtype=np.int32), 2)
    vectors = np.eye(128, dtype=np.float32)[labels]
    vectors[0] = np.nan
    assert evaluate_embeddings(vectors, labels).eer == 1.0
    assert evaluate_embeddings(np.full_like(vectors, np.inf), labels).eer == 1.0
