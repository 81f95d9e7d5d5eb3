"""`visavis gallery`: enrol folders, identify, list, forget, export, import; what is said of photos that are refused."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from odd_images import plain

from visavis.cli.main import main

Run = Callable[..., Result]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gallery.db"


@pytest.fixture
def gallery(url: str) -> Run:
    """Run `visavis gallery` with a store of its own."""

    def run(*words: object, status: int = 0) -> Result:
        result = CliRunner().invoke(main, ["gallery", *map(str, words)], env={"VISAVIS_GALLERY": url})
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def staff(tmp_path: Path, examples: Path) -> Path:
    """A folder of two people, one photo each."""
    folder = tmp_path / "staff"
    for person in ("001", "005"):
        (folder / person).mkdir(parents=True)
        shutil.copy(examples / f"{person}-neutral.jpg", folder / person)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_people_of_a_folder_are_enrolled_and_found_on_other_photos(gallery: Run, staff: Path, examples: Path) -> None:
    gallery("create", "staff")
    assert "staff: 2 photos of 2 people enrolled" in gallery("enrol", "staff", staff).stdout
    again = json.loads(gallery("enrol", "staff", staff, "--json").stdout)
    assert [(each["person"], each["enrolled"], each["already_there"]) for each in again["people"]] == [
        ("001", 0, 1),
        ("005", 0, 1),
    ]
    probes = [examples / f"{person}-smiling.jpg" for person in ("001", "005", "021")]
    found = json.loads(gallery("identify", "staff", *probes, "--json").stdout)
    assert [face["person"] for each in found for face in each["faces"]] == ["001", "005", None]
    assert {face["claim"]["n_templates"] for each in found for face in each["faces"]} == {2}
    told = gallery("identify", "staff", *probes).stdout
    assert "001-smiling.jpg: 001\n" in told
    assert "021-smiling.jpg: nobody in the gallery\n" in told
    assert "among 2 templates" in told


def test_a_store_or_gallery_that_is_missing_is_told_with_what_to_do(gallery: Run, staff: Path, tmp_path: Path) -> None:
    assert "visavis gallery create" in gallery("enrol", "staff", staff, status=2).stderr
    assert not (tmp_path / "gallery.db").exists()
    gallery("create", "visitors")
    for words in (("enrol", "staff", staff), ("identify", "staff", "x.jpg"), ("list", "staff"), ("stats", "staff")):
        assert "make it: visavis gallery create staff" in gallery(*words, status=2).stderr


@pytest.mark.parametrize("option", ["--fpir", "--prior"])
@pytest.mark.parametrize("value", ["0", "1", "nan", "half"])
def test_a_rate_or_prior_that_is_no_probability_is_refused(gallery: Run, option: str, value: str) -> None:
    assert f"Invalid value for '{option}'" in gallery("identify", "staff", "x.jpg", option, value, status=2).stderr


def test_refused_photos_are_named_and_leave_the_person_out_unless_they_may_be_skipped(
    gallery: Run, staff: Path, examples: Path
) -> None:
    shutil.copy(examples / "021-neutral.jpg", staff / "001" / "b-stranger.jpg")
    shutil.copy(examples / "001-smiling.jpg", staff / "001" / "c-smiling.jpg")
    (staff / "005" / "nobody.png").write_bytes(plain())
    gallery("create", "staff")
    told = gallery("enrol", "staff", staff, status=1).stdout
    assert "staff: 0 photos of 0 people enrolled" in told
    assert "2 photos refused, so 2 people are not enrolled:" in told
    assert f"{staff}/001/b-stranger.jpg: it does not show the person of the other photos" in told
    assert "photos[" not in told
    skipped = json.loads(gallery("enrol", "staff", staff, "--skip-refused", "--json", status=1).stdout)
    assert [(each["enrolled"], [bad["code"] for bad in each["refused"]]) for each in skipped["people"]] == [
        (2, ["another_person"]),
        (1, ["no_face"]),
    ]


def test_photos_of_one_person_are_enrolled_by_the_persons_id(gallery: Run, examples: Path) -> None:
    gallery("create", "staff")
    both = [examples / f"001-{mood}.jpg" for mood in ("neutral", "smiling")]
    gallery(
        "enrol", "staff", *both, "--person", "alice", "--note", "3rd floor", "--forget-at", "90d", "--consent", "12/b"
    )
    assert "is enrolled as 'alice'" in gallery("enrol", "staff", both[0], "--person", "bob", status=1).stdout
    shown = json.loads(gallery("show", "staff", "alice", "--json").stdout)
    assert (shown["note"], shown["consent"]["reference"], len(shown["templates"])) == ("3rd floor", "12/b", 2)
    assert "alice: 2 templates, to be forgotten" in gallery("list", "staff").stdout
    assert "staff: 1 people, 2 templates of 1 models" in gallery("list").stdout
    assert "up to" in gallery("stats", "staff").stdout


def test_forgetting_gives_a_receipt(gallery: Run, staff: Path, examples: Path) -> None:
    gallery("create", "staff")
    gallery("enrol", "staff", staff)
    (template,) = json.loads(gallery("show", "staff", "005", "--json").stdout)["templates"]
    gallery("forget", "staff", "005", template["id"])
    (receipt,) = json.loads(gallery("forget", "staff", "001", "--json").stdout)
    assert (receipt["kind"], receipt["n_people"], receipt["n_templates"]) == ("person", 1, 1)
    (found,) = json.loads(gallery("identify", "staff", examples / "001-smiling.jpg", "--json").stdout)
    assert found["faces"][0]["candidates"] == []
    assert "name the PERSON" in gallery("forget", "staff", status=2).stderr
    gallery("forget", "staff", "--all")
    assert gallery("list").stdout == "none\n"
    assert "nobody is to be forgotten" in gallery("expire").stdout
    assert "no byte" in gallery("erase").stdout


def test_a_gallery_is_exported_and_imported(gallery: Run, staff: Path, tmp_path: Path) -> None:
    gallery("create", "staff")
    gallery("enrol", "staff", staff)
    file = tmp_path / "staff.jsonl"
    assert "2 people with 2 templates" in gallery("export", "staff", file).stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    gallery("create", "copy")
    assert json.loads(gallery("import", "copy", file, "--json").stdout)["n_people"] == 2
    assert "2 there already" in gallery("import", "copy", file).stdout
    assert "none of an exported gallery" in gallery("import", "copy", staff / "notes.txt", status=2).stderr


def test_a_folder_that_cannot_be_read_is_told_and_nobody_is_enrolled(gallery: Run, staff: Path) -> None:
    gallery("create", "staff")
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    (staff / "021").symlink_to(f"/proc/{ended.pid}/net")  # a folder that not even root can list, until it is waited for
    for words in (("enrol", "staff", staff), ("enrol", "staff", staff / "021", "--person", "021")):
        assert "021: cannot be read: " in gallery(*words, status=2).stderr
    ended.wait()
    assert gallery("list", "staff").stdout == "none\n"


@pytest.mark.parametrize("folder", [".", "..", "/", "photos"])
def test_an_export_to_a_folder_is_refused(gallery: Run, tmp_path: Path, folder: str) -> None:
    gallery("create", "staff")
    (tmp_path / "photos").mkdir()
    with chdir(tmp_path):
        assert (
            "cannot be written: Is a directory; name another file"
            in gallery("export", "staff", folder, status=2).stderr
        )
    assert sorted(each.name for each in tmp_path.iterdir() if "gallery.db" not in each.name) == ["photos"]


def test_an_export_with_a_damaged_embedding_adds_nobody(gallery: Run, staff: Path, tmp_path: Path) -> None:
    gallery("create", "staff")
    gallery("enrol", "staff", staff)
    file = tmp_path / "staff.jsonl"
    gallery("export", "staff", file)
    first, person, *rest = file.read_text().splitlines()
    line = json.loads(person)
    whole = line["templates"][0]["embedding"]
    line["templates"][0]["embedding"] = whole[:340] + "A" * 340 + whole[680:]  # half of it was lost
    file.write_text("\n".join([first, json.dumps(line), *rest]) + "\n")
    gallery("create", "copy")
    assert "line 2 has a damaged template" in gallery("import", "copy", file, status=2).stderr
    assert gallery("list", "copy").stdout == "none\n"


def test_who_has_no_template_of_a_model_is_listed_and_enrolled_anew(gallery: Run, staff: Path) -> None:
    gallery("create", "staff")
    gallery("enrol", "staff", staff, "--model", "dlib-resnet29-128")
    shutil.rmtree(staff / "005")
    assert json.loads(gallery("migrate", "staff", "--json", status=1).stdout)["to_enrol_anew"] == ["001", "005"]
    assert gallery("migrate", "staff", status=1).stdout == "to be enrolled anew: 001\nto be enrolled anew: 005\n"
    told = gallery("migrate", "staff", staff, status=1).stdout
    assert "staff: 1 photos of 1 people enrolled" in told
    assert "to be enrolled anew: 005" in told
    assert len(json.loads(gallery("show", "staff", "001", "--json").stdout)["templates"]) == 2


def test_a_migration_with_nothing_to_do_says_so(gallery: Run, staff: Path) -> None:
    gallery("create", "staff")
    gallery("enrol", "staff", staff)
    for folder in ((), (staff,)):
        assert gallery("migrate", "staff", *folder).stdout == "staff: nobody has to be enrolled anew\n"


def test_a_folder_that_does_not_say_who_is_on_a_photo_is_refused(gallery: Run, staff: Path, examples: Path) -> None:
    gallery("create", "staff")
    shutil.copy(examples / "021-neutral.jpg", staff)
    assert "is not in a folder of a person" in gallery("enrol", "staff", staff, status=2).stderr
    assert "name the --person" in gallery("enrol", "staff", examples / "021-neutral.jpg", status=2).stderr


def test_the_schema_is_upgraded_by_a_command(gallery: Run) -> None:
    gallery("create", "staff")
    assert gallery("upgrade").stdout.startswith("schema 0001")


def test_options_of_a_sqlite_store_are_refused(gallery: Run, url: str) -> None:
    gallery("create", "staff")
    assert "and nothing else" in gallery("list", "--store", f"{url}?mode=ro", status=2).stderr


def test_a_list_of_people_is_one_json_array(gallery: Run, staff: Path) -> None:
    gallery("create", "staff")
    assert json.loads(gallery("list", "staff", "--json").stdout) == []
    assert gallery("list", "staff").stdout == "none\n"
    gallery("enrol", "staff", staff)
    assert [each["person"] for each in json.loads(gallery("list", "staff", "--json").stdout)] == ["001", "005"]
