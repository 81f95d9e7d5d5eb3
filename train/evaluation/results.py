"""The results of an evaluation as frozen records, from which text, JSON and report are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embedder import ModelIdentity, OperatingPoint, ScoreKind, percent

from .bootstrap import Resampling
from .evidence import Reliability
from .metrics import Floats
from .protocols.protocol import LabeledPhoto

Interval = tuple[float, float]  # 95%: lower, upper end
EXAMPLES = 5  # photos named in a text
MOST_TIMES = 1.5  # a claim holds up to this multiple of the claimed FMR


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured figure with its 95% interval; None if there is too little data."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of correct decisions."""

    mean: float  # over the folds, if any
    se: float  # standard error: over the folds, or else of a share of n comparisons
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class TarAtFmr:
    """1 - FNMR at the loosest threshold whose FMR is at most `fmr`; None for too few comparisons."""

    fmr: float
    tar: Estimate
    threshold: float | None
    n_false_matches: int | None  # comparisons that the FMR is based on


@dataclass(frozen=True, slots=True)
class DecisionThreshold:
    """The threshold of an evaluation and its source."""

    value: float  # with folds: their mean
    source: Literal["card", "best", "folds", "number", "pairs"]
    of_folds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """Error rates in one way of counting failures to acquire."""

    accuracy: Accuracy | None  # None for an all-against-all, where impostors would dominate it
    eer: Estimate
    fmr: Estimate  # at the threshold
    fnmr: Estimate
    tar_at_fmr: tuple[TarAtFmr, ...]
    n_genuine: int
    n_impostor: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures to acquire: photos without a usable face, and the comparisons not made for this reason."""

    photos: tuple[tuple[LabeledPhoto, str], ...]  # with the error's code
    n_genuine: int
    n_impostor: int

    @property
    def in_words(self) -> str:
        """The first photos with their codes, and the number of all others."""
        shown = ", ".join(f"{ascii(photo.name)[1:-1]} ({code})" for photo, code in self.photos[:EXAMPLES])
        n_more = len(self.photos) - EXAMPLES
        return f"{shown} and {n_more:,} more, which evaluate --json lists" if n_more > 0 else shown

    @property
    def n_comparisons(self) -> int:
        """Comparisons of both kinds."""
        return self.n_genuine + self.n_impostor


@dataclass(frozen=True, slots=True)
class Refusals:
    """Photos refused for low quality, and the comparisons not made for this reason."""

    photos: tuple[LabeledPhoto, ...]
    n_genuine: int
    n_impostor: int

    @property
    def n_comparisons(self) -> int:
        """Comparisons of both kinds."""
        return self.n_genuine + self.n_impostor


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """An operating point of the card, with the rates measured here at its threshold."""

    point: OperatingPoint
    fmr: Estimate
    fnmr: Estimate
    score_kind: ScoreKind  # with which the rates were measured
    is_carried: bool  # whether there are enough impostor comparisons to check the claimed FMR

    @property
    def holds(self) -> bool | None:
        """Whether the FMR is at most as high as claimed; None for too little data."""
        return claim_holds(Estimate(self.point.fmr, self.point.fmr_interval), self.fmr, is_carried=self.is_carried)


def claim_holds(claimed: Estimate, measured: Estimate, *, is_carried: bool) -> bool | None:
    """Decide whether a rate is at most as high as claimed; None for too little data.

    It is higher if its interval is entirely above the claimed one. If the two overlap but the measured rate is more
    than 1.5 times the claimed one, neither is shown.
    """
    if claimed.value is None or claimed.interval is None or measured.value is None or measured.interval is None:
        return None
    if measured.interval[0] > claimed.interval[1]:
        return False
    return True if is_carried and measured.value <= MOST_TIMES * claimed.value else None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The calibration of the card's probabilities on this data."""

    cllr: Estimate  # bits
    ece: float
    reliability: Reliability


@dataclass(frozen=True, slots=True)
class WorstPair:
    """Two photos with one of the most wrong decisions."""

    probe: LabeledPhoto
    reference: LabeledPhoto
    distance: float  # plain, also if the decision includes penalties


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """The DET curve at some FMRs, with the 95% band of FNMR; of identification, FPIR and FNIR. NaN for too little."""

    fmr: Floats  # (k,) ascending
    fnmr: Floats  # (k,)
    low: Floats  # (k,)
    high: Floats  # (k,)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistogram:
    """The number of comparisons of each kind in each bin of scores."""

    edges: Floats  # (b + 1,)
    genuine: Floats  # (b,)
    impostor: Floats  # (b,)


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """The data of an evaluation."""

    protocol: str
    digest: str
    n_photos: int
    n_identities: int
    face: str  # the face choice
    n_other_files: int = 0  # in the folder; not photos by name


