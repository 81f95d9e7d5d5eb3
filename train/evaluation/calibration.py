"""Calibration of a model: operating points by error rate, and the log-likelihood ratio of a distance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
from sklearn.linear_model import LogisticRegression

from embedder import Calibration, CalibrationData, LogLikelihoodRatio, ModelCard, QualityPenalty

from . import metrics
from .bootstrap import Resampling
from .compared import ComparedPhotos, compare_photos
from .data_checks import without_doubles
from .evaluation import EvaluationConfig
from .metrics import Floats, ScoreDistribution
from .operating_points import DEFAULT_POINT, FMRS, PopulationScores, points_of, rounded
from .protocols.protocol import ProtocolError, data_digest
from .scores import Penalties, ScoreSet
from .scoring import Scoring

MIN_PEOPLE = 20  # with two photos or more, for an FNMR, whose interval resamples people
EDGE = 10  # comparisons that must support the strongest evidence in either direction


@dataclass(frozen=True, slots=True)
class PopulationFacts:
    """The user's description of the photos, which cannot be derived from them."""

    name: str
    population: str


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Photos of one population, compared all against all by plain distances."""

    compared: ComparedPhotos
    described: PopulationFacts


def calibrate(
    compared: ComparedPhotos,
    setting: EvaluationConfig,
    described: PopulationFacts,
    rule: tuple[QualityPenalty, ...] = (),
    further: Sequence[Population] = (),
) -> ModelCard:
    """Return the model's card with operating points and evidence from all-against-all comparisons.

    `compared` has plain distances. With a `rule` for poor photos, points and evidence refer to distances with its
    penalties. With further populations, each point keeps its FMR on every population with enough comparisons; FNMR and
    evidence refer to the first photos only. Images stored under two people are left out. Raises ProtocolError if there
    are too few comparisons.
    """
    card, resampling = setting.embedder.card, setting.resampling
    populations = [_usable(each, rule, resampling) for each in (Population(compared, described), *further)]
    scores = populations[0].compared.scores
    _check_people(scores)
    points = points_of([PopulationScores(each.described.name, each.compared) for each in populations], resampling)
    if not points[-1].threshold > 0:
        raise ProtocolError(f"{points[-1].population or described.name}: photos of two people are at distance 0")
    names = [point.name for point in points]
    calibration = Calibration(
        model_digest=card.digest,
        data=_data(compared, described),
        populations=tuple(_data(each.compared, each.described) for each in further),
        face=setting.face,
        log_likelihood_ratio=evidence_from(scores.genuine.tally, scores.impostor.tally),
        n_resamples=resampling.n_resamples,
        seed=resampling.seed,
    )
    return card.calibrated(calibration, points, DEFAULT_POINT if DEFAULT_POINT in names else names[-1], rule)


def _usable(population: Population, rule: tuple[QualityPenalty, ...], resampling: Resampling) -> Population:
    """Leave out images that are stored under two people, and add the penalties of the rule.

    Raises ProtocolError if too few comparisons are left for any operating point.
    """
    compared = without_doubles(_with_penalties(population.compared, rule, resampling), seed=resampling.seed)
    impostor, loosest = compared.scores.impostor.tally, max(FMRS.values())
    if not metrics.has_enough_impostors(impostor, loosest):
        raise ProtocolError(
            f"{population.described.name}: {round(impostor.n):,} impostor comparisons are too few for an FMR of "
            f"{loosest:g}, which needs {metrics.MIN_FALSE_MATCHES / loosest:,.0f}; add photos of more people"
        )
    return replace(population, compared=compared)


def _check_people(scores: ScoreSet) -> None:
    n_people = scores.genuine.n_pairs
    if n_people < MIN_PEOPLE:
        raise ProtocolError(
            f"{n_people} people with two photos or more are too few to measure an FNMR, which needs {MIN_PEOPLE}; "
            "add more such people"
        )


def _with_penalties(
    compared: ComparedPhotos, rule: tuple[QualityPenalty, ...], resampling: Resampling
) -> ComparedPhotos:
    if not rule:
        return compared
    scoring = Scoring("normalized", Penalties.by(rule, compared.embedded.measures))
    return compare_photos(compared.protocol, compared.embedded, seed=resampling.seed, scoring=scoring)


def evidence_from(genuine: ScoreDistribution, impostor: ScoreDistribution) -> LogLikelihoodRatio:
    """Fit the log-likelihood ratio as a line, by logistic regression with equal weight for both kinds.

    Beyond the distance that only 10 impostor comparisons are below, and the one that only 10 genuine comparisons are
    above, the ratio is constant, because the data do not support stronger evidence.
    """
    intercept, slope = _line(genuine, impostor)
    near, far = float(impostor.loosest(EDGE / impostor.n)), float(genuine.loosest(1 - EDGE / genuine.n))
    most = log(max(float(genuine.share_below(near)), 1 / genuine.n) * impostor.n / EDGE)
    least = -log(max(1 - float(impostor.share_below(far)), 1 / impostor.n) * genuine.n / EDGE)
    if not most > 0 > least:
        raise ProtocolError(
            "the distances hardly separate genuine from impostor comparisons, so probabilities cannot be fitted"
        )
    return LogLikelihoodRatio(
        intercept=rounded(intercept),
        slope=rounded(slope),
        nearest=rounded((most - intercept) / slope),
        farthest=rounded((least - intercept) / slope),
    )


def _line(genuine: ScoreDistribution, impostor: ScoreDistribution) -> tuple[float, float]:
    """Fit intercept and slope by logistic regression."""
    kinds = (_with_one_more(genuine, float(impostor.values[0])), _with_one_more(impostor, float(genuine.values[-1])))
    distances, weights = (np.concatenate(columns) for columns in zip(*kinds, strict=True))
    is_genuine = np.arange(len(distances)) < len(kinds[0][0])
    middle = float(weights @ distances) / 2  # centring makes intercept and slope nearly independent
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    fit.fit((distances - middle)[:, None], is_genuine, sample_weight=weights * len(distances))
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if not slope < 0:
        raise ProtocolError(
            "photos of one person are no closer to each other than photos of two people; check the identities"
        )
    return intercept - slope * middle, slope


def _with_one_more(tally: ScoreDistribution, distance: float) -> tuple[Floats, Floats]:
    """Return distances with weights that sum to 1, plus one comparison at the other kind's extreme distance.

    Without it, the slope would be infinite for data whose kinds do not overlap.
    """
    counts = np.append(np.diff(tally.cumulative), 1.0)
    return np.append(tally.values, distance), counts / counts.sum()


def _data(compared: ComparedPhotos, described: PopulationFacts) -> CalibrationData:
    return CalibrationData(
        name=described.name,
        digest=data_digest(compared.protocol, compared.embedded.image_digests),
        population=described.population,
        n_identities=compared.protocol.n_identities,
        n_images=len(compared.protocol.photos),
        n_without_face=len(compared.failures().photos),
    )
