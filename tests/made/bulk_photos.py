"""Folders of photos for bulk runs, and a bulk run in small blocks as a program of its own."""

import shutil
import sys
from pathlib import Path

from PIL import Image

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
