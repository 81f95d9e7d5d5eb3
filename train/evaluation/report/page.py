"""Render the HTML pages of a report, and of a check of labels, from their templates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from embedder import Pixels, data_uri, jpeg

from ..groups import DIFFERS, GroupReport
from ..model_comparison import ModelComparison
from ..nist_800_63a import beside_standard, standard_in_words
from ..protocols.protocol import LabeledPhoto
from ..results import DECIDES, SCORE, ClaimCheck, Evaluation, LabelFinding, LabelPair, LabelReport, WorstPair, rate_text
from ..text import HOLDS, LABEL_FAULTS, SOURCES, labels_summary
from .plot import Plot

FACES = {
    "dominant": "the one dominant face in each photo",
    "only": "the only face of each photo",
    "largest": "the largest face of each photo",
    "center": "the face nearest the centre of each photo",
}


def opening(found: Evaluation) -> tuple[str, str]:
    """Return two paragraphs: the comparisons, and the result."""
    return " ".join(_compared(found)), " ".join(_verdict(found))


def _compared(found: Evaluation) -> Iterator[str]:
    data, figures = found.data, found.figures
    yield (
        f"{found.model.name} made {figures.n_genuine:,} genuine comparisons (of one person) and {figures.n_impostor:,} "
        f"impostor ones (of two) between {data.n_photos:,} photos of {data.n_identities:,} people, using "
        f"{FACES[data.face]}."
    )
    yield _failures(found)
    if found.refusals is not None:
        yield (
            f"Photos refused for low quality: {len(found.refusals.photos):,}, which leaves out "
            f"{found.refusals.n_comparisons:,} comparisons."
        )


def _verdict(found: Evaluation) -> Iterator[str]:
    figures = found.figures
    yield (
        f"At the threshold {found.threshold.value:.5g} ({SOURCES[found.threshold.source]}) it wrongly accepts "
        f"{rate_text(figures.fmr.value)} of the impostor comparisons (FMR{_one_in(figures.fmr.value)}) and wrongly "
        f"rejects {rate_text(figures.fnmr.value)} of the genuine ones (FNMR{_one_in(figures.fnmr.value)})."
    )
    if figures.eer.value is not None:
        yield f"Where FMR and FNMR are equal, each is {rate_text(figures.eer.value)} (EER)."
    yield f"Decisions use {DECIDES[found.score_kind]}."
    yield claims_in_words(found.claims)


def claims_in_words(claims: Sequence[ClaimCheck]) -> str:
    """Summarise whether the FMRs that the card claims hold here."""
    if not claims:
        return "The model's card claims no error rates."
    phrases = {
        True: "it holds at {}",
        False: "it does not hold at {}",
        None: "there is too little data at {}",
    }
    names = {kind: [each.point.name for each in claims if each.holds is kind] for kind in phrases}
    said = [phrases[kind].format(_listed(names[kind])) for kind in phrases if names[kind]]
    return f"Check of the FMR that the model's card claims: {'; '.join(said)}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _failures(found: Evaluation) -> str:
    n = len(found.failures.photos)
    if not n:
        return "It found a usable face in every photo."
    photos = "one photo" if n == 1 else f"{n:,} photos"
    return f"It found no usable face in {photos}, so {found.failures.n_comparisons:,} comparisons are left out."


def _one_in(share: float | None) -> str:
    """Return a small share in the form "1 in n"."""
    return f"; 1 in {1 / share:,.0f}" if share and share < 0.1 else ""  # noqa: PLR2004 - above, a percentage is plainer


ChipSource = Callable[[LabeledPhoto], Pixels]  # (side, side, 3) of the face that was compared

N_FAILURES = 200  # listed by name at most
QUALITY = 92  # JPEG quality of chips


@dataclass(frozen=True, slots=True)
class ShownPair:
    """Two chips as data URIs."""

    pair: WorstPair
    probe: str  # data URI
    reference: str


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The content of the page."""

    found: Evaluation
    command: str
    versus: ModelComparison | None
    groups: GroupReport | None
    pictures: Sequence[Plot]
    chips: ChipSource

    def worst(self) -> dict[str, tuple[ShownPair, ...]]:
        """Return the worst comparisons of each kind with their chips."""
        kinds = {"matches": self.found.worst_false_matches, "non_matches": self.found.worst_false_non_matches}
        return {kind: tuple(self._shown(pair) for pair in pairs) for kind, pairs in kinds.items()}

    def _shown(self, pair: WorstPair) -> ShownPair:
        return ShownPair(pair, _jpeg(self.chips(pair.probe)), _jpeg(self.chips(pair.reference)))


def page(content: Content) -> str:
    """Render the template. Undefined names raise an error, and all text is escaped."""
    found = content.found
    return (
        _environment()
        .get_template("page.html")
        .render(
            found=found,
            figures=found.figures,
            opening=opening(found),
            standard=tuple(standard_in_words(beside_standard(found))),
            command=content.command,
            versus=content.versus,
            groups=content.groups,
            pictures={picture.name: picture for picture in content.pictures},
            worst=content.worst(),
            n_failures=N_FAILURES,
        )
    )


LabelChips = Callable[[LabeledPhoto], Pixels | None]  # as ChipSource; None without a face

N_FINDINGS = 200  # shown at most; the CSV has all
N_PAIRS = 4  # of each finding


@dataclass(frozen=True, slots=True)
class ShownLabelPair:
    """Two photos of a finding; their chips as data URIs, None without a face."""

    pair: LabelPair
    doubtful: str | None
    other: str | None


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding with its first pairs."""

    finding: LabelFinding
    pairs: tuple[ShownLabelPair, ...]


def labels_page(report: LabelReport, chips: LabelChips) -> str:
    """Render the findings of a check of labels, most certain first. Raises the errors of `chips`."""
    shown = tuple(_shown_finding(finding, chips) for finding in report.findings[:N_FINDINGS])
    template = _environment().get_template("labels.html")
    return template.render(report=report, shown=shown, faults=LABEL_FAULTS, summary=labels_summary(report))


def _shown_finding(finding: LabelFinding, chips: LabelChips) -> ShownFinding:
    pairs = (
        ShownLabelPair(pair, *(_jpeg_of(chips(photo)) for photo in (pair.doubtful, pair.other)))
        for pair in finding.pairs[:N_PAIRS]
    )
    return ShownFinding(finding, tuple(pairs))


def _jpeg_of(pixels: Pixels | None) -> str | None:
    return None if pixels is None else _jpeg(pixels)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {
        "holds": HOLDS.get,
        "source": SOURCES.get,
        "differs": DIFFERS.get,
        "score": SCORE.get,
        "decides": DECIDES.get,
    }
    environment.filters |= words | {"rate": rate_text, "number": _number}
    return environment


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _jpeg(pixels: Pixels) -> str:
    return data_uri("jpeg", jpeg(Image.fromarray(pixels), QUALITY))
