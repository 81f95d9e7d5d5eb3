"""A bulk run among odd files, and with a process that is taken from it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bulk_photos import bulk, make_photos
from child_processes import children
from PIL import Image
from pyarrow import parquet

from embedder.bulk import LocalFolder, LocalPhotos, read_faces
from embedder.bulk.parts import done_part, failed_name, part_name, sums_name
from embedder.bulk.sources import name_of

EXAMPLES = Path(__file__).parents[2] / "examples" / "faces"


def run(photos: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(bulk(photos, "--out", out), capture_output=True, text=True, check=False, timeout=120)


def test_files_that_are_none_or_gone_or_too_large_are_listed_and_not_waited_for(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    os.mkfifo(photos / "pipe.jpg")
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with (photos / "huge.jpg").open("wb") as file:
        file.truncate(2**40)
    (photos / "empty.jpg").touch()
    Image.new("RGB", (20, 20)).save(photos / "small.png")
    assert run(photos, out).returncode == 0
    failed = [json.loads(line) for line in (out / "_failed-00000.jsonl").read_text().splitlines()]
    failed += [json.loads(line) for line in (out / "_failed-00001.jsonl").read_text().splitlines()]
    assert {each["name"]: each["code"] for each in failed} == {
        "pipe.jpg": "not_readable",
        "gone.jpg": "not_readable",
        "huge.jpg": "image_too_large",
        "empty.jpg": "not_an_image",
        "small.png": "no_face",
    }


def test_names_of_any_bytes_are_kept_apart(tmp_path: Path, examples: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    content = (examples / "001-neutral.jpg").read_bytes()
    for name in (b"latin-\xe9.jpg", "utf-\u00e9.jpg".encode(), b"two\nlines.jpg"):
        Path(os.fsdecode(os.fsencode(photos) + b"/" + name)).write_bytes(content)
    told = run(photos, out)
    assert told.returncode == 0, told.stderr
    paths = parquet.read_table(out)["path"].to_pylist()
    assert sorted(paths) == ["latin-\\xe9.jpg", "two\nlines.jpg", "utf-\u00e9.jpg"]
    read = read_faces(LocalFolder(out))
    assert sorted(face.photo for face in read.faces) == [0, 1, 2]
    assert {(photos / name).read_bytes() for name in read.photos} == {content}  # by names that can be opened


def test_a_process_that_is_killed_ends_the_run_with_the_reason_and_what_is_done_is_kept(
    tmp_path: Path, examples: Path
) -> None:
    photos, out = make_photos(examples, tmp_path / "photos"), tmp_path / "out"
    with subprocess.Popen(bulk(photos, "--out", out), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (out / part_name(0)).exists():
            time.sleep(0.001)
        os.kill(_a_worker_of(process.pid), signal.SIGKILL)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "run it again: completed work is kept" in told
    assert "Traceback" not in told
    assert re.search(rf"the photo in line [0-9]+ of {re.escape(str(out))}/_photos\.jsonl;", told)
    assert not [name for name in map(name_of, LocalPhotos.of([photos]).names()) if name in told]
    assert run(photos, out).returncode == 0
    assert parquet.read_table(out).num_rows == 16


def test_a_process_that_is_killed_while_it_reads_the_model_is_told_in_a_line(tmp_path: Path, examples: Path) -> None:
    photos, out = make_photos(examples, tmp_path / "photos"), tmp_path / "out"
    with subprocess.Popen(bulk(photos, "--out", out), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(children(process.pid)) < 2:  # multiprocessing's own, and that one
            time.sleep(0.001)
        os.kill(_a_worker_of(process.pid), signal.SIGKILL)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert told.startswith("visavis: the process that reads the model was killed")
    assert not out.exists() or not any(out.iterdir())


def _a_worker_of(pid: int) -> int:
    """The youngest process that this one started; the oldest is multiprocessing's own."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[-1])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The photos and the output of a finished run."""
    photos, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("out")
    shutil.copy(EXAMPLES / "001-neutral.jpg", photos)
    (photos / "empty.jpg").touch()
    assert run(photos, out).returncode == 0
    return photos, out


@pytest.mark.parametrize("damage", [flipped, piped, emptied])
@pytest.mark.parametrize("name", [part_name(0), failed_name(0), sums_name(0)])
def test_a_damaged_part_is_not_done(
    name: str, damage: Callable[[Path], None], finished: tuple[Path, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished[1], tmp_path / "out"))
    assert done_part(LocalFolder(out), 0)
    damage(out / name)
    assert not done_part(LocalFolder(out), 0)


def test_damaged_parts_are_told_and_made_again(finished: tuple[Path, Path], tmp_path: Path) -> None:
    photos, out = finished[0], Path(shutil.copytree(finished[1], tmp_path / "out"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    flipped(out / part_name(0))
    piped(out / failed_name(0))
    told = run(photos, out)
    assert told.returncode == 0
    assert "1 parts of an earlier run were damaged or changed, and made again" in told.stdout
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("content", ["[" * 10**6, '{"n_photos": "many"}'], ids=["deep", "wrong type"])
def test_a_damaged_manifest_is_told_in_one_line(content: str, tmp_path: Path, examples: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "_run.json").write_text(content)
    told = run(examples / "001-neutral.jpg", out)
    assert told.returncode == 2
    assert [line for line in told.stderr.splitlines() if "not a readable description of a run" in line]
    assert "Traceback" not in told.stderr


def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path: Path, examples: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / "_run.json")
    assert "not a readable description of a run" in run(examples / "001-neutral.jpg", out).stderr
