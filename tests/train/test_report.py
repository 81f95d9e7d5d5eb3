"""The report: all that was found is on a page that needs nothing else, and nothing on it is more than was found."""

import re
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.special import ndtri

from embedder import FaceEmbedder, Pixels, load
from train.evaluation.bootstrap import Resampling
from train.evaluation.compared import compare_photos
from train.evaluation.embedding import EmbeddedSet
from train.evaluation.evaluation import EvaluationConfig, EvaluationResult, evaluate_compared
from train.evaluation.groups import GroupReport, PhotoGroups, compare_groups
from train.evaluation.identification import evaluate_identification
from train.evaluation.model_comparison import ModelComparison, compare_models
from train.evaluation.protocols.protocol import LabeledPhoto, PairList, Protocol
from train.evaluation.report import ChipSource, ReportError, write_report
from train.evaluation.report.det import det, identification, probit
from train.evaluation.report.group_plots import short
from train.evaluation.report.page import claims_in_words, opening
from train.evaluation.report.score_plots import FEW, density_of
from train.evaluation.results import ClaimCheck, DetCurve, Evaluation, IdentificationReport, interval_text, rate_text
from train.evaluation.scoring import scoring_of
from train.evaluation.text import HOLDS
from train.evaluation.thresholds import ThresholdChoice

from .conftest import embedded_set

ROOT = Path(__file__).parents[2]
N_PEOPLE, N_EACH = 70, 3
VOID = {"meta", "img", "br"}


def photos_of(examples: Path) -> tuple[LabeledPhoto, ...]:
    """Made-up people; each photo is one of the eight examples, so that there is a chip to show."""
    files = sorted(examples.glob("*.jpg"))
    places = [(person, k) for person in range(N_PEOPLE) for k in range(N_EACH)]
    return tuple(
        LabeledPhoto(files[(person + k) % len(files)], f"p{person:02d}/<{k}>.jpg", f"p{person:02d}")
        for person, k in places
    )


def embedded(n_failed: int, seed: int) -> EmbeddedSet:
    """Embeddings whose distances are spread as those of faces are: about 0.42 and 0.82."""
    generator = np.random.default_rng(seed)
    people = 0.125 * generator.normal(size=(N_PEOPLE, 1, 16))
    vectors = np.zeros((N_PEOPLE * N_EACH, 128), np.float32)
    vectors[:, :16] = (people + 0.0742 * generator.normal(size=(N_PEOPLE, N_EACH, 16))).reshape(-1, 16)
    vectors[:n_failed] = np.nan
    return embedded_set(vectors)


