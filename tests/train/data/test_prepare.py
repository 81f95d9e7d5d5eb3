"""From photos to a folder of chips: the very chips of serving, whatever is wrong with other photos."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import copy, copytree, rmtree

import numpy as np
import pytest
import torch
from PIL import Image

from embedder import Advance, FaceEmbedder, Job, no_progress
from embedder.image_formats import FORMATS_IN_WORDS
from train.data.photos import read_source
from train.data.plan import read_excluded
from train.data.prepared import PreparedData, open_prepared
from train.data.preparing import ChipCutter, PreparationResult, prepare
from train.data.report import report_json, report_text
from train.data.shard import shard_path
from train.errors import DataError

PHOTOS = ("001/001_0001.jpg", "001/001_0002.jpg")


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As in the threads of `prepare`: on several cores the finder's sums differ in their last bits."""
    n_before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_before)


def prepared_of(photos: Path, out: Path, cutter: ChipCutter, *exclude: Path) -> PreparationResult:
    excluded = [read_excluded(folder, no_progress) for folder in exclude]
    return prepare(read_source(photos), out, cutter, excluded)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def require_equal_to_serving(data: PreparedData, embedder: FaceEmbedder) -> None:
    chips = data.chips(range(len(data.names)))
    for k, chip in enumerate(chips):
        served = embedder.chip(data.photo(k).path.read_bytes(), face=data.face)
        quality = served.sample.quality
        assert np.array_equal(chip, served.pixels)
        assert data.measures[k].tolist() == [np.float32(getattr(quality, name)) for name in quality.__slots__]


@pytest.mark.usefixtures("_one_thread")
def test_chips_and_measures_are_those_of_serving_to_the_last_bit(
    prepared: PreparedData, embedder: FaceEmbedder
) -> None:
    assert (len(prepared.names), prepared.n_identities) == (8, 4)
    assert prepared.names[:2] == PHOTOS
    assert prepared.identities[:3] == ("001", "001", prepared.names[2][:3])
    assert (prepared.alignment, prepared.face) == (embedder.card.alignment, "largest")
    require_equal_to_serving(prepared, embedder)


@pytest.mark.usefixtures("_one_thread")
def test_grey_and_low_resolution_photos_become_the_chips_of_serving(
    data: Path, tmp_path: Path, cutter: ChipCutter
) -> None:
    photos = [*sorted(data.glob("orl/s[12]/[12].pgm")), *sorted(data.glob("celebrities/A*/[bt]*"))[:8]]
    for photo in photos:
        (tmp_path / "photos" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        copy(photo, tmp_path / "photos" / photo.parent.name)
    found = prepared_of(tmp_path / "photos", tmp_path / "data", cutter).report
    assert found.n_chips + len(found.skipped) == len(photos)
    require_equal_to_serving(open_prepared(tmp_path / "data"), cutter.embedder)


def test_only_the_owner_may_read_anything_of_it(prepared: PreparedData) -> None:
    assert prepared.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in prepared.folder.iterdir()} == {0o600}
    assert set(contents(prepared.folder)) == {"data.json", "report.json", "shard-00000.safetensors", "skipped.csv"}


