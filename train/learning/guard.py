"""The collapse guard: measures how embeddings lie every few steps, and ends a run that has collapsed.

The scale of embeddings is the network's own affair, and a network from scratch lays all faces nearly on one point or
line. So both are judged against the first look.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from .. import run_file as runfile
from ..errors import Collapsed
from ..losses.build import LossValue

ROUNDING = 1e-12  # of the length: what float64 leaves of equal embeddings when their mean is taken away


@dataclass(frozen=True, slots=True)
class EmbeddingHealth:
    """What a look at n embeddings finds. Where one of them is not finite, every measure is NaN."""

    n_identities: int
    positive_distance: float | None  # mean Euclidean distance of two faces of one identity; None: there are no two
    negative_distance: float | None  # of two identities
    length: float  # mean Euclidean length of an embedding
    least_variance: float  # of the 128 channels' variances over the batch
    median_variance: float
    effective_rank: float  # 1 ... min(n - 1, 128); 0 where all embeddings are the same


def health_of(embeddings: Tensor, labels: Tensor) -> EmbeddingHealth:
    """Measure embeddings (n, 128), n at least 2, with labels (n,)."""
    exact = embeddings.double()
    n_identities = len(torch.unique(labels))
    if not bool(torch.isfinite(exact).all()):
        return EmbeddingHealth(n_identities, *[float("nan")] * 6)
    distances = torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels
    variances = exact.var(dim=0)
    return EmbeddingHealth(
        n_identities=n_identities,
        positive_distance=_mean(distances[same.triu(1)]),
        negative_distance=_mean(distances[~same]),
        length=float(exact.norm(dim=1).mean()),
        least_variance=float(variances.min()),
        median_variance=float(variances.median()),
        effective_rank=effective_rank(exact),
    )


def effective_rank(embeddings: Tensor) -> float:
    """In how many directions embeddings (n, 128), float64, lie: exp of the entropy of their shares of the variance.

    Roy & Vetterli, "The effective rank", EUSIPCO 2007, of squared singular values. 0 where there is no variance.
    """
    sizes = torch.linalg.svdvals(embeddings - embeddings.mean(dim=0))
    if float(sizes.max()) <= ROUNDING * float(embeddings.norm()):
        return 0.0
    shares = sizes.square() / sizes.square().sum()
    return float(torch.special.entr(shares).sum().exp())


def _mean(distances: Tensor) -> float | None:
    return float(distances.mean()) if len(distances) else None


SHRUNK = 1 / 30  # of the first distance; batch-hard at too high a rate falls below it in under 100 steps
GROWN = 1000.0
AT_PLATEAU = 0.1  # how near the loss is to what one point would cost
HUDDLED = 1 / 5  # of the first distance: a run that comes down to this and tells nobody apart seldom gets up again
NEAR_PLATEAU = 0.2  # where they are huddled the loss lies a little off
BLURRED = 0.5  # positive over negative distance; of networks that tell people apart it is smaller
BLIND = 0.85  # the same, of networks that tell nobody apart
FEW_DIRECTIONS = 1.2  # a healthy run from scratch may come down to 1.5 in its first steps
LOST_DIRECTIONS = 2.0  # of a network that began with four times as many, and now tells nobody apart
MANY_IDENTITIES = 4  # so many lie in 3 directions when they are told apart


def broken(health: EmbeddingHealth, loss: LossValue) -> str | None:
    """Are there numbers that are none?"""
    if math.isnan(health.length):
        return "the embeddings hold numbers that are not finite"
    total = float(loss.total.detach())
    return None if math.isfinite(total) else f"the loss is {total}"


def point(health: EmbeddingHealth, first: EmbeddingHealth, loss: LossValue) -> str | None:
    """Have all embeddings come near one point, without telling people apart?"""
    now, then = health.negative_distance, first.negative_distance
    if now is None or then is None or not _is_blurred(health):
        return None
    is_narrow = _spread(now, health) <= SHRUNK * _spread(then, first)
    has_shrunk = now <= SHRUNK * then and _is_at_plateau(loss)  # alone it may be healthy: embeddings began too long
    is_huddled = now <= HUDDLED * then and _is_blurred(health, BLIND) and _is_at_plateau(loss, NEAR_PLATEAU)
    if not (is_narrow or has_shrunk or is_huddled):
        return None
    return f"all faces lie nearly on one point: {_distances(health, first)}{_plateau(loss)}"


def line(health: EmbeddingHealth, first: EmbeddingHealth, _loss: LossValue) -> str | None:
    """Have all embeddings come to lie along a line, without telling people apart?"""
    if health.n_identities < MANY_IDENTITIES:
        return None
    now, then = health.effective_rank, first.effective_rank
    is_thin = now < min(FEW_DIRECTIONS, (1 + then) / 2) and _is_blurred(health)
    has_lost = now < min(LOST_DIRECTIONS, then / 4) and _is_blurred(health, BLIND)
    if not (is_thin or has_lost):
        return None
    return (
        f"the faces of {health.n_identities} people lie along little more than a line: the effective rank of their "
        f"embeddings is {now:.2f}, and was {then:.2f} at the start"
    )


def explosion(health: EmbeddingHealth, first: EmbeddingHealth, _loss: LossValue) -> str | None:
    """Have the embeddings flown apart, without telling people apart?"""
    now, then = health.negative_distance, first.negative_distance
    if now is None or then is None or not _is_blurred(health) or now < GROWN * then:
        return None
    return f"the faces fly apart without being told apart: {_distances(health, first)}"


def _is_blurred(health: EmbeddingHealth, limit: float = BLURRED) -> bool:
    positive, negative = health.positive_distance, health.negative_distance
    return positive is None or negative is None or positive >= limit * negative


def _spread(distance: float, health: EmbeddingHealth) -> float:
    """Measure a distance in lengths of an embedding."""
    return distance / health.length if health.length > 0 else 0.0


def _is_at_plateau(loss: LossValue, limit: float = AT_PLATEAU) -> bool:
    return loss.share_of_plateau is not None and abs(loss.share_of_plateau - 1) < limit


def _distances(health: EmbeddingHealth, first: EmbeddingHealth) -> str:
    positive = health.positive_distance
    of_one = "" if positive is None else f", of two photos of one person {positive:.3g}"
    return (
        f"the mean distance of two people is {health.negative_distance:.3g}{of_one}, of embeddings {health.length:.3g} "
        f"long; at the start it was {first.negative_distance:.3g}, of {first.length:.3g} long"
    )


def _plateau(loss: LossValue) -> str:
    if loss.share_of_plateau is None or loss.active_share is None:
        return ""
    return (
        f"; the loss is {loss.share_of_plateau:.2f} times what one point would cost, and {loss.active_share:.0%} of "
        "what it compares still costs something"
    )


Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


class CollapseGuard:
    """Remembers the first look, which belongs to the first step, and how many looks in a row found a collapse."""

    def __init__(self, settings: runfile.GuardConfig) -> None:
        self._settings = settings
        self._first: EmbeddingHealth | None = None
        self._n_found = 0

    @property
    def is_worried(self) -> bool:
        """Did the last look find a collapse?"""
        return self._n_found > 0

    def look(self, step: int, health: EmbeddingHealth, loss: LossValue) -> None:
        """Judge the embeddings and the loss of a batch; raises Collapsed after `patience` findings in a row."""
        finding = self._finding(health, loss)
        self._n_found = 0 if finding is None else self._n_found + 1
        if finding is not None and self._settings.is_on and self._n_found >= self._settings.patience:
            raise Collapsed(step, finding, self._n_found)

    def _finding(self, health: EmbeddingHealth, loss: LossValue) -> str | None:
        finding = broken(health, loss)
        if finding is not None:
            return finding
        self._first = first = self._first or health
        found = (sign(health, first, loss) for sign in (point, line, explosion))
        return next((each for each in found if each is not None), None)

    def to_dict(self) -> dict[str, Plain]:
        """All that it remembers, as plain numbers."""
        return {"first": None if self._first is None else asdict(self._first), "n_found": self._n_found}

    def load(self, facts: Mapping[str, Plain]) -> None:
        """Remember what `to_dict` gave; raises ValueError where that is something else."""
        first, n_found = facts.get("first"), facts.get("n_found")
        if not isinstance(n_found, int) or not (first is None or isinstance(first, dict)):
            raise ValueError(f"these are no facts of a guard: {sorted(facts)}")
        self._first = None if first is None else EmbeddingHealth(**first)  # type: ignore[arg-type] # plain numbers, as asdict gave
        self._n_found = n_found
