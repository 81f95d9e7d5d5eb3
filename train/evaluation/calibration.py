"""From all-against-alls to a card: operating points by error rate, and what a distance says as evidence."""

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
from .metrics import Floats, ScoreHistogram
from .operating_points import DEFAULT_POINT, FMRS, PopulationScores, points_of, rounded
from .protocols.protocol import ProtocolError, data_digest
from .scores import ScoreSet
from .scoring import Penalties, Scoring

MIN_PEOPLE = 20  # with two photos or more, for an FNMR: it is people that its interval redraws
EDGE = 10  # comparisons that the strongest evidence either way must rest on


@dataclass(frozen=True, slots=True)
class PopulationFacts:
    """What the user says of the photos: no program can see it in them."""

    name: str
    population: str


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Photos of some population, compared all against all by plain distances."""

    compared: ComparedPhotos
    described: PopulationFacts


def calibrate(
    compared: ComparedPhotos,
    setting: EvaluationConfig,
    described: PopulationFacts,
    rule: tuple[QualityPenalty, ...] = (),
    further: Sequence[Population] = (),
) -> ModelCard:
    """Return the model's card with points and evidence from an all-against-all by plain distances.

    With a rule for poor photos, both are of distances with its penalties. With further populations each point keeps its
    FMR on all of them that carry it; FNMR and evidence are of the first photos alone. Images that lie under two people
    are left out. Raises ProtocolError where the comparisons are too few.
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
    """Leave out the images that lie under two people, and add the penalties of the rule.

    Raises ProtocolError where too little is left for any point.
    """
    compared = without_doubles(_with_penalties(population.compared, rule, resampling), seed=resampling.seed)
    impostor, loosest = compared.scores.impostor.tally, max(FMRS.values())
    if not metrics.carries(impostor, loosest):
        raise ProtocolError(
            f"{population.described.name}: {round(impostor.n):,} impostor comparisons do not carry an FMR of "
            f"{loosest:g}, which takes {metrics.MIN_FALSE_MATCHES / loosest:,.0f}; add photos of more people"
        )
    return replace(population, compared=compared)


def _check_people(scores: ScoreSet) -> None:
    n_people = scores.genuine.n_pairs
    if n_people < MIN_PEOPLE:
        raise ProtocolError(
            f"{n_people} people with two photos or more are too few to measure an FNMR, which takes {MIN_PEOPLE}; "
            "add more such people"
        )


def _with_penalties(
    compared: ComparedPhotos, rule: tuple[QualityPenalty, ...], resampling: Resampling
) -> ComparedPhotos:
    if not rule:
        return compared
    scoring = Scoring("normalized", Penalties.by(rule, compared.embedded.measures))
    return compare_photos(compared.protocol, compared.embedded, seed=resampling.seed, scoring=scoring)


def evidence_from(genuine: ScoreHistogram, impostor: ScoreHistogram) -> LogLikelihoodRatio:
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


def _line(genuine: ScoreHistogram, impostor: ScoreHistogram) -> tuple[float, float]:
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


def _with_one_more(tally: ScoreHistogram, distance: float) -> tuple[Floats, Floats]:
    """Distances with weights that sum to 1, and one more comparison where the other kind begins.

    Without it, data whose kinds do not overlap at all would make the line infinitely steep.
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
