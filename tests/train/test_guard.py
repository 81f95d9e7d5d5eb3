"""The guard: what it measures against plain loops, what counts as a collapse, and real small runs, healthy and not."""

import json
import math
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch import Tensor, nn

from train import run_file as runfile
from train.errors import Collapsed
from train.learning.guard import CollapseGuard, EmbeddingHealth, effective_rank, health_of
from train.losses.build import LossValue, build_losses
from train.run_file import Contrastive, LossTerm, MultiSimilarity, Triplet

SETTINGS = runfile.GuardConfig()
PEOPLE, IMAGES = 10, 4


def loss_of(total: float, share_of_plateau: float | None = None) -> LossValue:
    return LossValue(torch.tensor(total), {}, 1.0, share_of_plateau)


def embedded(seed: int, n: int = 12) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 128, generator=torch.Generator().manual_seed(seed)), torch.arange(n) % 4


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16), st.integers(2, 9), st.sampled_from([1, 2, 9]))
def test_distances_and_variances_are_those_of_plain_loops(seed: int, n: int, n_identities: int) -> None:
    vectors, labels = embedded(seed, n)[0], torch.arange(n) % n_identities
    health, rows = health_of(vectors, labels), vectors.double().numpy()
    pairs = [(i, j) for i in range(n) for j in range(i)]
    apart = {pair: math.sqrt(((rows[pair[0]] - rows[pair[1]]) ** 2).sum()) for pair in pairs}
    genuine = [apart[i, j] for i, j in pairs if labels[i] == labels[j]]
    impostor = [apart[i, j] for i, j in pairs if labels[i] != labels[j]]
    assert health.positive_distance == (pytest.approx(np.mean(genuine)) if genuine else None)
    assert health.negative_distance == (pytest.approx(np.mean(impostor)) if impostor else None)
    variances = [sum((x - sum(column) / n) ** 2 for x in column) / (n - 1) for column in rows.T]
    assert health.least_variance == pytest.approx(min(variances))
    assert sorted(variances)[63] == pytest.approx(health.median_variance)
    assert health.n_identities == len(set(labels.tolist()))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16), st.integers(2, 9))
def test_the_effective_rank_is_that_of_the_entropy_of_the_covariances_eigenvalues(seed: int, n: int) -> None:
    vectors = embedded(seed, n)[0].double()
    powers = np.linalg.eigvalsh(np.cov(vectors.numpy().T)).clip(0)
    shares = [power / powers.sum() for power in powers if power > 1e-12]
    found = effective_rank(vectors)
    assert found == pytest.approx(math.exp(-sum(share * math.log(share) for share in shares)))
    assert 1 <= found <= n - 1 + 1e-9
    assert effective_rank(7 * vectors + 3) == pytest.approx(found)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_effective_rank_of_equally_wide_directions_is_their_number(k: int) -> None:
    assert effective_rank(torch.cat([torch.eye(128)[:k], -torch.eye(128)[:k]]).double()) == pytest.approx(k)


def test_equal_embeddings_have_no_direction() -> None:
    vectors, labels = embedded(0)
    health = health_of(vectors[:1].repeat(12, 1), labels)
    assert (health.effective_rank, health.negative_distance) == (0, 0)
    assert health.median_variance == pytest.approx(0, abs=1e-24)


def looks(guard: CollapseGuard, *seen: tuple[Tensor, LossValue]) -> None:
    for step, (vectors, loss) in enumerate(seen):
        guard.look(step, health_of(vectors, torch.arange(len(vectors)) % 4), loss)


