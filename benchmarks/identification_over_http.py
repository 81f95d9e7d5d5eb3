"""Speed and memory of identification over HTTP, with galleries of 1,000, 100,000 and 1,000,000 templates.

Usage: python benchmarks/identification_over_http.py --data DIR [--seconds S] [--sizes N ...]. DIR contains lfw-view1
as described in CONTRIBUTING.md. The templates are embeddings of real faces with noise added, TEMPLATES a person, in a
SQLite file. One client identifies photos by `visavis serve`, in turns with verifications of the same photos, which say
what finding and embedding a face costs. A claim for a million templates is as strict as the card carries.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx2
import numpy as np
from identification_speed import SIZES, around, real_faces
from running_service import running_service

from embedder import ModelCard, Quality, read_bundle
from gallery import NewTemplate, Store, open_store, strictest_fpir

TEMPLATES = 100  # of a person
QUALITY = Quality(60, 0.7, 0, 128, 50, 0, 0, 1, 1, 1)
GALLERY = "benchmark"
N_PHOTOS = 50
PATIENCE_S = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=20, help="Of requests at each size.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    lfw = given.data / "lfw-view1" / "lfw"
    photos = [path.read_bytes() for path in sorted(lfw.glob("*/*_0001.jpg"))[-N_PHOTOS:]]
    faces, card = real_faces(lfw), read_bundle().card
    with TemporaryDirectory() as folder:
        address = f"sqlite:///{folder}/gallery.db"
        with open_store(address) as store:
            store.create_gallery(GALLERY)
        n_templates = 0
        for size in sorted(given.sizes):
            with open_store(address) as store:
                fill(store, n_templates, size, faces, card.digest)
            n_templates = size
            measure(address, size, photos, card, given.seconds)


def fill(store: Store, begin: int, end: int, faces: np.ndarray, digest: str) -> None:
    """Bring the gallery from `begin` to `end` templates."""
    generator = np.random.default_rng(begin)
    for start in range(begin, end, TEMPLATES):
        vectors = around(faces, TEMPLATES, generator)
        store.add_templates(GALLERY, f"p-{start}", [NewTemplate(each, QUALITY, digest) for each in vectors])


def measure(address: str, size: int, photos: Sequence[bytes], card: ModelCard, seconds: float) -> None:
    """Serve the gallery, and print what requests take."""
    fpir = max(1e-2, strictest_fpir(card, size) or 1)
    started = perf_counter()
    with running_service("--gallery", address) as service, httpx2.Client(timeout=PATIENCE_S) as client:
        ready_s = perf_counter() - started
        identify = timed_post(client, f"http://{service.host}/v1/galleries/{GALLERY}/identify?face=center&fpir={fpir}")
        verify = timed_post(client, f"http://{service.host}/v1/verify?face=center&quality=ignore")
        first_s = identify({"probe": photos[0]})
        times: dict[str, list[float]] = {"identify": [], "verify": []}
        end = perf_counter() + seconds
        for photo in cycle(photos):
            times["identify"].append(identify({"probe": photo}))
            times["verify"].append(verify({"probe": photo, "reference": photo}))
            if perf_counter() > end:
                break
        p50, p99 = np.quantile(times["identify"], [0.5, 0.99]).tolist()
        print(
            f"{size:,} templates: p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f} ms over {len(times['identify']):,} "
            f"requests (verify, of two photos: {1e3 * np.median(times['verify']):.1f} ms); ready after {ready_s:.1f} "
            f"s, first answer {first_s:.2f} s later; memory of the service {service.memory_mib():,.0f} MiB",
            flush=True,
        )


def timed_post(client: httpx2.Client, url: str) -> Callable[[dict[str, bytes]], float]:
    """Return a function that sends photos as a form and returns the seconds until the answer."""

    def post(files: dict[str, bytes]) -> float:
        begun = perf_counter()
        answer = client.post(url, files=files)
        seconds = perf_counter() - begun
        answer.raise_for_status()
        return seconds

    return post


if __name__ == "__main__":
    main()
