"""Operating points by error rate: each threshold keeps its FMR on every population with enough comparisons for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from embedder import OperatingPoint

from . import metrics
from .bootstrap import Resampling
from .compared import ComparedPhotos
from .measure import FmrAt, FnmrAt, Measurement, measure
from .metrics import ScoreDistribution
from .results import Estimate

FMRS = {"fmr-1e-2": 1e-2, "fmr-1e-3": 1e-3, "fmr-1e-4": 1e-4, "fmr-1e-5": 1e-5, "fmr-1e-6": 1e-6}
DEFAULT_POINT = "fmr-1e-3"
DIGITS = 6  # significant digits in a card; the data do not support more


@dataclass(frozen=True, slots=True, eq=False)
class PopulationScores:
    """The comparisons within one population, with the scores that thresholds refer to."""

    name: str
    compared: ComparedPhotos

    @property
    def impostor(self) -> ScoreDistribution:
        """Scores of the impostor comparisons."""
        return self.compared.scores.impostor.tally


@dataclass(frozen=True, slots=True)
class ChosenPoint:
    """The threshold of one operating point, and how it was chosen."""

    name: str
    threshold: float
    setter: int  # position of the population with the smallest threshold at this FMR
    carried_by: tuple[int, ...]  # positions of the populations with enough impostor comparisons
    is_held: bool  # capped at the looser point's threshold, because the setter's would be looser still


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredRates:
    """FMR and FNMR of one population at the thresholds of all points."""

    n_identities: int
    n_pairs: tuple[int, int]  # of people, for FMR and FNMR
    fmr: Measurement
    fnmr: Measurement

    @classmethod
    def of(cls, compared: ComparedPhotos, thresholds: tuple[float, ...], resampling: Resampling) -> Self:
        """Measure both rates."""
        scores = compared.scores
        measured = measure(scores, {"fmr": FmrAt(thresholds), "fnmr": FnmrAt(thresholds)}, resampling)
        n_pairs = scores.impostor.n_pairs, scores.genuine.n_pairs
        return cls(n_people(compared), n_pairs, measured["fmr"], measured["fnmr"])


def points_of(populations: Sequence[PopulationScores], resampling: Resampling) -> tuple[OperatingPoint, ...]:
    """Return the points for which at least one population has enough impostor comparisons, loosest first.

    A point's FMR is measured on the population that set its threshold, its FNMR on the first population.
    """
    chosen = choose_threshold([population.impostor for population in populations])
    thresholds = tuple(each.threshold for each in chosen)
    needed = {0, *(each.setter for each in chosen)}
    rates = {k: MeasuredRates.of(populations[k].compared, thresholds, resampling) for k in sorted(needed)}
    return tuple(
        OperatingPoint(
            name=each.name,
            threshold=each.threshold,
            **_stated("fmr", rates[each.setter].fmr.rate(k, rates[each.setter].n_pairs[0])),
            **_stated("fnmr", rates[0].fnmr.rate(k, rates[0].n_pairs[1])),
            n_identities=rates[each.setter].n_identities,
            n_genuine=round(populations[0].compared.scores.genuine.tally.n),
            n_impostor=round(populations[each.setter].impostor.n),
            population=None if len(populations) == 1 else populations[each.setter].name,
            note=" ".join(_note(chosen, k, populations)),
        )
        for k, each in enumerate(chosen)
    )


def choose_threshold(impostors: Sequence[ScoreDistribution]) -> tuple[ChosenPoint, ...]:
    """Choose the threshold of every point from the impostor scores of all populations.

    It is the smallest threshold of the populations with enough comparisons for the point's FMR, but at most the looser
    point's threshold, which a population with too few comparisons for this point may have set.
    """
    chosen: list[ChosenPoint] = []
    for name, fmr in FMRS.items():
        carried_by = tuple(k for k, impostor in enumerate(impostors) if metrics.has_enough_impostors(impostor, fmr))
        if carried_by:
            own = {k: metrics.threshold_at_fmr(impostors[k], fmr) for k in carried_by}
            setter = min(own, key=own.__getitem__)  # ties: the first one
            most = chosen[-1].threshold if chosen else float("inf")
            chosen.append(ChosenPoint(name, min(own[setter], most), setter, carried_by, own[setter] > most))
    return tuple(chosen)


def n_people(compared: ComparedPhotos) -> int:
    """Return the number of people with a usable face in a photo that is not left out."""
    refused = compared.scoring.refused
    people = compared.protocol.identities
    has_face = np.array([fault is None for fault in compared.embedded.faults], bool)
    return len(np.unique(people[has_face if refused is None else has_face & ~refused]))


def rounded(value: float) -> float:
    """Round a number to the significant digits of a card."""
    return float(f"{value:.{DIGITS}g}")


def _stated(name: str, found: Estimate) -> dict[str, Any]:
    interval = None if found.interval is None else tuple(map(rounded, found.interval))
    return {name: None if found.value is None else rounded(found.value), f"{name}_interval": interval}


def _note(chosen: Sequence[ChosenPoint], k: int, populations: Sequence[PopulationScores]) -> Iterator[str]:
    """Describe how the threshold was chosen, and for the strictest point why there is no stricter one."""
    point, names = chosen[k], [population.name for population in populations]
    where = "" if len(names) == 1 else " in every population that has enough of them"
    if point.is_held:
        yield f"The threshold of {chosen[k - 1].name}: the one for this rate alone would be looser."
    else:
        yield f"The loosest threshold with at most {FMRS[point.name]:g} of the impostor comparisons below it{where}."
    left_out = [name for each, name in enumerate(names) if each not in point.carried_by]
    if left_out:
        yield f"Too few comparisons for this rate: {', '.join(left_out)}."
    if k == len(chosen) - 1:
        yield from _how_far(chosen, max(population.impostor.n for population in populations))


def _how_far(chosen: Sequence[ChosenPoint], n_impostor: float) -> Iterator[str]:
    names = [each.name for each in chosen]
    missing = [name for name in FMRS if name not in names]
    if missing:
        needed = metrics.MIN_FALSE_MATCHES / FMRS[missing[0]]
        default = "" if DEFAULT_POINT in names else ", so it is the default"
        yield f"The strictest that {n_impostor:,.0f} of them carry{default}; {missing[0]} takes {needed:,.0f}."
