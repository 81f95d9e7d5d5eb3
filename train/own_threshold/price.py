"""What a poor photo costs: penalties under which impostors come no nearer in poor photos than in good ones.

First each face's penalty is fitted to how much nearer its impostors are than usual. That is right on average and not at
the threshold, where the faces count whose penalty came out too small; so the targets of every kind of photo are moved
until the kind has about the false match rate that is claimed, as far as the measures can tell kinds apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from embedder import PenaltyCurve, QualityRule

from ..evaluation.metrics import MIN_FALSE_MATCHES
from .curves import WORSE, Hinges
from .floor import floor_of
from .lots import Lot, Pairs

CLAIMS = (1e-2, 1e-3)  # false match rates that are to hold for poor photos
AIM = 1.25  # how many times the claim a poor kind's rate shall be where the penalties are fitted
MOST = 1.5  # the same, at most, also among what is not refused: beyond it all penalties are raised
UNDEGRADED_WEIGHT = 4.0  # of good photos against one of each poor kind: most photos are good
ROUNDS = 8  # of moving the targets; after these they stay
STEP = 0.5  # of the way at a time
FACTORS = np.round(np.arange(1.0, 2.01, 0.05), 2)  # by which all penalties may be raised in the end

Floats = NDArray[np.float64]


def fit_quality(lots: Sequence[Lot], default_fmr: float) -> QualityRule:
    """Fit penalties and floor to lots of faces, the first of which is of undegraded photos.

    The floor is for the threshold whose FMR on those is `default_fmr`. All penalties are raised until no kind's rate is
    too high, also among what is not refused: there are more of the faces there whose photo looks better than it is.
    """
    prices = _moved(_Prices.over(lots))
    rules = (_rule(lots, prices.curves(factor), default_fmr) for factor in FACTORS)
    for rule in rules:
        if worst_excess(lots, rule) <= MOST:
            break
    return rule


def _rule(lots: Sequence[Lot], curves: tuple[PenaltyCurve, ...], default_fmr: float) -> QualityRule:
    penalties = [QualityRule(curves=curves, floor=1).penalties(lot.measured) for lot in lots]
    (level,) = levels(lots[0], penalties[0], (default_fmr,))
    return QualityRule(curves=curves, floor=floor_of(lots, penalties, level))


def worst_excess(lots: Sequence[Lot], rule: QualityRule) -> float:
    """Return how many times what is claimed the worst kind's FMR is, of all its pairs and of those not refused."""
    penalties = [rule.penalties(lot.measured) for lot in lots]
    wanted = levels(lots[0], penalties[0])
    rates = [
        float((scores < level).mean()) / claim
        for lot, costs in zip(lots, penalties, strict=True)
        for scores in _all_and_kept(lot.impostor, costs, rule.floor)
        for level, claim in zip(wanted, CLAIMS, strict=True)
        if len(scores) * claim >= MIN_FALSE_MATCHES
    ]
    return max(rates)


def _all_and_kept(pairs: Pairs, penalties: Floats, floor: float) -> tuple[Floats, Floats]:
    scores, is_kept = pairs.scores_with(penalties), penalties <= floor
    return scores, scores[is_kept[pairs.first] & is_kept[pairs.second]]


def levels(lot: Lot, penalties: Floats, fmrs: Sequence[float] = CLAIMS) -> Floats:
    """Return the normalised distances below which such shares of a lot's impostor comparisons are: (fmrs,)."""
    scores = lot.impostor.scores_with(penalties)
    ranks = [int(fmr * len(scores)) for fmr in fmrs]
    return np.partition(scores, ranks)[ranks]


@dataclass(frozen=True, slots=True, eq=False)
class _Prices:
    """Slopes of the hinges, fitted to targets."""

    lots: Sequence[Lot]
    hinges: tuple[Hinges, ...]
    heights: tuple[Floats, ...]  # of each lot: (n, k), the hinges of all measures side by side
    targets: tuple[Floats, ...]  # of each lot: (n,)
    slopes: Floats  # (k,)

    @classmethod
    def over(cls, lots: Sequence[Lot]) -> "_Prices":
        weights = [UNDEGRADED_WEIGHT, *[1.0] * (len(lots) - 1)]
        hinges = tuple(Hinges.over(lots, weights, measure) for measure in WORSE)
        heights = tuple(
            np.concatenate([each.of(lot.measured[each.measure]) for each in hinges], axis=1) for lot in lots
        )
        usual = float(np.median(lots[0].nearness))
        targets = tuple(usual - lot.nearness for lot in lots)
        return cls(lots, hinges, heights, targets, _slopes(heights, targets))

    def penalties(self, factor: float = 1.0) -> list[Floats]:
        """Return those of each lot's faces."""
        return [factor * heights @ self.slopes for heights in self.heights]

    def moved(self) -> "_Prices":
        """Move the targets of each kind towards the rates that are claimed, and fit anew."""
        penalties = self.penalties()
        wanted = levels(self.lots[0], penalties[0])
        aim = tuple(AIM * claim for claim in CLAIMS)
        missing = [
            float((wanted - levels(lot, costs, aim)).mean())
            for lot, costs in zip(self.lots[1:], penalties[1:], strict=True)
        ]
        targets = tuple(target + STEP * each for target, each in zip(self.targets, [0.0, *missing], strict=True))
        return _Prices(self.lots, self.hinges, self.heights, targets, _slopes(self.heights, targets))

    def curves(self, factor: float) -> tuple[PenaltyCurve, ...]:
        """Return what a card states."""
        cuts = np.cumsum([len(each.knots) for each in self.hinges])[:-1]
        of_each = np.split(factor * self.slopes, cuts)
        curves = (each.curve(slopes) for each, slopes in zip(self.hinges, of_each, strict=True))
        return tuple(curve for curve in curves if curve is not None)


def _moved(prices: _Prices) -> _Prices:
    for _ in range(ROUNDS):
        prices = prices.moved()
    return prices


def _slopes(heights: Sequence[Floats], targets: Sequence[Floats]) -> Floats:
    """Fit them, none below 0, up to a constant: a cost that all have moves no pair against another."""
    scale = np.concatenate(heights).std(axis=0) + np.finfo(np.float64).tiny
    weights = [UNDEGRADED_WEIGHT, *[1.0] * (len(heights) - 1)]
    each = np.concatenate(
        [np.full(len(part), weight / len(part)) for part, weight in zip(heights, weights, strict=True)]
    )
    fit = LinearRegression(positive=True)
    fit.fit(np.concatenate(heights) / scale, np.concatenate(targets), sample_weight=each / each.mean())
    slopes: Floats = fit.coef_ / scale
    return slopes