def test_a_second_run_changes_nothing_and_says_so(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    out = tmp_path / "data"
    first = prepared_of(people, out, cutter)
    before, times = contents(out), [path.stat().st_mtime_ns for path in out.iterdir()]
    second = prepared_of(people, out, cutter)
    assert (first.was_finished, second.was_finished) == (False, True)
    assert second.report == first.report
    assert (contents(out), [path.stat().st_mtime_ns for path in out.iterdir()]) == (before, times)


def test_other_options_or_photos_are_refused_with_what_differs(
    people: Path, tmp_path: Path, cutter: ChipCutter, embedder: FaceEmbedder
) -> None:
    out = tmp_path / "data"
    prepared_of(people, out, cutter)
    before = contents(out)
    with pytest.raises(DataError, match=r"started with other settings: --face was largest, is dominant\. Give another"):
        prepared_of(people, out, ChipCutter(embedder, "dominant"))
    with pytest.raises(DataError, match=r"the photos' folder was .*people, is .*moved"):
        prepared_of(Path(copytree(people, tmp_path / "moved")), out, cutter)
    (people / PHOTOS[0]).unlink()
    with pytest.raises(DataError, match=r"other photos \(8 were to be prepared, now 7\)"):
        prepared_of(people, out, cutter)
    assert contents(out) == before


def test_a_folder_with_other_things_is_left_alone(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/letter.txt").write_text("dear")
    with pytest.raises(DataError, match="contains other files than prepared chips; give a new folder"):
        prepared_of(people, tmp_path / "data", cutter)
    assert contents(tmp_path / "data") == {"letter.txt": b"dear"}


def test_photos_that_cannot_be_used_are_listed_and_stop_nothing(
    people: Path, tmp_path: Path, cutter: ChipCutter
) -> None:
    jpeg = (people / PHOTOS[0]).read_bytes()
    bad = people / "bad"
    bad.mkdir()
    (bad / "empty.jpg").touch()
    (bad / "garbage.jpg").write_bytes(b"no picture" * 100)
    (bad / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (bad / "huge.png").write_bytes(b"\0" * (20 * 2**20 + 1))
    Image.new("RGB", (200, 200), "grey").save(bad / "no face.png")
    Image.new("1", (8_000, 8_000)).save(bad / "wide.png")
    report = prepared_of(people, tmp_path / "data", cutter).report
    assert report.reasons == {"image_too_large": 2, "not_an_image": 2, "image_unreadable": 1, "no_face": 1}
    assert (report.n_photos, report.n_chips, report.without_chip) == (14, 8, ("bad",))
    rows = list(csv.reader((tmp_path / "data/skipped.csv").read_text().splitlines()))
    assert rows[:2] == [
        ["photo", "code", "reason"],
        ["bad/empty.jpg", "not_an_image", f"the image is empty (0 bytes); send a {FORMATS_IN_WORDS} file"],
    ]
    assert [row[0] for row in rows[1:]] == [f"bad/{name}" for name in sorted(each.name for each in bad.iterdir())]


def test_files_that_the_disk_does_not_give_are_listed_and_stop_nothing(
    people: Path, tmp_path: Path, cutter: ChipCutter
) -> None:
    other = sorted(each.name for each in people.iterdir())[1]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    rows = [f"{person}/{person}_0001.jpg,{person}" for person in ("001", other)]
    rows += [f"{name},lost" for name in ("absent.jpg", str(tmp_path / "pipe"), str(tmp_path / "loop"), "001", "a\0b")]
    (people / "list.csv").write_text("\n".join(["image,identity", *rows]))
    report = prepared_of(people / "list.csv", tmp_path / "data", cutter).report
    assert (report.n_chips, report.reasons) == (2, {"file_unreadable": 5})
    assert {each.words for each in report.skipped} == {
        "the file cannot be read: No such file or directory",
        "the file cannot be read: not a regular file",
        "the file cannot be read: Too many levels of symbolic links",
        "the file cannot be read: embedded null byte",
    }


def test_a_photo_of_a_format_that_is_not_read_is_listed(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    (people / "001/phone.JXL").write_bytes(b"\xff\x0a" + bytes(64))
    report = prepared_of(people, tmp_path / "data", cutter).report
    assert [(each.name, each.code) for each in report.skipped] == [("001/phone.JXL", "not_an_image")]
    assert "the file is JPEG XL" in report.skipped[0].words


def test_files_that_are_not_photos_by_name_are_counted(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    for name in ("notes.txt", ".DS_Store", "001/film.mp4", "005/._neutral.jpg"):
        (people / name).touch()
    report = prepared_of(people, tmp_path / "data", cutter).report
    assert (report.n_photos, report.n_other_files) == (8, 4)
    assert json.loads(report_json(report))["other_files"] == 4
    assert "  ignored: 4 other files, not photos by name" in report_text(report, tmp_path)


def test_a_photo_that_changes_or_vanishes_meanwhile_is_listed(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    source = read_source(people)
    changed, vanished = (people / name for name in PHOTOS)

    def meddle(job: Job) -> AbstractContextManager[Advance]:
        if job.doing == "finding faces in":
            changed.write_bytes(b"other")
            vanished.unlink()
        return no_progress(job)

    report = prepare(source, tmp_path / "data", cutter, progress=meddle).report
    assert report.reasons == {"file_changed": 1, "file_unreadable": 1}
    assert report.without_chip == ("001",)


def test_doubles_of_a_person_are_dropped_and_those_across_people_are_listed(
    people: Path, tmp_path: Path, cutter: ChipCutter
) -> None:
    other = sorted(people.iterdir())[1]
    copy(people / PHOTOS[0], people / "001/copy.jpg")
    copy(people / PHOTOS[0], other / "copy.jpg")
    report = prepared_of(people, tmp_path / "data", cutter).report
    assert (report.n_chips, report.reasons) == (9, {"duplicate": 1})
    assert [(each.name, each.other) for each in report.skipped] == [("001/copy.jpg", PHOTOS[0])]
    assert report.several_people == ((PHOTOS[0], f"{other.name}/copy.jpg"),)
    told = json.loads((tmp_path / "data/report.json").read_text())
    assert told["duplicates"] == {
        "within_identity": [[PHOTOS[0], "001/copy.jpg"]],
        "across_identities": [[PHOTOS[0], f"{other.name}/copy.jpg"]],
    }


def test_people_of_one_image_are_kept_and_counted(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    (people / PHOTOS[1]).unlink()
    report = prepared_of(people, tmp_path / "data", cutter).report
    assert report.images_each.people_with == {"1": 1, "2-4": 3, "5-9": 0, "10+": 0}
    assert (report.images_each.least, report.images_each.median, report.images_each.most) == (1, 2, 2)


@pytest.mark.parametrize("kind", ["folders", "chips"])
def test_people_and_images_of_an_evaluation_set_are_left_out(
    people: Path, tmp_path: Path, cutter: ChipCutter, kind: str
) -> None:
    first, second, third, fourth = sorted(each.name for each in people.iterdir())
    evaluation = tmp_path / "evaluation"
    copytree(people / first, evaluation / first)
    (evaluation / "stranger").mkdir()
    copy(people / second / f"{second}_0001.jpg", evaluation / "stranger/x.jpg")
    if kind == "chips":
        prepared_of(evaluation, tmp_path / "evaluation data", cutter)
        evaluation = tmp_path / "evaluation data"
    report = prepared_of(people, tmp_path / "data", cutter, evaluation).report
    assert report.reasons == {"excluded_identity": 2, "excluded_image": 1}
    data = open_prepared(tmp_path / "data")
    assert set(data.identities) == {second, third, fourth}
    assert f"{second}/{second}_0001.jpg" not in data.names
    assert json.loads((tmp_path / "data/report.json").read_text())["leaks"] == {
        "against": [evaluation.name],
        "identities": [{"identity": first, "theirs": first, "evaluation": evaluation.name, "n_photos": 2}],
        "images": [{"photo": f"{second}/{second}_0001.jpg", "theirs": "stranger/x.jpg"}],
    }


def test_no_face_at_all_is_told(tmp_path: Path, cutter: ChipCutter) -> None:
    for k, person in enumerate(("ann", "bo")):
        (tmp_path / "photos" / person).mkdir(parents=True)
        Image.new("RGB", (100, 100), (k, k, k)).save(tmp_path / "photos" / person / "1.png")
    with pytest.raises(DataError, match=r"none of 2 photos gave a chip; the first is ann/1\.png: no face was found"):
        prepared_of(tmp_path / "photos", tmp_path / "data", cutter)


def test_names_that_are_no_utf_8_go_all_the_way(people: Path, tmp_path: Path, cutter: ChipCutter) -> None:
    name = os.fsdecode(b"Jos\xe9")
    (people / "001").rename(people / name)
    (people / name / os.fsdecode(b"\xff.jpg")).write_bytes(b"garbage")
    prepared_of(people, tmp_path / "data", cutter)
    data = open_prepared(tmp_path / "data")
    assert data.identities.count(name) == 2
    assert data.photo(data.identities.index(name)).path.is_file()
    assert b"Jos\xe9/\xff.jpg,not_an_image," in (tmp_path / "data/skipped.csv").read_bytes()


@pytest.mark.parametrize("harm", ["missing", "cut", "flipped", "another's"])
def test_a_shard_that_was_harmed_is_made_anew(people: Path, tmp_path: Path, cutter: ChipCutter, harm: str) -> None:
    out = tmp_path / "data"
    prepared_of(people, out, cutter)
    before, path = contents(out), shard_path(out, 0)
    data = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[:-100])
    elif harm == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        fewer = Path(copytree(people, tmp_path / "fewer"))
        rmtree(fewer / "001")
        prepared_of(fewer, tmp_path / "other", cutter)
        copy(shard_path(tmp_path / "other", 0), path)
    assert not prepared_of(people, out, cutter).was_finished
    assert contents(out) == before
