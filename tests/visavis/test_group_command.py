"""`visavis group`: photos of four people become four people, in private files, and again without any work."""

import csv
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bulk_photos import make_photos
from odd_images import plain, two_faces
from PIL import Image

VISAVIS = Path(sys.executable).parent / "visavis"
TOGETHER = "together.jpg"  # a photo of two of the people
Told = subprocess.CompletedProcess[str]


def group(*words: object) -> Told:
    return subprocess.run([VISAVIS, "group", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def photos(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 photos of four people in folders of theirs, one of two of them together, a broken one and an empty one."""
    folder = make_photos(examples, tmp_path_factory.mktemp("group") / "photos")
    (folder / TOGETHER).write_bytes(two_faces())
    return folder


@pytest.fixture(scope="module")
def out(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grouped") / "out"
    told = group(photos, "--out", folder, "--links")
    assert told.returncode == 0, told.stderr
    assert "18 faces on 19 photos: 4 people, 4 with several faces" in told.stdout
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_faces_of_each_person_are_together_and_those_of_two_people_are_not(out: Path) -> None:
    folders: dict[str, set[str]] = {}
    for row in rows(out / "faces.csv"):
        if row["photo"] != TOGETHER:
            folders.setdefault(row["person"], set()).add(row["photo"].partition("/")[0])
    assert sorted(folders) == ["1", "2", "3", "4"]
    assert all(len(people) == 1 for people in folders.values())
    assert len(set.union(*folders.values())) == 4


def test_two_faces_of_one_photo_are_two_people(out: Path) -> None:
    one, other = (row for row in rows(out / "faces.csv") if row["photo"] == TOGETHER)
    assert (one["face"], other["face"]) == ("0", "1")
    assert one["person"] != other["person"]


def test_a_face_has_its_box_and_its_distance_to_the_others_of_the_person(out: Path, photos: Path) -> None:
    for row in rows(out / "faces.csv"):
        with Image.open(photos / row["photo"]) as photo:
            width, height = photo.size
        assert -10 < float(row["x"]) < float(row["x"]) + float(row["width"]) < width + 10
        assert -10 < float(row["y"]) < float(row["y"]) + float(row["height"]) < height + 10
        assert 0 <= float(row["distance"]) < 1


def test_people_are_told_with_the_most_faces_first(out: Path) -> None:
    people = rows(out / "people.csv")
    assert [(row["person"], row["faces"]) for row in people] == [("1", "5"), ("2", "5"), ("3", "4"), ("4", "4")]


def test_the_links_of_a_person_lead_to_the_photos(out: Path, photos: Path) -> None:
    folders = sorted((out / "people").iterdir())
    assert [folder.name for folder in folders] == ["00001", "00002", "00003", "00004"]
    of_person = [{row["photo"] for row in rows(out / "faces.csv") if row["person"] == str(k)} for k in (1, 2, 3, 4)]
    for folder, named in zip(folders, of_person, strict=True):
        assert {str(link.resolve().relative_to(photos.resolve())) for link in folder.iterdir()} == named


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_symlink())


def test_all_that_is_written_is_for_its_owner_alone(out: Path) -> None:
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for path in files_below(out):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def test_the_page_shows_each_face_in_both_languages_and_fetches_nothing_else(out: Path) -> None:
    page = (out / "index.html").read_text(encoding="utf-8")
    thumbnails = {path.name for path in (out / "thumbnails").iterdir()}
    assert len(thumbnails) == 18
    assert all(f'src="thumbnails/{name}"' in page for name in thumbnails)
    assert page.count("<section") == 4
    assert page.count('<span lang="en">') == page.count('<span lang="zh">') >= 8
    assert "http" not in page.replace('http-equiv="', "")
    assert "<script" not in page


def test_a_thumbnail_shows_the_face(out: Path) -> None:
    for path in (out / "thumbnails").iterdir():
        with Image.open(path) as thumbnail:
            assert thumbnail.size == (112, 112)


def test_the_same_again_does_no_work_and_changes_nothing(out: Path, photos: Path) -> None:
    before = {path: path.read_bytes() for path in files_below(out) if path.is_file()}
    told = group(photos, "--out", out, "--links", "--json")
    assert told.returncode == 0, told.stderr
    assert "embedding" not in told.stderr
    assert {path: path.read_bytes() for path in files_below(out) if path.is_file()} == before
    record = json.loads(told.stdout)
    assert (record["photos"], record["faces"], record["people"], record["too_poor"]) == (19, 18, 4, 0)
    assert record["failed"] == {"not_an_image": 1, "no_face": 1}
    assert record["comparisons"] == 18 * 17 // 2
    assert record["wrong_links_expected"] == pytest.approx(record["fmr"] * record["comparisons"])


def test_a_stricter_rate_leaves_more_people(out: Path, photos: Path, tmp_path: Path) -> None:
    again = shutil.copytree(out, tmp_path / "again", symlinks=True)
    record = json.loads(group(photos, "--out", again, "--fmr", "1e-6", "--json").stdout)
    looser = json.loads(group(photos, "--out", again, "--fmr", "1e-3", "--json").stdout)
    assert record["fmr"] == 1e-6
    assert record["threshold"] < looser["threshold"]
    assert record["people"] >= looser["people"]


def test_a_rate_that_the_card_does_not_carry_is_refused_before_photos_are_read(photos: Path, tmp_path: Path) -> None:
    told = group(photos, "--out", tmp_path / "out", "--fmr", "1e-9")
    assert (told.returncode, told.stdout) == (2, "")
    assert "does not carry an FMR of 1e-09" in told.stderr
    assert not (tmp_path / "out").exists()


def test_an_out_inside_the_photos_is_refused(photos: Path) -> None:
    told = group(photos, "--out", photos / "out")
    assert told.returncode == 2
    assert "is inside the folder of photos" in told.stderr
    assert not (photos / "out").exists()


def test_a_folder_with_other_files_is_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    told = group(photos, "--out", tmp_path)
    assert told.returncode == 2
    assert "choose a new folder as --out" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


@pytest.fixture(scope="module")
def store(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with the gallery `staff`, in which one of the four people is enrolled, and the empty gallery `new`."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'gallery.db'}"
    for words in (
        ("create", "staff"),
        ("create", "new"),
        ("enrol", "staff", examples / "001-neutral.jpg", "--person", "p/1"),
    ):
        subprocess.run([VISAVIS, "gallery", *map(str, words), "--store", url], capture_output=True, check=True)
    return url


def test_a_person_whom_a_gallery_identifies_has_the_name_of_its_person(
    out: Path, photos: Path, store: str, tmp_path: Path
) -> None:
    again = shutil.copytree(out, tmp_path / "again", symlinks=True)
    told = group(photos, "--out", again, "--links", "--gallery", "staff", "--store", store, "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["people_named"] == 1
    named = {row["photo"].partition("/")[0] for row in rows(again / "faces.csv") if row["name"] == "p/1"}
    others = {row["photo"].partition("/")[0] for row in rows(again / "faces.csv") if not row["name"]}
    (person,) = named - {TOGETHER}
    assert person.startswith("001")
    assert len(others - {TOGETHER}) == 3
    assert person not in others
    assert [row["name"] for row in rows(again / "people.csv")].count("p/1") == 1
    assert sum(folder.name.endswith(" p_1") for folder in (again / "people").iterdir()) == 1
    assert "p/1" in (again / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("gallery", "reason"), [("new", "has no template of this model"), ("other", "there is no gallery 'other'")]
)
def test_a_gallery_that_can_name_nobody_is_refused_before_photos_are_read(
    gallery: str, reason: str, photos: Path, store: str, tmp_path: Path
) -> None:
    told = group(photos, "--out", tmp_path / "out", "--gallery", gallery, "--store", store)
    assert (told.returncode, told.stdout) == (2, "")
    assert reason in told.stderr
    assert not (tmp_path / "out").exists()


def test_photos_without_any_face_are_grouped_into_nobody(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "plain.png").write_bytes(plain())
    told = group(tmp_path / "photos", "--out", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    assert "0 faces on 1 photos: 0 people" in told.stdout
    assert rows(tmp_path / "out" / "faces.csv") == rows(tmp_path / "out" / "people.csv") == []


def test_a_gallery_without_its_store_is_refused(photos: Path, tmp_path: Path) -> None:
    told = group(photos, "--out", tmp_path / "out", "--gallery", "staff")
    assert told.returncode == 2
    assert "--gallery needs its store" in told.stderr


def test_a_store_without_a_gallery_is_refused(photos: Path, store: str, tmp_path: Path) -> None:
    told = group(photos, "--out", tmp_path / "out", "--store", store)
    assert told.returncode == 2
    assert "--store is of use with --gallery NAME only" in told.stderr
    assert not (tmp_path / "out").exists()
