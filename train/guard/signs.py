"""Signs of a collapse: each looks at how the embeddings lie now and lay at the start, and says what is wrong, or None.

The scale of embeddings is the network's own affair, and a network from scratch lays all faces nearly on one point or
line. So both are judged against the first look.
"""

import math

from ..losses.total import LossValue
from .health import EmbeddingHealth

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
