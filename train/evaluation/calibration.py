"""From an all-against-all to a card: operating points by error rate, and what a distance says as evidence."""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from embedder import Calibration, CalibrationData, LogLikelihoodRatio, ModelCard, OperatingPoint, OwnThreshold, Places

from ..own_threshold.foundation import Foundation
from . import metrics
from .bootstrap import Resampling
from .cautions import doubles
from .compared import Compared, compare
from .evaluation import Setting
from .lines import Lines
from .measure import FmrAt, FnmrAt, measure
from .protocols.digest import data_digest
from .protocols.protocol import ProtocolError
from .record import Estimate
from .scores import Scores
from .scoring import Scoring
from .tally import Floats, Tally

FMRS = {"fmr-1e-2": 1e-2, "fmr-1e-3": 1e-3, "fmr-1e-4": 1e-4, "fmr-1e-5": 1e-5, "fmr-1e-6": 1e-6}
DEFAULT_POINT = "fmr-1e-3"
MIN_PEOPLE = 20  # with two photos or more, for an FNMR: it is people that its interval redraws
EDGE = 10  # comparisons that the strongest evidence either way must rest on
DIGITS = 6  # significant ones of what a card states; the data carry no more


@dataclass(frozen=True, slots=True)
class Described:
    """What the user says of the photos: no program can see it in them."""

    name: str
    population: str


@dataclass(frozen=True, slots=True, eq=False)
class Normalising:
    """What normalises the distances of the photos to calibrate on."""

    foundation: Foundation
    places: Places  # (n,) of the photos' faces


def calibrate(
    compared: Compared, setting: Setting, described: Described, normalising: Normalising | None = None
) -> ModelCard:
    """Return the model's card with points and evidence from an all-against-all by plain distances.

    Where it is known what normalises them, there are such points and evidence too: each pair's own thresholds. Raises
    ProtocolError where the comparisons are too few.
    """
    scores, card = compared.scores, setting.embedder.card
    _check(scores)
    points = _points(compared, setting.resampling)
    if not points[-1].threshold > 0:
        raise ProtocolError("; ".join(["photos of two people are at distance 0", *doubles(compared)]))
    names = [point.name for point in points]
    calibration = Calibration(
        model_digest=card.digest,
        data=_data(compared, described),
        face=setting.face,
        log_likelihood_ratio=evidence_from(scores.genuine.tally, scores.impostor.tally),
        n_resamples=setting.resampling.n_resamples,
        seed=setting.resampling.seed,
    )
    own = None if normalising is None else _own_threshold(compared, normalising, setting.resampling)
    return card.calibrated(calibration, points, DEFAULT_POINT if DEFAULT_POINT in names else names[-1], own)


def _own_threshold(compared: Compared, normalising: Normalising, resampling: Resampling) -> OwnThreshold:
    """Measure the same comparisons by their normalised distances."""
    places = normalising.places
    scoring = Scoring("own", Lines(places.slopes, places.offsets))
    normalised = compare(compared.protocol, compared.embedded, seed=resampling.seed, scoring=scoring)
    ratio = evidence_from(normalised.scores.genuine.tally, normalised.scores.impostor.tally)
    return normalising.foundation.thresholds(places, ratio, _points(normalised, resampling))


def evidence_from(genuine: Tally, impostor: Tally) -> LogLikelihoodRatio:
    """Fit the log-likelihood ratio as a straight line, by logistic regression with both kinds weighing the same.

    It is held level where it would say more than the data bear: more than being nearer than all but 10 impostor
    comparisons says, or farther than all but 10 genuine ones.
    """
    intercept, slope = _line(genuine, impostor)
    near, far = float(impostor.loosest(EDGE / impostor.n)), float(genuine.loosest(1 - EDGE / genuine.n))
    most = log(max(float(genuine.share_below(near)), 1 / genuine.n) * impostor.n / EDGE)
    least = -log(max(1 - float(impostor.share_below(far)), 1 / impostor.n) * genuine.n / EDGE)
    if not most > 0 > least:
        raise ProtocolError("the distances hardly tell one person from two, so they bear no probability")
    return LogLikelihoodRatio(
        intercept=rounded(intercept),
        slope=rounded(slope),
        nearest=rounded((most - intercept) / slope),
        farthest=rounded((least - intercept) / slope),
    )


