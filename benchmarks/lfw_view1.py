"""LFW View 1, end to end: accuracy at the card's threshold and at the best one of DevTrain; failures to acquire.

Usage: python benchmarks/lfw_view1.py --data DIR [--crop 1.0|0.9] (DIR holds lfw-view1/). A failure to acquire counts as
an error. `--crop` first cuts each photo exactly to its detected face box, scaled by that number: the tight crops that
many users send; compare its accuracy with the uncropped one in the same output.
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


def embed_all(embedder: FaceEmbedder, paths: list[Path], crop: float | None) -> dict[Path, np.ndarray | None]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(lambda path: embed(embedder, path, crop), paths), strict=True))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--crop", type=float, default=None)
    parser.add_argument("--test-only", action="store_true", help="leave DevTrain out")
    arguments = parser.parse_args()
    folder, embedder = arguments.data / "lfw-view1", load()
    test = read_pairs(folder, "pairsDevTest.txt")
    train = [] if arguments.test_only else read_pairs(folder, "pairsDevTrain.txt")
    paths = sorted({path for pair in test + train for path in (pair.probe, pair.reference)})
    embeddings = embed_all(embedder, paths, arguments.crop)
    missing = sum(embedding is None for embedding in embeddings.values())
    print(f"crop {arguments.crop or 'none'}: {len(paths)} photos, {missing} without a face")
    found = distances(test, embeddings)
    show("DevTest, the card's threshold", test, found, embedder.card.point(embedder.card.default_point).threshold)
    if train:
        show("DevTest, DevTrain's threshold", test, found, best_threshold(train, distances(train, embeddings)))


if __name__ == "__main__":
    main()
