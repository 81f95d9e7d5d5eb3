"""Folders of photos for bulk runs, bulk runs in small blocks as programs of their own, and what they wrote."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pyarrow import parquet

from embedder.bulk import PhotoSource
from embedder.bulk.sources import name_of

BLOCK, BATCH = 4, 2  # photos in a part, and to a process at a time
SMALL_BLOCKS = f"""
import signal
import embedder.bulk.run as run
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts without it
run.BLOCK, run.BATCH = {BLOCK}, {BATCH}
from visavis.cli.main import main
main()
"""


Told = subprocess.CompletedProcess[str]


def bulk(*words: object) -> list[str]:
    """`visavis embed` in small blocks."""
    return [sys.executable, "-c", SMALL_BLOCKS, "embed", *map(str, words)]


def make_photos(examples: Path, folder: Path) -> Path:
    """16 photos of four people in folders of theirs, one file that is no image, and one image without a face."""
    for photo in sorted(examples.glob("*.jpg")):
        person = folder / photo.stem.partition("-")[0]
        person.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, person)
        Image.open(photo).resize((200, 200)).save(person / f"{photo.stem}-small.png")
    (folder / "005" / "broken.jpg").write_bytes(b"broken")
    Image.new("RGB", (120, 120), "grey").save(folder / "021" / "nobody.png")
    return folder


def touched_photos(folder: Path, n: int) -> Path:
    """Empty files that are photos by name."""
    folder.mkdir()
    for number in range(n):
        (folder / f"{number}.jpg").touch()
    return folder


def run(*words: object) -> Told:
    return subprocess.run(bulk(*words), capture_output=True, text=True, check=False)


def rows_of(out: Path) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = parquet.read_table(out).to_pydict()
    return columns


def failed_in(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for path in sorted(out.glob("_failed-*")) for line in path.read_text().splitlines()]


def same_but_for(before: Path, after: Path) -> None:
    """The same names, rows and failures, embeddings within 1e-5."""
    assert sorted(path.name for path in before.iterdir()) == sorted(path.name for path in after.iterdir())
    ours, theirs = rows_of(before), rows_of(after)
    assert ours["path"] == theirs["path"]
    assert np.abs(np.array(ours["embedding"]) - np.array(theirs["embedding"])).max() <= 1e-5
    assert failed_in(before) == failed_in(after)


def stopped_when(is_time: Callable[[], bool], how: signal.Signals, *words: object) -> Told:
    """Start a run, and send it a signal when it is time; it must not have ended before."""
    with subprocess.Popen(
        bulk(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while process.poll() is None and not is_time():
            time.sleep(0.001)
        process.send_signal(how)
        stdout, stderr = process.communicate(timeout=60)
    return Told(process.args, process.returncode, stdout, stderr)


def read_all(source: PhotoSource) -> dict[str, bytes | Exception]:
    """What a worker reads: photos, or why it cannot."""
    entries = list(source.names())
    found: dict[str, bytes | Exception] = {}
    for entry, read in zip(entries, source.read(entries), strict=True):
        try:
            found[name_of(entry)] = read()
        except Exception as error:  # noqa: BLE001 - that is what is asked
            found[name_of(entry)] = error
    assert len(found) == len(entries)
    return found
