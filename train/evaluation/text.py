"""An evaluation, or a check of labels, as text for a terminal."""

from collections import Counter
from collections.abc import Iterator

import click

from .groups import GroupCell, GroupReport, in_words
from .model_comparison import FigureDifference, ModelComparison
from .nist_800_63a import beside_standard, standard_in_words
from .results import (
    DECIDES,
    SCORE,
    ClaimCheck,
    Evaluation,
    Evidence,
    Figures,
    FnirAtFpir,
    GalleryResult,
    IdentificationClaim,
    IdentificationReport,
    LabelFault,
    LabelReport,
    TarAtFmr,
    estimated,
    interval_text,
    rate_text,
)

SOURCES = {
    "card": "the card's default point",
    "best": "the best on these comparisons, so slightly optimistic",
    "folds": "the mean over folds, each chosen on the other folds",
    "number": "given",
    "pairs": "the best on the pairs of --threshold-pairs",
}
HOLDS = {True: "holds", False: "does not hold here", None: "too little data"}


def evaluation_text(found: Evaluation) -> str:
    """Format an evaluation for a terminal, most important first; brackets are 95% intervals."""
    return "\n".join(_lines(found))


def _lines(found: Evaluation) -> Iterator[str]:
    data, figures = found.data, found.figures
    mirror = ", averaged over a chip and its mirror image" if found.mirror else ""
    yield click.style(data.protocol, bold=True) + f": {data.n_photos:,} photos of {data.n_identities:,} people"
    yield f"  model        {found.model.name}  {found.model.digest[:19]}{mirror}"
    yield f"  comparisons  {figures.n_genuine:,} genuine, {figures.n_impostor:,} impostor"
    yield from (f"  caution      {caution}" for caution in found.cautions)
    yield from _failures(found)
    if data.n_other_files:
        yield f"  ignored      {data.n_other_files:,} other files in the folder, which are not photos by name"
    yield from _refusals(found)
    yield f"  scores       {SCORE[found.score_kind]}: {DECIDES[found.score_kind]}"
    yield f"  threshold    {found.threshold.value:.5g} ({SOURCES[found.threshold.source]})"
    yield from _rates(figures)
    yield from map(_tar, figures.tar_at_fmr)
    yield from map(_claim, found.claims)
    yield from _standard(found)
    if found.evidence is not None:
        yield _evidence(found.evidence)
    if found.identification is not None:
        yield from _identification(found.identification)
    yield f"  intervals    95%, {found.resampling.n_resamples:,} resamples of the people, seed {found.resampling.seed}"


def _rates(figures: Figures) -> Iterator[str]:
    if figures.accuracy is not None:
        accuracy = figures.accuracy
        stated = f"{100 * accuracy.mean:.2f}%, standard error {100 * accuracy.se:.2f}"
        yield f"  accuracy     {stated}{interval_text(accuracy.interval)}"
    yield f"  FMR          {estimated(figures.fmr)} of the impostor comparisons match"
    yield f"  FNMR         {estimated(figures.fnmr)} of the genuine comparisons do not"
    yield f"  EER          {estimated(figures.eer)}"


def _failures(found: Evaluation) -> Iterator[str]:
    failures, counted = found.failures, found.with_failures
    if not failures.photos:
        yield "  failures     none: a usable face in every photo"
        return
    reasons = ", ".join(f"{n} {code}" for code, n in sorted(Counter(code for _, code in failures.photos).items()))
    yield f"  failures     {len(failures.photos)} photos ({reasons}), {failures.n_comparisons:,} comparisons left out;"
    yield f"               {failures.in_words};"
    fnmr, eer = rate_text(counted.fnmr.value), rate_text(counted.eer.value)
    yield f"               counted as non-matches: FNMR {fnmr}, EER {eer}"
    if counted.accuracy is not None:
        yield f"               and accuracy {100 * counted.accuracy.mean:.2f}%"


def _refusals(found: Evaluation) -> Iterator[str]:
    refusals = found.refusals
    if refusals is not None:
        made = f"{refusals.n_genuine:,} genuine and {refusals.n_impostor:,} impostor comparisons left out"
        yield f"  refused      {len(refusals.photos):,} photos for low quality, {made}"


def _tar(found: TarAtFmr) -> str:
    head = f"  TAR at FMR   {rate_text(found.fmr):>6}: "
    if found.threshold is None:
        return head + "too few impostor comparisons"
    return head + f"{estimated(found.tar)} below {found.threshold:.5g} ({found.n_false_matches:,} false matches)"


def _claim(claim: ClaimCheck) -> str:
    point = claim.point
    claimed = (
        "no rate claimed"
        if point.fmr is None
        else f"claimed FMR {rate_text(point.fmr)}{interval_text(point.fmr_interval)}"
    )
    measured = f"measured {estimated(claim.fmr)}, FNMR {estimated(claim.fnmr)}"
    return f"  {point.name:<11}  {claimed}, {measured}: {HOLDS[claim.holds]}"


def _standard(found: Evaluation) -> Iterator[str]:
    first, *others = standard_in_words(beside_standard(found))
    yield f"  standard     {first}"
    yield from (f"               {line}" for line in others)


def _evidence(found: Evidence) -> str:
    cost = found.cllr
    between = "" if cost.interval is None else f" [{cost.interval[0]:.4f} to {cost.interval[1]:.4f}]"
    return f"  probability  Cllr {cost.value:.4f} bits{between}, expected calibration error {found.ece:.4f}"


