"""A bulk run among odd files, and with a process that is taken from it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from bulk_photos import bulk, make_photos
from PIL import Image
from pyarrow import parquet

from embedder.bulk.parts import part_path


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


def test_a_process_that_is_killed_ends_the_run_with_the_reason_and_what_is_done_is_kept(
    tmp_path: Path, examples: Path
) -> None:
    photos, out = make_photos(examples, tmp_path / "photos"), tmp_path / "out"
    with subprocess.Popen(bulk(photos, "--out", out), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not part_path(out, 0).exists():
            time.sleep(0.001)
        os.kill(_a_worker_of(process.pid), signal.SIGKILL)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "run it again: completed work is kept" in told
    assert "Traceback" not in told
    assert run(photos, out).returncode == 0
    assert parquet.read_table(out).num_rows == 16


def _a_worker_of(pid: int) -> int:
    """The youngest process that this one started; the oldest is multiprocessing's own."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[-1])
