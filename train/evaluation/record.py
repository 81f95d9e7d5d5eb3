"""What an evaluation found, as frozen records: the one source of the printed text, the JSON and the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embedder import ModelIdentity, OperatingPoint, ScoreKind, percent

from .bootstrap import Resampling
from .evidence import Reliability
from .metrics import Floats
from .protocols.protocol import LabeledPhoto

Interval = tuple[float, float]  # 95%: lower, upper end
MOST_TIMES = 1.5  # the claimed FMR, that a claim which holds may be measured at


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured rate or figure with its 95% interval; None = there is not enough to state it."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of the comparisons that were decided rightly."""

    mean: float  # over the folds, where there are folds
    se: float  # standard error: over the folds, or else of a share of so many comparisons
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class TarAtFmr:
    """1 - FNMR at the loosest threshold whose FMR is at most `fmr`; nothing is stated on too few comparisons."""

    fmr: float
    tar: Estimate
    threshold: float | None
    n_false_matches: int | None  # comparisons that the FMR rests on


@dataclass(frozen=True, slots=True)
class DecisionThreshold:
    """The threshold that decided, and where it comes from."""

    value: float  # of folds: their mean
    source: Literal["card", "best", "folds", "number", "pairs"]
    of_folds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """Error rates in one way of counting failures to acquire."""

    accuracy: Accuracy | None  # None for an all-against-all: it would be that of the impostors alone
    eer: Estimate
    fmr: Estimate  # at the threshold
    fnmr: Estimate
    tar_at_fmr: tuple[TarAtFmr, ...]
    n_genuine: int
    n_impostor: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures to acquire: photos without a usable face, and the comparisons that could not be made for it."""

    photos: tuple[tuple[LabeledPhoto, str], ...]  # with the error's code
    n_genuine: int
    n_impostor: int

    @property
    def n_comparisons(self) -> int:
        """Comparisons of both kinds."""
        return self.n_genuine + self.n_impostor


@dataclass(frozen=True, slots=True)
class Refusals:
    """Photos that were refused for low quality, and the comparisons that were not made for it."""

    photos: tuple[LabeledPhoto, ...]
    n_genuine: int
    n_impostor: int

    @property
    def n_comparisons(self) -> int:
        """Comparisons of both kinds."""
        return self.n_genuine + self.n_impostor


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """An operating point of the card against what was measured here at its threshold."""

    point: OperatingPoint
    fmr: Estimate
    fnmr: Estimate
    scores: ScoreKind  # that the rates were measured by
    is_carried: bool  # are there enough impostor comparisons here to check an FMR as low as the claimed one?

    @property
    def holds(self) -> bool | None:
        """Is the FMR no higher than claimed? None where there is too little to say.

        It is higher where its interval begins above the end of the claimed one. Where the two overlap, but half as much
        again as claimed was measured, that is no proof of either.
        """
        claimed, measured = self.point.fmr_interval, self.fmr.interval
        if claimed is None or measured is None or self.fmr.value is None or self.point.fmr is None:
            return None
        if measured[0] > claimed[1]:
            return False
        return True if self.is_carried and self.fmr.value <= MOST_TIMES * self.point.fmr else None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How good the card's probabilities are here."""

    cllr: Estimate  # bits
    ece: float
    reliability: Reliability


@dataclass(frozen=True, slots=True)
class WorstPair:
    """Two photos whose comparison came out as wrong as any."""

    probe: LabeledPhoto
    reference: LabeledPhoto
    distance: float  # plain, also where penalties decide with it


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """The DET curve at some FMRs, with the 95% band of FNMR; NaN where there are too few comparisons."""

    fmr: Floats  # (k,) ascending
    fnmr: Floats  # (k,)
    low: Floats  # (k,)
    high: Floats  # (k,)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceHistogram:
    """How many comparisons of each kind lie in each stretch of scores."""

    edges: Floats  # (b + 1,)
    genuine: Floats  # (b,)
    impostor: Floats  # (b,)


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """What was evaluated on."""

    protocol: str
    digest: str
    n_photos: int
    n_identities: int
    face: str  # which face of a photo was taken


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All that one evaluation found."""

    data: EvaluationData
    model: ModelIdentity
    mirror: bool
    scores: ScoreKind  # what decided: distances with penalties for poor photos, or plain ones
    threshold: DecisionThreshold
    figures: Figures  # of the comparisons that could be made
    with_failures: Figures  # failures to acquire counted as non-matches
    failures: Failures
    refusals: Refusals | None  # None: the quality of photos is ignored
    claims: tuple[ClaimCheck, ...]  # one for each of the card's operating points
    evidence: Evidence | None  # None where the card has no calibration
    curve: DetCurve
    histogram: DistanceHistogram
    worst_false_matches: tuple[WorstPair, ...]  # lowest score first
    worst_false_non_matches: tuple[WorstPair, ...]  # highest score first
    resampling: Resampling
    versions: Mapping[str, str]  # of visavis and what it computes with
    cautions: tuple[str, ...] = ()  # what must be known of the photos before a figure is trusted


SCORE: dict[ScoreKind, str] = {"normalized": "normalised distance", "plain": "distance"}
DECIDES: dict[ScoreKind, str] = {
    "normalized": "the distance with the penalty for poor photos",
    "plain": "the distance alone",
}


def rate_text(value: float | None) -> str:
    """Return a share as a percentage."""
    return "not measured" if value is None else percent(value)


def interval_text(interval: Interval | None) -> str:
    """Return a 95% interval in brackets, or nothing."""
    return "" if interval is None else f" [{rate_text(interval[0])} to {rate_text(interval[1])}]"


def estimated(found: Estimate) -> str:
    """Return a rate with its interval."""
    return rate_text(found.value) + interval_text(found.interval)
