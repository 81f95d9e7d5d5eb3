"""The time of one request for every face of a photo, beside that of one request for one of its faces.

Usage: python benchmarks/every_face.py [--data DIR] [--rounds N]. The photo shows 30 faces on 12 megapixels, drawn from
examples/faces; with --data, the photo of DIR/groups with the most faces is measured as well. The service runs in this
process, behind a real socket. The kinds of request take turns, and each time is a median. The limit for all 30 faces is
3 times one face.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx2
from live_service import served
from PIL import Image

from embedder import load
from service.app import create_app
from service.settings import Settings

FACES = Path(__file__).parent.parent / "examples" / "faces"
COLUMNS, ROWS, CELL_PX = 6, 5, (666, 600)
LIMIT = 3.0
STAGES = ("decode", "detect", "embed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    with service() as client:
        measure(client, "30 faces on 12 megapixels", crowd(), asked.rounds)
        if asked.data is not None:
            photos = [path.read_bytes() for path in sorted((asked.data / "groups").glob("*.jpg"))]
            most = max(photos, key=lambda photo: len(request(client, photo, "all")["faces"]))
            measure(client, "group photo", most, asked.rounds)


@contextmanager
def service() -> Iterator[httpx2.Client]:
    with (
        load() as embedder,
        served(create_app(Settings(), embedder)) as url,
        httpx2.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def crowd() -> bytes:
    """A photo of 30 faces, as a phone stores it."""
    photos = [Image.open(path).resize(CELL_PX) for path in sorted(FACES.glob("*.jpg"))]
    picture = Image.new("RGB", (COLUMNS * CELL_PX[0], ROWS * CELL_PX[1]))
    for place in range(COLUMNS * ROWS):
        corner = place % COLUMNS * CELL_PX[0], place // COLUMNS * CELL_PX[1]
        picture.paste(photos[place % len(photos)], corner)
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(client: httpx2.Client, name: str, photo: bytes, n_rounds: int) -> None:
    seconds: dict[str, list[float]] = {"0": [], "all": []}  # by `face`: the largest alone, and all
    for number in range(n_rounds + 1):
        for face, taken in seconds.items():
            begun = time.perf_counter()
            answer = request(client, photo, face)
            if number:  # the first round compiles networks
                taken.append(time.perf_counter() - begun)
    one, every = (statistics.median(taken) for taken in seconds.values())
    n_faces, ratio = len(answer["faces"]), every / one
    stages = ", ".join(f"{stage} {answer['timings_ms'][stage]:.0f}" for stage in STAGES)
    print(f"{name}: {n_faces} faces; one {1000 * one:.0f} ms, all {1000 * every:.0f} ms ({stages})")
    held = "held" if ratio <= LIMIT else "MISSED"
    print(f"    all take {ratio:.2f} times one (limit {LIMIT:g}: {held}); as one request each {n_faces:.0f} times one")


def request(client: httpx2.Client, photo: bytes, face: str) -> dict:
    answer = client.post("/v1/embeddings", files={"image": photo}, data={"face": face})
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    main()
