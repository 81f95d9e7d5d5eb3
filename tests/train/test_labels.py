"""`visavis check-labels`: mistakes that we made in the labels of real photos are found, and nothing else is."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from embedder import FaceEmbedder
from train.evaluation import labels
from train.evaluation.embedding import embed_photos
from train.evaluation.labels import LabelsError, check_labels
from train.evaluation.protocols.folders import read_identities
from train.evaluation.results import LabelFinding, LabelReport
from visavis.cli.main import main

MOVED, STRANGER = "s2/of-s1.pgm", "s4/of-s20.pgm"
TWIN = "s3-again"


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check-labels", *map(str, arguments)])


@pytest.fixture(scope="module")
def mislabelled(twelve_people: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve people with five photos each, and one mistake of each kind."""
    folder = tmp_path_factory.mktemp("mislabelled") / "people"
    shutil.copytree(twelve_people, folder)
    first = sorted((folder / "s1").iterdir())
    first[0].rename(folder / MOVED)
    (folder / TWIN).mkdir()
    for photo in sorted((folder / "s3").iterdir())[:2]:
        photo.rename(folder / TWIN / photo.name)
    shutil.copy(min((data / "orl/s20").iterdir()), folder / STRANGER)
    Image.open(min((folder / "s6").iterdir())).save(folder / "s5" / "of-s6.png")
    return folder


@pytest.fixture(scope="module")
def report(mislabelled: Path, embedder: FaceEmbedder) -> LabelReport:
    return checked(mislabelled, embedder)


def checked(folder: Path, embedder: FaceEmbedder) -> LabelReport:
    protocol = read_identities(folder)
    return check_labels(protocol, embed_photos(protocol, embedder, "largest"), embedder.card)


def of_kind(report: LabelReport, kind: str) -> LabelFinding:
    (found,) = (each for each in report.findings if each.kind == kind)
    return found


def test_each_mistake_is_found_once_and_nothing_else(report: LabelReport) -> None:
    assert sorted(each.kind for each in report.findings) == ["same_picture", "two_names", "two_people", "wrong_name"]
    assert [pair.doubtful.name for pair in of_kind(report, "wrong_name").pairs] == [MOVED]
    assert [pair.doubtful.name for pair in of_kind(report, "two_people").pairs] == [STRANGER]
    assert [pair.doubtful.name for pair in of_kind(report, "same_picture").pairs] == ["s5/of-s6.png"]
    (pair,) = of_kind(report, "two_names").pairs
    assert (pair.doubtful.identity, pair.other.identity) == ("s3", TWIN)


def test_the_surest_comes_first_and_one_picture_under_two_names_is_certain(report: LabelReport) -> None:
    certainties = [each.certainty for each in report.findings]
    assert certainties == sorted(certainties, reverse=True)
    assert (report.findings[0].kind, certainties[0]) == ("same_picture", 1.0)
    assert all(labels.WRONG <= each < 1 for each in certainties[1:])


def test_the_advice_says_to_whom_a_photo_belongs(report: LabelReport) -> None:
    assert of_kind(report, "wrong_name").advice == f"{MOVED} seems to show s1: put it there, or remove it"
    assert of_kind(report, "same_picture").advice == "s5/of-s6.png seems to show s6: put it there, or remove it"
    assert f"s3 (3 photos) and {TWIN} (2 photos) seem to be one person" in of_kind(report, "two_names").advice
    stranger = of_kind(report, "two_people").advice
    assert stranger == f"{STRANGER} seems to show another person than 5 photos of s4: remove it"


def test_evidence_and_certainty_are_those_of_the_formula(
    mislabelled: Path, report: LabelReport, embedder: FaceEmbedder
) -> None:
    ratio = embedder.card.ratio
    assert ratio is not None
    of_all = [
        ratio.at(embedder.verify(first.read_bytes(), second.read_bytes(), quality="ignore").normalized_distance)
        for first in sorted((mislabelled / "s3").iterdir())
        for second in sorted((mislabelled / TWIN).iterdir())
    ]
    evidence = np.mean(of_all) * 2 / (1 + (2 - 1) * 0.5)  # two disjoint pairs, half as good as two independent ones
    found = of_kind(report, "two_names")
    assert found.evidence == pytest.approx(evidence, abs=0.02)
    prior = np.log(0.01 / 0.99) - np.log(13 - 1)  # 1% of people have a second name, which is one of twelve
    assert found.certainty == pytest.approx(1 / (1 + np.exp(-evidence - prior)), rel=1e-3)