def _line(genuine: Tally, impostor: Tally) -> tuple[float, float]:
    """Fit intercept and slope."""
    kinds = (_with_one_more(genuine, float(impostor.values[0])), _with_one_more(impostor, float(genuine.values[-1])))
    distances, weights = (np.concatenate(columns) for columns in zip(*kinds, strict=True))
    is_genuine = np.arange(len(distances)) < len(kinds[0][0])
    middle = float(weights @ distances) / 2  # near it, the two numbers of the line hardly depend on each other
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    fit.fit((distances - middle)[:, None], is_genuine, sample_weight=weights * len(distances))
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if not slope < 0:
        raise ProtocolError("photos of one person are no nearer to each other than photos of two; check the identities")
    return intercept - slope * middle, slope


def rounded(value: float) -> float:
    """Return a number with as many digits as a card states."""
    return float(f"{value:.{DIGITS}g}")


def _with_one_more(tally: Tally, distance: float) -> tuple[Floats, Floats]:
    """Distances with weights that sum to 1, and one more comparison where the other kind begins.

    Without it, data whose kinds do not overlap at all would make the line infinitely steep.
    """
    counts = np.append(np.diff(tally.cumulative), 1.0)
    return np.append(tally.values, distance), counts / counts.sum()


def _check(scores: Scores) -> None:
    n_people, n_impostor = scores.genuine.n_pairs, round(scores.impostor.tally.n)
    loosest = max(FMRS.values())
    if not metrics.carries(scores.impostor.tally, loosest):
        raise ProtocolError(
            f"{n_impostor:,} impostor comparisons do not carry an FMR of {loosest:g}, which takes "
            f"{metrics.MIN_FALSE_MATCHES / loosest:,.0f}; add photos of more people"
        )
    if n_people < MIN_PEOPLE:
        raise ProtocolError(
            f"{n_people} people with two photos or more are too few to measure an FNMR, which takes {MIN_PEOPLE}; "
            "add more such people"
        )


def _points(compared: Compared, resampling: Resampling) -> tuple[OperatingPoint, ...]:
    scores = compared.scores
    carried = {name: fmr for name, fmr in FMRS.items() if metrics.carries(scores.impostor.tally, fmr)}
    thresholds = tuple(metrics.threshold_at_fmr(scores.impostor.tally, fmr) for fmr in carried.values())
    measured = measure(scores, {"fmr": FmrAt(thresholds), "fnmr": FnmrAt(thresholds)}, resampling)
    counts = _counts(compared)
    return tuple(
        OperatingPoint(
            name=name,
            threshold=thresholds[k],
            **_rates("fmr", measured["fmr"].rate(k, scores.impostor.n_pairs)),
            **_rates("fnmr", measured["fnmr"].rate(k, scores.genuine.n_pairs)),
            **counts,
            note=_note(name, list(carried), scores.impostor.tally.n),
        )
        for k, name in enumerate(carried)
    )


def _rates(name: str, found: Estimate) -> dict[str, Any]:
    interval = None if found.interval is None else tuple(map(rounded, found.interval))
    return {name: None if found.value is None else rounded(found.value), f"{name}_interval": interval}


def _counts(compared: Compared) -> dict[str, Any]:
    faults = zip(compared.protocol.photos, compared.embedded.faults, strict=True)
    return {
        "n_identities": len({photo.identity for photo, fault in faults if fault is None}),
        "n_genuine": round(compared.scores.genuine.tally.n),
        "n_impostor": round(compared.scores.impostor.tally.n),
    }


def _note(name: str, carried: list[str], n_impostor: float) -> str:
    """Say of the strictest point how far the comparisons carry."""
    note = f"The loosest threshold with at most {FMRS[name]:g} of the impostor comparisons below it."
    missing = [other for other in FMRS if other not in carried]
    if name != carried[-1] or not missing:
        return note
    needed = metrics.MIN_FALSE_MATCHES / FMRS[missing[0]]
    default = "" if DEFAULT_POINT in carried else ", so it is the default"
    return f"{note} The strictest that {n_impostor:,.0f} of them carry{default}; {missing[0]} takes {needed:,.0f}."


def _data(compared: Compared, described: Described) -> CalibrationData:
    return CalibrationData(
        name=described.name,
        digest=data_digest(compared.protocol, compared.embedded.image_digests),
        population=described.population,
        n_identities=compared.protocol.n_identities,
        n_images=len(compared.protocol.photos),
        n_without_face=len(compared.failures().photos),
    )
