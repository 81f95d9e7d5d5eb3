"""`visavis prepare` as a program: what it tells, and what is left of it when it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from embedder import FaceEmbedder
from train import LabelsError
from train.data import preparing
from train.data.prepared import open_prepared
from train.data.shard import shard_path
from train.errors import DataError
from visavis.cli.main import main
from visavis.cli.prepare import _labels_in_doubt

SIZE = 3  # photos in a shard
SMALL_SHARDS = """
import resource
import train.evaluation.parallel, train.data.preparing
from visavis.cli.main import main
train.evaluation.parallel.BATCH, train.data.preparing.SIZE = 1, {size}
{first}
main()
"""
FULL_DISK = "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))"  # no file may grow beyond


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


def command(*arguments: object, first: str = "") -> list[str]:
    return [sys.executable, "-c", SMALL_SHARDS.format(size=SIZE, first=first), "prepare", *map(str, arguments)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def many(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people with four photos each, and one that is none."""
    folder = tmp_path_factory.mktemp("many")
    for photo in sorted(examples.glob("*.jpg")):
        person = folder / photo.name.split("-", maxsplit=1)[0]
        person.mkdir(exist_ok=True)
        for side in (140, 180):
            Image.open(photo).resize((side, side)).save(person / f"{photo.stem}-{side}.jpg", quality=95)
    (person / "broken.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def unbroken(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "SIZE", SIZE)
        told = visavis(many, "--out", out)
    assert told.exit_code == 0, told.output
    assert "finding faces in 17 photos" in told.stderr
    return out


@pytest.fixture
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "SIZE", SIZE)