def test_right_labels_are_exit_status_0_and_wrong_ones_1(twelve_people: Path, mislabelled: Path) -> None:
    right = visavis(twelve_people)
    assert (right.exit_code, right.stdout) == (0, "60 photos under 12 names: 0 findings\n")
    wrong = visavis(mislabelled)
    assert wrong.exit_code == 1
    assert wrong.stdout.startswith("62 photos under 13 names: 4 findings\n    1  100.0%  one picture under two names: ")


def test_chips_give_the_findings_of_their_photos(mislabelled: Path, report: LabelReport, tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["prepare", str(mislabelled), "--out", str(tmp_path / "chips")])
    assert "  labels in doubt: 4; see labels.html and labels.csv" in made.stdout.splitlines()
    found = json.loads(visavis(tmp_path / "chips", "--json").stdout)["findings"]
    assert [(each["kind"], each["advice"]) for each in found] == [(each.kind, each.advice) for each in report.findings]
    assert [each["evidence"] for each in found] == pytest.approx([each.evidence for each in report.findings], abs=0.02)


def test_the_csv_has_a_row_for_each_photo_in_doubt(mislabelled: Path, report: LabelReport, tmp_path: Path) -> None:
    assert visavis(mislabelled, "--out", tmp_path / "out").exit_code == 1
    with (tmp_path / "out/labels.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert list(rows[0]) == [
        "rank", "kind", "name_1", "image_1", "name_2", "image_2", "distance", "evidence", "certainty", "advice"
    ]  # fmt: skip
    assert [(int(row["rank"]), row["kind"], row["image_1"], row["image_2"]) for row in rows] == [
        (rank, found.kind, pair.doubtful.name, pair.other.name)
        for rank, found in enumerate(report.findings, start=1)
        for pair in found.pairs
    ]


def test_the_page_shows_both_faces_links_nowhere_and_is_private(mislabelled: Path, tmp_path: Path) -> None:
    visavis(mislabelled, "--out", tmp_path / "out")
    page = (tmp_path / "out/labels.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 2 * 4
    assert not re.search(r"https?://|<a |<link|<script", page)
    for name in ("labels.html", "labels.csv"):
        assert (tmp_path / "out" / name).stat().st_mode & 0o777 == 0o600


def test_a_name_with_many_photos_is_clustered_in_parts(
    mislabelled: Path, report: LabelReport, embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "CLUSTERED", 4)
    again = checked(mislabelled, embedder)
    assert [each.advice for each in again.findings] == [each.advice for each in report.findings]


def test_identical_files_under_two_names_are_found_even_without_a_face(
    twelve_people: Path, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    shutil.copytree(twelve_people, tmp_path / "people")
    for person in ("s7", "s9"):
        Image.new("RGB", (64, 64), "gray").save(tmp_path / "people" / person / "empty.png")
        (tmp_path / "people" / person / "scan.pdf").write_bytes(b"%PDF-1.4")
    found = checked(tmp_path / "people", embedder)
    assert found.n_without_face == 2
    (finding,) = found.findings
    assert finding.kind == "same_picture"
    assert finding.advice == "one picture is under s7 and s9: remove it from the wrong one"
    told = visavis(tmp_path / "people", "--out", tmp_path / "out")
    assert "(2 without a usable face are not checked)" in told.stdout
    assert "ignored: 2 other files in the folder, which are not photos by name" in told.stdout
    assert (tmp_path / "out/labels.html").read_text().count("no face</span>") == 2


def test_a_name_of_markup_is_text_on_the_page(twelve_people: Path, tmp_path: Path) -> None:
    shutil.copytree(twelve_people, tmp_path / "people")
    (tmp_path / "people/<b>&").mkdir()
    shutil.copy(min((tmp_path / "people/s1").iterdir()), tmp_path / "people/<b>&/1.pgm")
    visavis(tmp_path / "people", "--out", tmp_path / "out")
    page = (tmp_path / "out/labels.html").read_text()
    assert "<b>&amp;" not in page
    assert "&lt;b&gt;&amp;/1.pgm" in page


def test_a_model_without_operating_points_is_refused_before_photos_are_read(
    twelve_people: Path, small_chips: Path, embedder: FaceEmbedder
) -> None:
    told = visavis(twelve_people, "--model", small_chips)
    assert told.exit_code == 2
    bare = embedder.card.model_copy(update={"calibration": None})
    with pytest.raises(LabelsError, match="run visavis calibrate"):
        labels.require_evidence(bare)


def test_chips_of_another_model_and_options_that_chips_do_not_need_are_refused(prepared_for_dlib: Path) -> None:
    assert visavis(prepared_for_dlib).exit_code == 2
    assert visavis(prepared_for_dlib, "--model", "dlib-resnet29-128").exit_code == 0
    told = visavis(prepared_for_dlib, "--face", "only")
    assert told.exit_code == 2
    assert "omit --face" in told.stderr
