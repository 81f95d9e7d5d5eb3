"""LFW View 1, end to end: accuracy at the card's threshold and at the best one of DevTrain; failures to acquire.

Usage: python benchmarks/lfw_view1.py --data DIR (DIR holds lfw-view1/). A failure to acquire counts as an error.
Then the same DevTest photos once more, each cut to its detected face box, and to 0.9 of it: the tight crops that many
users send.
"""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from embedder import FaceEmbedder, NoFace, load

CROPS = (1.0, 0.9)  # of the face box's width and height


@dataclass(frozen=True)
class Pair:
    probe: Path
    reference: Path
    same: bool


def read_pairs(folder: Path, name: str) -> list[Pair]:
    lines = (folder / name).read_text().splitlines()[1:]
    return [_pair(folder / "lfw", line.split()) for line in lines if line.strip()]


def _pair(photos: Path, words: list[str]) -> Pair:
    first, i, *rest = words
    second, j = (first, rest[0]) if len(rest) == 1 else (rest[0], rest[1])
    return Pair(_photo(photos, first, i), _photo(photos, second, j), second == first)


def _photo(photos: Path, person: str, number: str) -> Path:
    return photos / person / f"{person}_{int(number):04}.jpg"


def embed(embedder: FaceEmbedder, path: Path, crop: float | None) -> np.ndarray | None:
    """The embedding of the face nearest the centre, or None where none is found."""
    data = path.read_bytes() if crop is None else tight_crop(embedder, path, crop)
    try:
        return embedder.embed(data, face="center").vector
    except NoFace:
        return None


def tight_crop(embedder: FaceEmbedder, path: Path, share: float) -> bytes:
    """The photo cut to `share` of the box of its central face; the whole photo where no face is found."""
    data = path.read_bytes()
    try:
        box = embedder.embed(data, face="center").sample.face.box
    except NoFace:
        return data
    (x, y), width, height = box.center, box.width * share / 2, box.height * share / 2
    picture = Image.open(BytesIO(data))
    edges = max(0, x - width), max(0, y - height), min(picture.width, x + width), min(picture.height, y + height)
    out = BytesIO()
    picture.crop(tuple(round(edge) for edge in edges)).save(out, "JPEG", quality=95)
    return out.getvalue()


def embed_photos(embedder: FaceEmbedder, pairs: list[Pair], crop: float | None) -> dict[Path, np.ndarray | None]:
    paths = sorted({path for pair in pairs for path in (pair.probe, pair.reference)})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        embeddings = dict(zip(paths, pool.map(lambda path: embed(embedder, path, crop), paths), strict=True))
    missing = sum(embedding is None for embedding in embeddings.values())
    shape = "whole" if crop is None else f"cropped to {crop:g} of the face box"
    print(f"{len(paths)} photos, {shape}: {missing} without a face")
    return embeddings


def distances(pairs: list[Pair], embeddings: dict[Path, np.ndarray | None]) -> np.ndarray:
    """Distance of each pair; NaN where a face is missing."""
    return np.array(list(_distances(pairs, embeddings)))


def _distances(pairs: list[Pair], embeddings: dict[Path, np.ndarray | None]) -> Iterator[float]:
    for pair in pairs:
        probe, reference = embeddings[pair.probe], embeddings[pair.reference]
        missing = probe is None or reference is None
        yield float("nan") if missing else float(np.linalg.norm(probe - reference))


def right(pairs: list[Pair], found: np.ndarray, threshold: float) -> np.ndarray:
    """Was each pair decided rightly? A missing face (NaN) never was."""
    same = np.array([pair.same for pair in pairs])
    return ~np.isnan(found) & ((found < threshold) == same)


def best_threshold(pairs: list[Pair], found: np.ndarray) -> float:
    candidates = np.arange(0.40, 0.80, 0.001)
    return float(candidates[np.argmax([right(pairs, found, candidate).mean() for candidate in candidates])])


def show(name: str, pairs: list[Pair], found: np.ndarray, threshold: float) -> None:
    decided = right(pairs, found, threshold)
    same = np.array([pair.same for pair in pairs])
    error = np.sqrt(decided.mean() * (1 - decided.mean()) / len(decided))
    print(
        f"{name}: accuracy {decided.mean():.4f} (standard error {error:.4f}) at threshold {threshold:.3f}, "
        f"{len(pairs)} pairs; wrong: {(~decided & same).sum()} genuine, {(~decided & ~same).sum()} impostor, "
        f"of them {np.isnan(found).sum()} without a face"
    )


def report_whole(embedder: FaceEmbedder, test: list[Pair], train: list[Pair], threshold: float) -> None:
    embeddings = embed_photos(embedder, test + train, None)
    found = distances(test, embeddings)
    show("DevTest, the card's threshold", test, found, threshold)
    show("DevTest, DevTrain's threshold", test, found, best_threshold(train, distances(train, embeddings)))


def report_cropped(embedder: FaceEmbedder, test: list[Pair], crop: float, threshold: float) -> None:
    found = distances(test, embed_photos(embedder, test, crop))
    show("DevTest, the card's threshold", test, found, threshold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder, embedder = parser.parse_args().data / "lfw-view1", load()
    threshold = embedder.card.point(embedder.card.default_point).threshold
    test, train = (read_pairs(folder, f"pairsDev{part}.txt") for part in ("Test", "Train"))
    report_whole(embedder, test, train, threshold)
    for crop in CROPS:
        report_cropped(embedder, test, crop, threshold)


if __name__ == "__main__":
    main()