def _identification(report: IdentificationReport) -> Iterator[str]:
    """Say how often people are identified: the matching person is the nearest one below the threshold."""
    n = report.templates_per_person
    enrolled = "one photo of each person" if n == 1 else f"up to {n} photos of each person"
    yield f"  galleries    open-set identification, with {enrolled} enrolled, and another one searched for"
    for gallery in report.galleries:
        yield from _gallery(gallery)


def _gallery(found: GalleryResult) -> Iterator[str]:
    searches = f"{found.n_mated:,} mated and {found.n_non_mated:,} non-mated searches"
    yield f"  {found.n_people:,} people, {found.n_templates:,} templates: {searches} in {found.n_draws} draws"
    yield f"    rank 1     {estimated(found.rank_1)} of the mated searches (closed set)"
    yield from (f"    FPIR {rate_text(each.fpir):>5} {_fnir(each)}" for each in found.at_fpir)
    yield from (f"    claim {rate_text(each.asked_fpir):>4} {_identification_claim(each)}" for each in found.claims)


def _fnir(found: FnirAtFpir) -> str:
    if found.threshold is None:
        return "too few comparisons"
    return f"FNIR {estimated(found.fnir)} below {found.threshold:.5g}"


def _identification_claim(claim: IdentificationClaim) -> str:
    if claim.threshold is None:
        return "the card does not carry this FPIR for so many templates"
    fnir = "" if claim.claimed_fnir.value is None else f"claimed FNIR {estimated(claim.claimed_fnir)}, "
    return (
        f"below {claim.threshold:.5g}: claimed FPIR {estimated(claim.claimed_fpir)}, measured {estimated(claim.fpir)}: "
        f"{HOLDS[claim.holds]}; {fnir}measured FNIR {estimated(claim.fnir)}"
    )


def versus_text(versus: ModelComparison) -> str:
    """Format the differences between two models, with intervals and p-values."""
    first, second = versus.first.model, versus.second.model
    scores = versus.first.score_kind, versus.second.score_kind
    by = [f", {DECIDES[each]}" if len(set(scores)) > 1 else "" for each in scores]
    head = f"{first.name} {first.digest[:19]}{by[0]} against {second.name} {second.digest[:19]}{by[1]}"
    lines = [click.style(head, bold=True), *(_difference(each) for each in versus.differences)]
    if versus.of_folds is not None:
        lines.append(f"  over the folds: accuracy {versus.of_folds.mean:+.4f}, standard error {versus.of_folds.se:.4f}")
    return "\n".join(lines)


def _difference(found: FigureDifference) -> str:
    interval = found.difference.interval
    between = "" if interval is None else f" [{interval[0]:+.4f} to {interval[1]:+.4f}]"
    return (
        f"  {found.figure:<22} {rate_text(found.first)} against {rate_text(found.second)}: "
        f"{found.first - found.second:+.4f}{between}{_p_value(found.p_value)}"
    )


def _p_value(value: float | None) -> str:
    return "" if value is None else f", p at most {value:.2g}"


def groups_text(report: GroupReport) -> str:
    """Format error rates within and across groups, with a verdict if there is enough data."""
    counted = ", ".join(f"{name} {n:,}" for name, n in zip(report.names, report.n_photos, strict=True))
    head = click.style("Groups", bold=True) + f" below {report.threshold:.5g}; photos: {counted}"
    left_out = [f"  {report.n_unlabelled:,} photos without a group are left out"] if report.n_unlabelled else []
    return "\n".join([head, *left_out, *(line for cell in report.cells for line in _group(cell))])


def _group(cell: GroupCell) -> Iterator[str]:
    yield f"  {cell.first}" if cell.first == cell.second else f"  {cell.first} with {cell.second}"
    for figure, found in (("FMR", cell.fmr), ("FNMR", cell.fnmr)):
        if found.n:
            yield f"    {figure:<5} {estimated(found.rate)} of {found.n:,} comparisons; {in_words(figure, found)}"


LABEL_FAULTS: dict[LabelFault, str] = {
    "same_picture": "one picture under two names",
    "two_names": "one person under two names",
    "wrong_name": "a photo under a wrong name",
    "two_people": "two people under one name",
}
N_LABELS = 20  # findings shown in a terminal


def labels_summary(report: LabelReport) -> str:
    """Return the extent and the result of a check of labels as one sentence."""
    left_out = [
        f"{n:,} {why}"
        for n, why in ((report.n_without_face, "without a usable face"), (report.n_too_poor, "too poor to compare"))
        if n
    ]
    unchecked = f" ({' and '.join(left_out)} are not checked)" if left_out else ""
    n = len(report.findings)
    found = "1 finding" if n == 1 else f"{n:,} findings"
    return f"{report.n_photos:,} photos under {report.n_names:,} names{unchecked}: {found}"


def labels_lines(report: LabelReport, most: int = N_LABELS) -> Iterator[str]:
    """Yield the lines of a check of labels, most certain findings first."""
    yield labels_summary(report)
    if report.n_other_files:
        yield f"  ignored: {report.n_other_files:,} other files in the folder, which are not photos by name"
    for rank, found in enumerate(report.findings[:most], start=1):
        yield f"  {rank:>3}  {100 * found.certainty:5.1f}%  {LABEL_FAULTS[found.kind]}: {found.advice}"
    if len(report.findings) > most:
        yield f"  and {len(report.findings) - most:,} more"