def folds_of(photos: tuple[LabeledPhoto, ...]) -> PairList:
    """Neighbours compared, in five folds of people."""
    first = np.arange(len(photos) - 1, dtype=np.int32)
    same = np.array([photos[k].identity == photos[k + 1].identity for k in first])
    return PairList(first, first + 1, same, (first // 42).astype(np.int32))


def evaluated(
    embedder: FaceEmbedder, photos: tuple[LabeledPhoto, ...], pairs: PairList | None = None, *,
    choice: ThresholdChoice = None,
    n_failed: int = 0, seed: int = 0,
) -> EvaluationResult:  # fmt: skip
    protocol = Protocol("made-up <people>", photos, pairs, "largest")
    setting = EvaluationConfig(embedder, "largest", resampling=Resampling(100, 0))
    return evaluate_compared(compare_photos(protocol, embedded(n_failed, seed), seed=0), setting, choice)


@pytest.fixture(scope="module")
def photos(examples: Path) -> tuple[LabeledPhoto, ...]:
    return photos_of(examples)


@pytest.fixture(scope="module")
def chips(embedder: FaceEmbedder) -> ChipSource:
    known: dict[Path, Pixels] = {}

    def chip(photo: LabeledPhoto) -> Pixels:
        if photo.path not in known:
            known[photo.path] = embedder.chip(photo.path.read_bytes()).pixels
        return known[photo.path]

    return chip


@pytest.fixture(scope="module")
def whole(embedder: FaceEmbedder, photos: tuple[LabeledPhoto, ...]) -> EvaluationResult:
    """All against all."""
    return evaluated(embedder, photos)


@pytest.fixture(scope="module")
def found(whole: EvaluationResult) -> Evaluation:
    return whole.found


@pytest.fixture(scope="module")
def folded(embedder: FaceEmbedder, photos: tuple[LabeledPhoto, ...]) -> Evaluation:
    """Listed comparisons in folds, some without a face."""
    return evaluated(embedder, photos, folds_of(photos), n_failed=4).found


@pytest.fixture(scope="module")
def groups(whole: EvaluationResult) -> GroupReport:
    of_photos = np.repeat([0, 1, -1], [20 * N_EACH, 48 * N_EACH, 2 * N_EACH]).astype(np.int32)
    names = ("<b>first</b>", "the second group, of which there is much more to say than fits")
    return compare_groups(whole.compared.scores, PhotoGroups(names, of_photos), 0.6, Resampling(50, 0))


class Page(HTMLParser):
    """A page taken apart: its text, its tags in order, what it points to, and whether its tags are balanced."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [tag] * (tag not in VOID)
        for name, value in attrs:
            assert name not in {"style", "srcset", "onload", "onclick"}
            if name in {"src", "href"}:
                {"src": self.images, "href": self.links}[name].append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split() if self.open and self.open[-1] != "style" else []

    @property
    def text(self) -> str:
        return " ".join(self.words)


def read(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def identified(whole: EvaluationResult, embedder: FaceEmbedder) -> IdentificationReport:
    return evaluate_identification(whole.compared, embedder.card, 1, Resampling(50, 0))


@pytest.fixture(scope="module")
def versus(whole: EvaluationResult, embedder: FaceEmbedder, photos: tuple[LabeledPhoto, ...]) -> ModelComparison:
    return compare_models(whole, evaluated(embedder, photos, seed=1))


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, found: Evaluation, chips: ChipSource, groups: GroupReport,
    versus: ModelComparison, identified: IdentificationReport,
) -> Path:  # fmt: skip
    """A report of everything there is."""
    target = tmp_path_factory.mktemp("report") / "new" / "folder"
    all_found = replace(found, identification=identified)
    write_report(target, all_found, chips, "visavis evaluate --csv '<&>'", versus=versus, groups=groups)
    return target


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder)


def test_the_page_and_its_pictures_are_written(folder: Path) -> None:
    pictures = ("against", "det", "groups", "groups_across", "identification", "reliability", "scores")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{each}.png" for each in pictures), "report.html"]
    )


def test_only_the_owner_may_read_what_shows_faces(folder: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_the_same_evaluation_gives_the_same_bytes(folder: Path, tmp_path: Path, found: Evaluation) -> None:
    def grey(_photo: LabeledPhoto) -> Pixels:
        return np.full((150, 150, 3), 128, np.uint8)

    one, again = (tmp_path / name for name in ("one", "again"))
    assert write_report(one, found, grey, "visavis") == one / "report.html"
    write_report(again, found, grey, "visavis")
    for path in one.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    assert (one / "det.png").read_bytes() == (folder / "det.png").read_bytes()


def test_no_picture_says_when_or_by_what_it_was_drawn(folder: Path) -> None:
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            assert set(picture.info) <= {"dpi"}


def test_the_page_asks_nobody_for_anything(folder: Path, page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert all(image.startswith("data:image/") for image in page.images)
    source = (folder / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in source
    assert not re.search(r"url\(|@import|https?://", re.sub(r'"data:[^"]*"', "", source))


def test_every_section_that_is_linked_is_there(folder: Path, page: Page) -> None:
    source = (folder / "report.html").read_text(encoding="utf-8")
    assert sorted(link[1:] for link in page.links) == sorted(re.findall(r'<section id="([a-z-]+)">', source))
    assert page.open == []


def test_the_pictures_on_the_page_are_those_beside_it(folder: Path, page: Page) -> None:
    shown = [b64decode(each.partition(",")[2]) for each in page.images if each.startswith("data:image/png")]
    assert sorted(shown) == sorted(path.read_bytes() for path in folder.glob("*.png"))


def test_what_the_user_wrote_stays_text(page: Page) -> None:
    for text in ("made-up <people>", "visavis evaluate --csv '<&>'", "/<0>.jpg", "<b>first</b>"):
        assert text in page.text


def test_all_figures_are_told_with_their_intervals(page: Page, found: Evaluation) -> None:
    figures = [found.figures.eer, found.figures.fmr, found.figures.fnmr]
    figures += [each.tar for each in found.figures.tar_at_fmr] + [claim.fmr for claim in found.claims]
    for figure in figures:
        if figure.value is not None and figure.interval is not None:
            assert f"{rate_text(figure.value)} {interval_text(figure.interval).strip(' []')}" in page.text


def test_everything_needed_to_repeat_it_is_told(page: Page, found: Evaluation) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    for fact in (found.model.digest, found.model.card_digest, found.data.digest, "100 resamples, seed 0", versions):
        assert fact in page.text


def test_a_rate_on_too_few_comparisons_says_what_it_would_take(page: Page, found: Evaluation) -> None:
    assert found.figures.tar_at_fmr[-1].tar.value is None
    needed = f"too few: 10,000,000 impostor comparisons are needed, there are {found.figures.n_impostor:,}"
    assert f"0.0001% not stated not stated {needed}" in page.text


def test_each_operating_point_has_its_verdict(page: Page, found: Evaluation) -> None:
    for claim in found.claims:
        said = {True: "holds", False: "does not hold here", None: "too few comparisons to say"}[claim.holds]
        row = rf"{claim.point.name} {claim.point.threshold:.5g} [^a-z]*(to [^a-z]*)*{said}"
        assert re.search(row, page.text)


def test_the_worst_pairs_are_shown_as_their_chips(page: Page, found: Evaluation, chips: ChipSource) -> None:
    shown = [each for each in page.images if each.startswith("data:image/jpeg")]
    pairs = [*found.worst_false_matches, *found.worst_false_non_matches]
    assert len(shown) == 2 * len(pairs) > 2
    for image, photo in zip(shown, [photo for pair in pairs for photo in (pair.probe, pair.reference)], strict=True):
        pixels = np.asarray(Image.open(BytesIO(b64decode(image.partition(",")[2]))), np.float64)
        assert np.abs(pixels - chips(photo)).mean() < 4
    for pair in pairs:
        assert f"{pair.probe.name} {pair.reference.name} distance {pair.distance:.4f}" in page.text


def test_a_page_with_faces_says_so_and_one_without_does_not(
    page: Page, tmp_path: Path, found: Evaluation, chips: ChipSource
) -> None:
    assert "This page contains face images." in page.text
    write_report(tmp_path, replace(found, worst_false_matches=(), worst_false_non_matches=()), chips, "visavis")
    bare = read(tmp_path)
    assert "contains face images" not in bare.text
    assert "None: no impostor comparison is below the threshold." in bare.text


def test_an_all_against_all_has_no_accuracy(page: Page) -> None:
    assert "#accuracy" not in page.links


def test_folds_are_told_with_their_thresholds(tmp_path: Path, folded: Evaluation, chips: ChipSource) -> None:
    write_report(tmp_path, folded, chips, "visavis")
    accuracy = folded.figures.accuracy
    assert accuracy is not None
    thresholds = ", ".join(f"{each:.4g}" for each in folded.threshold.of_folds)
    text = read(tmp_path).text
    assert (
        f"{accuracy.mean:.4f} of the decisions are correct, with a standard error of {accuracy.se:.4f} over 5" in text
    )
    assert thresholds in text


def test_failures_are_counted_both_ways_and_listed(tmp_path: Path, folded: Evaluation, chips: ChipSource) -> None:
    write_report(tmp_path, folded, chips, "visavis")
    text = read(tmp_path).text
    assert "4 of 210 photos have no usable face, which leaves out 3 genuine and 1 impostor comparisons" in text
    assert f"FNMR {rate_text(folded.figures.fnmr.value)} {rate_text(folded.with_failures.fnmr.value)}" in text
    assert "Genuine comparisons 137 140" in text
    assert "p00/<0>.jpg no_face p00/<1>.jpg no_face" in text


def test_of_very_many_failures_the_first_are_listed(tmp_path: Path, folded: Evaluation, chips: ChipSource) -> None:
    many = tuple((LabeledPhoto(Path("x"), f"photo{k:04d}", "x"), "no_face") for k in range(1234))
    write_report(tmp_path, replace(folded, failures=replace(folded.failures, photos=many)), chips, "visavis")
    text = read(tmp_path).text
    assert "photo0199 no_face and 1,034 more" in text
    assert "photo0200" not in text


def test_where_every_photo_has_a_face_it_says_so(page: Page) -> None:
    assert "None: a usable face was found in every photo." in page.text


def test_a_card_without_points_or_probability_is_reported_without(
    tmp_path: Path, photos: tuple[LabeledPhoto, ...], chips: ChipSource, embedder: FaceEmbedder
) -> None:
    bare = load(mirror=not embedder.card.architecture.mirror)
    result = evaluated(bare, photos, choice=0.6).found
    write_report(tmp_path, result, chips, "visavis")
    text = read(tmp_path).text
    assert "The model's card claims no error rates." in text
    assert "The model's card has no operating points" in text
    assert not (tmp_path / "reliability.png").exists()
    assert "#probability" not in read(tmp_path).links


def test_groups_are_told_each_and_every_two(page: Page, groups: GroupReport) -> None:
    assert "6 photos without a label are left out" in page.text
    for cell in groups.within:
        assert (
            f"{rate_text(cell.fmr.rate.value)} {interval_text(cell.fmr.rate.interval).strip(' []')} {cell.fmr.n:,} comp"
            in page.text
        )
    assert f"{groups.names[0]} and {groups.names[1]}" in page.text


def test_identification_is_told_for_every_gallery(page: Page, identified: IdentificationReport) -> None:
    assert [gallery.n_people for gallery in identified.galleries] == [10, 35]
    for gallery in identified.galleries:
        counted = f"{gallery.n_templates} templates; {gallery.n_mated:,} mated and {gallery.n_non_mated:,} non-mated"
        assert f"{gallery.n_people} people in the gallery {counted} searches in 100 draws." in page.text
        for claim in gallery.claims:
            rates = [claim.claimed_fpir, claim.fpir, claim.claimed_fnir, claim.fnir]
            told = " ".join(f"{rate_text(each.value)} {interval_text(each.interval).strip(' []')}" for each in rates)
            assert f"{rate_text(claim.asked_fpir)} {claim.threshold:.5g} {told} {HOLDS[claim.holds]}" in page.text
    stated = [each for gallery in identified.galleries for each in gallery.at_fpir if each.threshold is not None]
    assert 1 <= len(stated) < 6
    for each in stated:
        told = f"{rate_text(each.fnir.value)} {interval_text(each.fnir.interval).strip(' []')} {each.threshold:.5g}"
        assert f"{rate_text(each.fpir)} {told}" in page.text


def test_galleries_too_small_to_state_a_curve_are_reported_without_one(
    tmp_path: Path, found: Evaluation, chips: ChipSource, identified: IdentificationReport
) -> None:
    nothing = DetCurve(*(np.empty(0) for _ in range(4)))
    flat = replace(identified, galleries=tuple(replace(each, curve=nothing) for each in identified.galleries))
    assert identification(flat) is None
    write_report(tmp_path, replace(found, identification=flat), chips, "visavis")
    assert "10 people in the gallery" in read(tmp_path).text
    assert not (tmp_path / "identification.png").exists()


def test_two_models_stand_side_by_side(page: Page) -> None:
    assert re.search(
        r"EER [\d.]+% [\d.]+% [+-][\d.]+ [+-][\d.]+ to [+-][\d.]+ at most [\d.]+ (more than|may be) chance", page.text
    )


def test_without_groups_or_a_second_model_nothing_is_said_of_them(
    tmp_path: Path, found: Evaluation, chips: ChipSource
) -> None:
    write_report(tmp_path, found, chips, "visavis")
    assert not {"#groups", "#against", "#identification"} & set(read(tmp_path).links)
    assert sorted(path.stem for path in tmp_path.glob("*.png")) == ["det", "reliability", "scores"]


def test_the_first_paragraphs_say_what_was_compared_and_how_it_came_out(found: Evaluation, folded: Evaluation) -> None:
    compared, verdict = opening(found)
    assert compared.startswith(
        f"{found.model.name} made 210 genuine comparisons (of one person) and 21,735 impostor ones (of two) between "
        "210 photos of 70 people, using the largest face of each photo."
    )
    assert f"wrongly accepts {rate_text(found.figures.fmr.value)} of the impostor comparisons (FMR" in verdict
    assert f"each is {rate_text(found.figures.eer.value)} (EER)" in verdict
    assert "no usable face in 4 photos, so 4 comparisons are left out" in opening(folded)[0]


def claim(found: Evaluation, name: str, **facts: object) -> ClaimCheck:
    point = found.claims[0].point.model_copy(update={"name": name} | facts)
    return replace(found.claims[0], point=point, is_carried=True)


def test_the_verdict_on_the_card_names_what_holds_what_does_not_and_what_cannot_be_checked(found: Evaluation) -> None:
    measured = found.claims[0].fmr
    holds = [claim(found, name, fmr=measured.value, fmr_interval=measured.interval) for name in ("a", "b", "c")]
    fails = claim(found, "d", fmr_interval=(0.0, 1e-9))
    open_ = claim(found, "e", fmr_interval=None)
    said = "Check of the FMR that the model's card claims: it holds at a, b and c"
    assert claims_in_words(holds) == f"{said}."
    assert claims_in_words([*holds, fails, open_]) == (f"{said}; it does not hold at d; there is too little data at e.")


def test_a_threshold_from_which_nothing_matches_is_drawn_and_told(
    tmp_path: Path, embedder: FaceEmbedder, photos: tuple[LabeledPhoto, ...], chips: ChipSource
) -> None:
    result = evaluated(embedder, photos, choice=0.01).found
    write_report(tmp_path, result, chips, "visavis")
    assert "accepts 0% of the impostor comparisons (FMR) and wrongly rejects 100% of the genuine" in read(tmp_path).text


@pytest.mark.parametrize("fnmr", [[], [0.0, 0.0]])
def test_a_curve_that_would_be_outside_of_its_axes_is_not_drawn(
    tmp_path: Path, found: Evaluation, chips: ChipSource, fnmr: list[float]
) -> None:
    rates = np.array(fnmr)
    flat = replace(found, curve=DetCurve(np.linspace(0.1, 0.5, len(fnmr)), rates, rates, rates))
    assert det(flat) is None
    write_report(tmp_path, flat, chips, "visavis")
    assert "No curve: there are too few impostor comparisons" in read(tmp_path).text


@given(st.lists(st.floats(1e-9, 1 - 1e-9), min_size=1, max_size=20))
def test_normal_deviates_are_those_of_scipy(rates: list[float]) -> None:
    assert probit(rates) == pytest.approx(ndtri(rates), rel=1e-9, abs=1e-9)


def test_rates_of_none_and_all_have_deviates_far_outside() -> None:
    assert np.isfinite(probit([0.0, 1.0])).all()
    assert np.abs(probit([0.0, 1.0])).min() > 6


@given(arrays(np.float64, 120, elements=st.integers(0, 10**4)).filter(np.any))
def test_the_area_below_a_density_is_one(counts: np.ndarray) -> None:
    density, edges = density_of(counts, np.linspace(0, 1.3, 121))
    assert (density * np.diff(edges)).sum() == pytest.approx(1)
    assert (edges[0], edges[-1]) == (0, 1.3)
    assert len(density) == (40 if counts.sum() < FEW else 120)


@given(st.text(st.characters(categories=["L", "Nd"], include_characters=" -"), max_size=80))
def test_a_name_beside_a_row_takes_two_lines_at_most(name: str) -> None:
    lines = short(name).split("\n")
    assert len(lines) <= 2
    assert max(map(len, lines)) <= 18


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path, found: Evaluation, chips: ChipSource) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match=r"the report cannot be written to .*file: .*; give another folder"):
        write_report(tmp_path / "file", found, chips, "visavis")


def test_drawing_touches_no_global_state_of_matplotlib() -> None:
    script = "import sys, train.evaluation.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


@pytest.fixture(scope="module")
def normalised_folder(
    tmp_path_factory: pytest.TempPathFactory,
    penalty_embedder: FaceEmbedder,
    photos: tuple[LabeledPhoto, ...],
    chips: ChipSource,
) -> Path:
    """A report of normalised scores, with photos that were refused."""
    target = tmp_path_factory.mktemp("normalised")
    protocol, some = Protocol("made-up people", photos, None, "largest"), embedded_set(embedded(0, 0).vectors, 5)
    scoring = scoring_of(penalty_embedder, some, "normalized", "refuse")
    setting = EvaluationConfig(penalty_embedder, "largest", resampling=Resampling(100, 0))
    found = evaluate_compared(compare_photos(protocol, some, seed=0, scoring=scoring), setting, "best").found
    write_report(target, found, chips, "visavis evaluate --quality refuse")
    return target


def test_a_report_of_normalised_scores_says_what_they_are(normalised_folder: Path) -> None:
    text = read(normalised_folder).text
    assert "Decisions use the distance with the penalty for poor photos." in text
    assert "plus the pair's penalty for poor photos, which is that of the better photo" in text
    assert "two people, and the smallest normalised distances" in text


def test_photos_that_were_refused_are_named(normalised_folder: Path) -> None:
    page = read(normalised_folder)
    assert "#refused" in page.links
    assert page.open == []
    assert "5 of 210 photos are below the minimum quality" in page.text
    assert "Photos refused for low quality: 5, which leaves out" in page.text
    assert "None: a usable face was found in every photo." in page.text


def test_where_quality_is_ignored_nothing_is_said_of_refusals(page: Page) -> None:
    assert "efused" not in page.text