@dataclass(frozen=True, slots=True)
class FnirAtFpir:
    """FNIR at the loosest threshold whose FPIR is at most `fpir`; None for too few comparisons."""

    fpir: float
    fnir: Estimate
    threshold: float | None


@dataclass(frozen=True, slots=True)
class IdentificationClaim:
    """What the card claims for galleries of this size, as `identify` does, and what was measured at its threshold."""

    asked_fpir: float
    threshold: float | None  # None: the card's evidence does not carry such a claim, so `identify` refuses it
    claimed_fpir: Estimate  # stricter than asked for if the card's loosest point is
    claimed_fnir: Estimate  # None for several templates a person, of which the card says nothing
    fpir: Estimate
    fnir: Estimate
    is_carried: bool  # whether there are enough impostor comparisons to check the FMR that the claim needs

    @property
    def holds(self) -> bool | None:
        """Whether the FPIR is at most as high as claimed, by the rule for an FMR; None for too little data."""
        return claim_holds(self.claimed_fpir, self.fpir, is_carried=self.is_carried)


@dataclass(frozen=True, slots=True, eq=False)
class GalleryResult:
    """The error rates of galleries of one size."""

    n_people: int
    n_templates: int  # in each gallery, on average
    n_draws: int
    n_mated: int  # searches
    n_non_mated: int
    rank_1: Estimate  # share of mated searches in which the right person is the nearest; closed set
    at_fpir: tuple[FnirAtFpir, ...]
    claims: tuple[IdentificationClaim, ...]  # at the same FPIRs
    curve: DetCurve  # FNIR over FPIR


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationReport:
    """Open-set identification with galleries of several sizes, the smallest first."""

    templates_per_person: int  # at most
    galleries: tuple[GalleryResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All results of one evaluation."""

    data: EvaluationData
    model: ModelIdentity
    mirror: bool
    score_kind: ScoreKind  # used for decisions: distances with penalties for poor photos, or plain ones
    threshold: DecisionThreshold
    figures: Figures  # of the comparisons that could be made
    with_failures: Figures  # failures to acquire counted as non-matches
    failures: Failures
    refusals: Refusals | None  # None: the quality of photos is ignored
    claims: tuple[ClaimCheck, ...]  # one per operating point of the card
    evidence: Evidence | None  # None if the card has no calibration
    curve: DetCurve
    histogram: ScoreHistogram
    worst_false_matches: tuple[WorstPair, ...]  # lowest score first
    worst_false_non_matches: tuple[WorstPair, ...]  # highest score first
    resampling: Resampling
    versions: Mapping[str, str]  # of visavis and the libraries it computes with
    cautions: tuple[str, ...] = ()  # limits of the data that a reader must know
    identification: IdentificationReport | None = None  # None: not asked for


LabelFault = Literal["same_picture", "two_names", "wrong_name", "two_people"]


@dataclass(frozen=True, slots=True)
class LabelPair:
    """A photo in doubt, and the photo that it was compared with."""

    doubtful: LabeledPhoto
    other: LabeledPhoto
    distance: float  # with the penalty for poor photos, where the card has one


@dataclass(frozen=True, slots=True)
class LabelFinding:
    """A label that is probably wrong."""

    kind: LabelFault
    pairs: tuple[LabelPair, ...]  # one for each photo in doubt, nearest first; for `two_names` only the nearest
    evidence: float  # natural logarithm of the likelihood ratio, of a wrong label against a right one
    certainty: float  # probability that a label is wrong, 0 to 1, if 1% of all labels are wrong
    advice: str


@dataclass(frozen=True, slots=True)
class LabelReport:
    """The findings of a check, most certain first."""

    findings: tuple[LabelFinding, ...]
    n_photos: int
    n_names: int
    n_without_face: int  # could not be checked, except for identical files
    n_too_poor: int  # as above: `verify` would refuse them
    n_other_files: int = 0  # in the folder; not photos by name


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