START = (embedded(0)[0], loss_of(0.2))
POINT = (embedded(1)[0][:1] + 1e-3 * embedded(2)[0], loss_of(0.2, 1.0))
PLANE = (  # the faces fill two directions, unequally
    embedded(55)[0][:, :1] * embedded(2)[0][:1] + 0.35 * embedded(1)[0][:, :1] * embedded(2)[0][1:2],
    loss_of(0.5, 2.5),
)
LINE = (embedded(1)[0][:, :1] * embedded(2)[0][:1], loss_of(3.0, 15.0))
NAN = (embedded(1)[0] * math.nan, loss_of(math.nan))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (
            POINT,
            "nearly on one point.*mean distance of two people.*at the start .* was 1.*1.00 times the loss of one point",
        ),
        (
            (0.001 * embedded(1)[0], loss_of(0.2, 1.0)),
            "nearly on one point",
        ),  # as wide as ever, but far below the margin
        ((0 * embedded(1)[0], loss_of(0.2, 1.0)), "nearly on one point"),
        (
            (0.15 * embedded(1)[0], loss_of(0.95, 0.87)),
            "nearly on one point.* 0.87 times the loss of one point",
        ),  # not so near, but telling nobody apart, and there to stay
        (PLANE, "nearly along a line: their effective rank is 1"),
        (LINE, "nearly along a line: their effective rank is 1.00"),
        ((1e4 * embedded(1)[0], loss_of(1e4)), "distances have exploded"),
        (NAN, "not finite"),
        ((embedded(1)[0], loss_of(math.inf)), "the loss is inf"),
    ],
)
def test_a_collapse_is_told_with_numbers_and_advice(seen: tuple[Tensor, LossValue], said: str) -> None:
    with pytest.raises(Collapsed, match=f"{said}.*Lower optimizer.rate") as caught:
        looks(CollapseGuard(SETTINGS), START, *[seen] * SETTINGS.patience)
    assert (caught.value.step, caught.value.code) == (SETTINGS.patience, "collapsed")


@pytest.mark.parametrize("seen", [POINT, LINE, NAN])
def test_it_must_be_found_so_many_times_in_a_row(seen: tuple[Tensor, LossValue]) -> None:
    almost = [seen] * (SETTINGS.patience - 1)
    looks(CollapseGuard(SETTINGS), START, *almost, START, *almost)


def test_a_guard_that_is_off_says_nothing() -> None:
    looks(CollapseGuard(runfile.GuardConfig(is_on=False)), START, *[NAN] * 20)


@pytest.mark.parametrize("vectors", [POINT[0], LINE[0] + 1e-2 * START[0]])
def test_a_network_that_begins_narrow_is_given_time(vectors: Tensor) -> None:
    looks(CollapseGuard(SETTINGS), *[(vectors, loss_of(0.2, 1.0))] * 20)


def test_embeddings_that_began_too_long_may_shrink() -> None:
    looks(CollapseGuard(SETTINGS), (1000 * START[0], loss_of(0.2)), *[(START[0], loss_of(0.2, 0.7))] * 20)


def test_people_told_apart_are_no_collapse_however_near() -> None:
    centres = embedded(1)[0][:4].repeat(3, 1)
    told = POINT[0][:1] + 1e-3 * (centres + 0.05 * embedded(2)[0])
    looks(CollapseGuard(SETTINGS), START, *[(told, loss_of(0.0))] * 20)


def test_two_people_told_apart_lie_on_a_line() -> None:
    guard, labels = CollapseGuard(SETTINGS), torch.arange(12) % 2
    vectors = labels[:, None] * embedded(1)[0][:1] + 1e-3 * START[0]
    for step in range(20):
        guard.look(step, health_of(START[0] if step == 0 else vectors, labels), loss_of(0.1))


@pytest.mark.parametrize("n_before", range(SETTINGS.patience))
def test_a_guard_that_is_taken_up_again_remembers_its_first_look_and_its_count(n_before: int) -> None:
    guard, resumed = CollapseGuard(SETTINGS), CollapseGuard(SETTINGS)
    looks(guard, START, *[POINT] * n_before)
    resumed.load(json.loads(json.dumps(guard.to_dict())))
    looks(resumed, *[POINT] * (SETTINGS.patience - n_before - 1))
    with pytest.raises(Collapsed):
        looks(resumed, POINT)


def test_facts_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match="not the state of a collapse guard"):
        CollapseGuard(SETTINGS).load({"first": 3})
    fresh = CollapseGuard(SETTINGS)
    fresh.load(CollapseGuard(SETTINGS).to_dict())
    assert fresh.to_dict() == {"first": None, "n_found": 0}


class Tiny(nn.Module):
    """Small grey pictures (n, 1, 28, 24) to embeddings; with batch normalisation or without, unit length or not."""

    def __init__(self, *, normalised: bool, unit_length: bool) -> None:
        super().__init__()
        widths, layers = (1, 16, 32), list[nn.Module]()
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, 2, 1),
                nn.BatchNorm2d(after) if normalised else nn.Identity(),
                nn.ReLU(),
            ]
        self.backbone, self.head = nn.Sequential(*layers), nn.Linear(32 * 7 * 6, 128)
        self.unit_length = unit_length

    def forward(self, pictures: Tensor) -> Tensor:
        embeddings: Tensor = self.head(self.backbone(pictures).flatten(1))
        return F.normalize(embeddings) if self.unit_length else embeddings


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small take longer on two threads than on one."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def easy(data: Path) -> Tensor:
    """40 people who sat in the same light: (40, 10, 1, 28, 24)."""
    return pictures(data / "orl", 40, 10)