@pytest.mark.usefixtures("_small_shards")
def test_killed_in_the_middle_it_goes_on_and_ends_in_the_same_bytes(many: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    process = subprocess.Popen(command(many, "--out", out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and not shard_path(out, 1).exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.glob("shard-*.safetensors")}
    assert 2 <= len(kept) < 6
    with pytest.raises(DataError, match="is not finished"):
        open_prepared(out)
    told = visavis(many, "--out", out)
    assert told.exit_code == 0, told.output
    assert f"finding faces in {17 - SIZE * len(kept)} photos" in told.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert contents(out) == contents(unbroken)


def test_what_one_runtime_began_no_other_ends(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    full = command(many, "--out", out, "--runtime", "torch", first=FULL_DISK)
    assert subprocess.run(full, capture_output=True, check=False).returncode == 2
    told = visavis(many, "--out", out)
    assert told.exit_code == 2
    assert "runtime was torch f32 cpu, is openvino f32" in told.stderr


def test_chips_of_several_shards_are_read_across_them(unbroken: Path) -> None:
    data = open_prepared(unbroken)
    assert len(data.starts) == 6
    chips = data.chips(range(16))
    for k in (15, 0, 11, 3, 2):
        assert (data.chips([k])[0] == chips[k]).all()


@pytest.mark.usefixtures("_small_shards")
def test_no_space_is_told_and_nothing_half_written_is_left(many: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # it writes too
    arguments = command(many, "--out", out, first=FULL_DISK)
    full = subprocess.run(arguments, capture_output=True, text=True, check=False, env=unmeasured)
    assert full.returncode == 2
    assert (
        "shard-00000.safetensors: cannot be written: File too large; free disk space or choose another --out"
        in full.stderr
    )
    assert "Traceback" not in full.stderr
    assert list(contents(out)) == ["data.json"]
    assert visavis(many, "--out", out).exit_code == 0
    assert contents(out) == contents(unbroken)


def test_a_folder_that_cannot_be_written_is_told_before_faces_are_sought(people: Path) -> None:
    told = visavis(people, "--out", "/dev/null/data")
    assert told.exit_code == 2
    assert "/dev/null/data: cannot be " in told.stderr
    assert "finding faces" not in told.stderr


def test_the_report_is_told_in_words(people: Path, tmp_path: Path) -> None:
    (people / "001/broken.jpg").write_bytes(b"broken")
    first = visavis(people, "--out", tmp_path / "data")
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines() == [
        f"{tmp_path}/data: 8 chips of 4 people, from 9 photos",
        "  chips per person: 2 to 2, median 2",
        "  people by chips: 1: 0, 2-4: 4, 5-9: 0, 10+: 0",
        "  skipped: 1 (not_an_image 1); see skipped.csv",
        "  labels in doubt: 0",
        f"  digest: {open_prepared(tmp_path / 'data').digest}",
    ]
    second = visavis(people, "--out", tmp_path / "data", "--json")
    assert "is prepared already; nothing was changed" in second.stderr
    report = json.loads((tmp_path / "data/report.json").read_text())
    assert json.loads(second.stdout) == report | {"labels_in_doubt": []}


def test_labels_are_checked_once_and_the_surest_findings_told(people: Path, tmp_path: Path) -> None:
    names = sorted(each.name for each in people.iterdir())
    twice = f"{names[1]}/{names[0]}_0003.jpg"
    Image.open(people / names[0] / f"{names[0]}_0001.jpg").save(people / twice, quality=60)
    first = visavis(people, "--out", tmp_path / "data")
    assert first.exit_code == 0, first.output
    advice = f"{twice} seems to show {names[0]}: put it there, or remove it"
    assert first.stdout.splitlines()[4:-1] == ["  labels in doubt: 1; see labels.html and labels.csv", f"    {advice}"]
    for name in ("labels.csv", "labels.html"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    second = visavis(people, "--out", tmp_path / "data", "--json")
    assert "embedding" in first.stderr
    assert "embedding" not in second.stderr
    assert json.loads(second.stdout)["labels_in_doubt"] == [advice]


def test_labels_are_not_checked_with_a_model_that_was_not_calibrated(
    people: Path, small_chips: Path, tmp_path: Path
) -> None:
    told = visavis(people, "--out", tmp_path / "data", "--model", small_chips)
    assert told.exit_code == 0, told.output
    assert "  labels: not checked, because the model's card does not say what a distance proves" in told.stdout
    assert not (tmp_path / "data/labels.csv").exists()


def test_leaks_and_doubles_are_told_in_words(people: Path, tmp_path: Path) -> None:
    first, second, third, _ = sorted(each.name for each in people.iterdir())
    (people / first / "again.jpg").write_bytes((people / first / f"{first}_0001.jpg").read_bytes())
    (people / second / "other.jpg").write_bytes((people / first / f"{first}_0001.jpg").read_bytes())
    evaluation = tmp_path / "evaluation"
    for name, photo in ((third, f"{first}/{first}_0002.jpg"), ("stranger", f"{second}/{second}_0001.jpg")):
        (evaluation / name).mkdir(parents=True)
        (evaluation / name / "1.jpg").write_bytes((people / photo).read_bytes())
    told = visavis(people, "--out", tmp_path / "data", "--exclude", evaluation)
    assert told.exit_code == 0, told.output
    photo = f"{first}/{first}_0001.jpg"
    assert told.stdout.splitlines()[3:-3] == [
        "  skipped: 5 (excluded_identity 2, excluded_image 2, duplicate 1); see skipped.csv",
        f"  the same image twice under one person, left out: 1 ({first}/again.jpg = {photo})",
        f"  the same image under several people, kept; a label must be wrong: 1 ({photo} = {second}/other.jpg)",
        f"  people in evaluation too, left out: 1 ({third} (2 photos))",
        f"  images in evaluation too, left out: 2 ({first}/{first}_0002.jpg, {second}/{second}_0001.jpg)",
    ]


def test_an_evaluation_set_with_nothing_in_common_is_told(people: Path, tmp_path: Path) -> None:
    evaluation = tmp_path / "evaluation"
    for color in ("red", "blue"):
        (evaluation / color).mkdir(parents=True)
        Image.new("RGB", (9, 9), color).save(evaluation / color / "1.png")
    told = visavis(people, "--out", tmp_path / "data", "--exclude", evaluation)
    assert "  in common with evaluation: no people and no images" in told.stdout.splitlines()


def test_names_that_are_no_utf_8_can_be_told(people: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"Jos\xe9")
    (people / name).mkdir()
    (people / name / "1.jpg").write_bytes(b"garbage")
    for more in ([], ["--json"]):
        told = visavis(people, "--out", tmp_path / "data", *more)
        assert told.exit_code == 0, told.output
        assert r"Jos\udce9" in told.stdout


def test_a_csv_may_be_prepared(people: Path, tmp_path: Path) -> None:
    photos = sorted(people.rglob("*.jpg"))[:4]
    rows = [f"{photo.relative_to(people)},{photo.parent.name}" for photo in photos]
    (tmp_path / "list.csv").write_text("\n".join(["image,identity", *rows]))
    told = visavis(tmp_path / "list.csv", "--images", people, "--out", tmp_path / "data", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["chips"] == 4
    assert open_prepared(tmp_path / "data").photo(0).path == photos[0]


def test_images_without_a_csv_are_wrong_usage(people: Path, tmp_path: Path) -> None:
    told = visavis(people, "--images", people, "--out", tmp_path / "data")
    assert told.exit_code == 2
    assert "--images needs FILE.csv" in told.stderr


def test_an_evaluation_photo_that_cannot_be_read_is_refused(people: Path, tmp_path: Path) -> None:
    big = people / "001/big.png"
    big.write_bytes(b"\0" * (20 * 2**20 + 1))
    told = visavis(people, "--out", tmp_path / "data", "--exclude", people)
    assert told.exit_code == 2
    assert "001/big.png: the image has 20,971,521 bytes" in told.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("damage", ["pipe", "other columns"])
def test_a_damaged_list_of_labels_is_told_in_one_line(damage: str, tmp_path: Path, embedder: FaceEmbedder) -> None:
    if damage == "pipe":
        os.mkfifo(tmp_path / "labels.csv")
    else:
        (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LabelsError, match=r"labels\.csv: cannot be read .*remove it, and run this again"):
        _labels_in_doubt(tmp_path, embedder)
