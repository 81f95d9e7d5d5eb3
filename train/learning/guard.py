"""The collapse guard: measures the spread of embeddings every few steps, and stops a run that has collapsed.

Networks differ in the scale of their embeddings, and an untrained network maps all faces nearly to one point or line.
So every check is relative to the first one.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from .. import run_file as runfile
from ..errors import Collapsed
from ..losses.build import LossValue

ROUNDING = 1e-12  # relative to the length: float64 error of equal embeddings minus their mean


@dataclass(frozen=True, slots=True)
class EmbeddingHealth:
    """Measures of n embeddings. If one embedding is not finite, every measure is NaN."""

    n_identities: int
    positive_distance: float | None  # mean Euclidean distance of two faces of one identity; None: no such pair
    negative_distance: float | None  # of two identities
    length: float  # mean Euclidean length of an embedding
    least_variance: float  # smallest of the channels' variances over the batch
    median_variance: float
    effective_rank: float  # 1 ... min(n - 1, channels); 0 if all embeddings are equal


def health_of(embeddings: Tensor, labels: Tensor) -> EmbeddingHealth:
    """Measure embeddings (n, channels), n at least 2, with labels (n,)."""
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
    """Return the effective rank of embeddings (n, channels), float64: exp of the entropy of their shares of variance.

    Roy & Vetterli, "The effective rank", EUSIPCO 2007, with squared singular values. 0 without variance.
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
AT_PLATEAU = 0.1  # largest relative difference between the loss and the loss of one point
HUDDLED = 1 / 5  # of the first distance: a run below it that does not separate people seldom recovers
NEAR_PLATEAU = 0.2  # the same for huddled embeddings, whose loss differs a little more
BLURRED = 0.5  # positive over negative distance; smaller for networks that separate people
BLIND = 0.85  # the same ratio for networks that do not separate people at all
FEW_DIRECTIONS = 1.2  # a healthy run from scratch may fall to 1.5 in its first steps
LOST_DIRECTIONS = 2.0  # for a network that started with four times as many and now separates nobody
MANY_IDENTITIES = 4  # this many separated identities span 3 directions


def broken(health: EmbeddingHealth, loss: LossValue) -> str | None:
    """Check for embeddings or a loss that are not finite."""
    if math.isnan(health.length):
        return "some embeddings are not finite"
    total = float(loss.total.detach())
    return None if math.isfinite(total) else f"the loss is {total}"


def point(health: EmbeddingHealth, first: EmbeddingHealth, loss: LossValue) -> str | None:
    """Check whether all embeddings are near one point and people are not separated."""
    now, then = health.negative_distance, first.negative_distance
    if now is None or then is None or not _is_blurred(health):
        return None
    is_narrow = _spread(now, health) <= SHRUNK * _spread(then, first)
    has_shrunk = now <= SHRUNK * then and _is_at_plateau(
        loss
    )  # the distance alone may be healthy: initial embeddings can be too long
    is_huddled = now <= HUDDLED * then and _is_blurred(health, BLIND) and _is_at_plateau(loss, NEAR_PLATEAU)
    if not (is_narrow or has_shrunk or is_huddled):
        return None
    return f"all embeddings lie nearly on one point: {_distances(health, first)}{_plateau(loss)}"


def line(health: EmbeddingHealth, first: EmbeddingHealth, _loss: LossValue) -> str | None:
    """Check whether all embeddings lie along a line and people are not separated."""
    if health.n_identities < MANY_IDENTITIES:
        return None
    now, then = health.effective_rank, first.effective_rank
    is_thin = now < min(FEW_DIRECTIONS, (1 + then) / 2) and _is_blurred(health)
    has_lost = now < min(LOST_DIRECTIONS, then / 4) and _is_blurred(health, BLIND)
    if not (is_thin or has_lost):
        return None
    return (
        f"the embeddings of {health.n_identities} people lie nearly along a line: their effective rank is "
        f"{now:.2f}, and was {then:.2f} at the start"
    )


def explosion(health: EmbeddingHealth, first: EmbeddingHealth, _loss: LossValue) -> str | None:
    """Check whether distances have exploded and people are not separated."""
    now, then = health.negative_distance, first.negative_distance
    if now is None or then is None or not _is_blurred(health) or now < GROWN * then:
        return None
    return f"the distances have exploded and people are not separated: {_distances(health, first)}"


def _is_blurred(health: EmbeddingHealth, limit: float = BLURRED) -> bool:
    positive, negative = health.positive_distance, health.negative_distance
    return positive is None or negative is None or positive >= limit * negative


def _spread(distance: float, health: EmbeddingHealth) -> float:
    """Return a distance relative to the mean length of the embeddings."""
    return distance / health.length if health.length > 0 else 0.0


def _is_at_plateau(loss: LossValue, limit: float = AT_PLATEAU) -> bool:
    return loss.share_of_plateau is not None and abs(loss.share_of_plateau - 1) < limit


def _distances(health: EmbeddingHealth, first: EmbeddingHealth) -> str:
    positive = health.positive_distance
    of_one = "" if positive is None else f", that of two photos of one person {positive:.3g}"
    return (
        f"the mean distance of two people is {health.negative_distance:.3g}{of_one}, the mean length "
        f"{health.length:.3g}; at the start the distance of two people was {first.negative_distance:.3g}, the length "
        f"{first.length:.3g}"
    )


def _plateau(loss: LossValue) -> str:
    if loss.share_of_plateau is None or loss.active_share is None:
        return ""
    return (
        f"; the loss is {loss.share_of_plateau:.2f} times the loss of one point, and {loss.active_share:.0%} of "
        "the comparisons have a loss above 0"
    )


Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


class CollapseGuard:
    """Stores the health at the first step, and counts consecutive checks that found a collapse."""

    def __init__(self, settings: runfile.GuardConfig) -> None:
        self._settings = settings
        self._first: EmbeddingHealth | None = None
        self._n_found = 0

    @property
    def is_worried(self) -> bool:
        """Whether the last check found a collapse."""
        return self._n_found > 0

    def look(self, step: int, health: EmbeddingHealth, loss: LossValue) -> None:
        """Check the embeddings and the loss of a batch. Raises Collapsed after `patience` consecutive findings."""
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
        """Return the guard's state as plain numbers."""
        return {"first": None if self._first is None else asdict(self._first), "n_found": self._n_found}

    def load(self, facts: Mapping[str, Plain]) -> None:
        """Restore the state that `to_dict` returned. Raises ValueError for anything else."""
        first, n_found = facts.get("first"), facts.get("n_found")
        if not isinstance(n_found, int) or not (first is None or isinstance(first, dict)):
            raise ValueError(f"not the state of a collapse guard: {sorted(facts)}")
        self._first = None if first is None else EmbeddingHealth(**first)  # type: ignore[arg-type] # plain numbers, as asdict gave
        self._n_found = n_found