@pytest.fixture(scope="module")
def hard(data: Path) -> Tensor:
    """60 people as press photographers met them, not aligned: (60, 4, 1, 28, 24)."""
    return pictures(data / "celebrities", 60, IMAGES)


def pictures(root: Path, n_people: int, n_each: int) -> Tensor:
    folders = (sorted(folder.iterdir()) for folder in sorted(root.iterdir()) if folder.is_dir())
    enough = (photos[:n_each] for photos in folders if len(photos) >= n_each)
    faces = [[picture(path) for path in photos] for photos in islice(enough, n_people)]
    return (torch.from_numpy(np.array(faces, np.float32))[:, :, None] - 127.5) / 64


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.draft("L", (64, 64))
        return np.asarray(image.convert("L").resize((24, 28)), np.float32)


def train(
    faces: Tensor, network: Tiny, term: LossTerm, optimizer: torch.optim.Optimizer, n_steps: int = 200
) -> EmbeddingHealth:
    """Train as the loop does, with a guard that looks every 10 steps; the health at the end."""
    losses = build_losses(
        [term], n_identities=40, n_channels=128, unit_length=network.unit_length, generator=torch.Generator()
    )
    generator, guard = torch.Generator().manual_seed(0), CollapseGuard(SETTINGS)
    labels = torch.arange(PEOPLE).repeat_interleave(IMAGES)
    for step in range(n_steps):
        people = torch.randperm(len(faces), generator=generator)[:PEOPLE].repeat_interleave(IMAGES)
        images = torch.cat([torch.randperm(faces.shape[1], generator=generator)[:IMAGES] for _ in range(PEOPLE)])
        embeddings = network(faces[people, images])
        loss: LossValue = losses(embeddings, labels, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss.total)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if step % SETTINGS.every == 0:
            health = health_of(embeddings.detach(), labels)
            guard.look(step, health, loss)
    return health


def optimizer_of(network: Tiny, kind: str, rate: float) -> torch.optim.Optimizer:
    if kind == "sgd":
        return torch.optim.SGD(network.parameters(), rate, momentum=0.9)
    return torch.optim.AdamW(network.parameters(), rate)


@pytest.mark.parametrize(
    ("kind", "rate", "normalised", "unit_length", "soft"),
    [
        ("adamw", 0.3, True, True, False),
        ("adamw", 3, False, True, True),
        ("adamw", 0.3, False, False, True),
        ("sgd", 10, False, True, False),
    ],
)
def test_batch_hard_at_far_too_high_a_rate_is_caught_within_two_hundred_steps(
    hard: Tensor, kind: str, rate: float, *, normalised: bool, unit_length: bool, soft: bool
) -> None:
    torch.manual_seed(0)
    network = Tiny(normalised=normalised, unit_length=unit_length)
    term = Triplet(kind="triplet", miner="hard", soft=soft)
    with pytest.raises(Collapsed, match="semi-hard"):
        train(hard, network, term, optimizer_of(network, kind, rate))


HEALTHY: dict[str, LossTerm] = {
    "contrastive": Contrastive(kind="contrastive"),
    "semi-hard": Triplet(kind="triplet"),
    "all": Triplet(kind="triplet", miner="all"),
    "hard": Triplet(kind="triplet", miner="hard"),
    "multi-similarity": MultiSimilarity(kind="multi-similarity"),
}


@pytest.mark.parametrize(
    ("name", "normalised", "unit_length"),
    [
        ("contrastive", True, False),
        ("semi-hard", False, False),
        ("all", False, True),
        ("hard", True, True),
        ("multi-similarity", False, True),
    ],
)
def test_a_run_that_learns_is_left_alone(easy: Tensor, name: str, *, normalised: bool, unit_length: bool) -> None:
    torch.manual_seed(0)
    network = Tiny(normalised=normalised, unit_length=unit_length)
    health = train(easy, network, HEALTHY[name], optimizer_of(network, "adamw", 1e-3), n_steps=100)
    assert health.positive_distance is not None
    assert health.negative_distance is not None
    assert health.positive_distance < 0.7 * health.negative_distance
    assert health.effective_rank > 2
