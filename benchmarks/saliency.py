"""Evaluate saliency maps by deletion and insertion, against random maps, over pairs of faces.

Usage: python benchmarks/saliency.py --data DIR [--pairs N]. DIR contains lfw-view1/ and london/. Of N pairs (200) half
are from each set, and half are genuine. Places are covered in the order of the map until all are covered (deletion), or
uncovered (insertion): for a genuine pair those that decrease the distance first, for an impostor pair those that
increase it. Prints the mean distance over all steps minus that of random maps of the same smoothness, with the sign
chosen so that larger is better: covering places that decrease a genuine distance makes it grow sooner, and so on.
Intervals are 95% bootstrap intervals over pairs. Each map is evaluated on both faces of a pair and with two covers: a
blur and the mean colour.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedder import BUILT_IN, FaceEmbedder, NoFace, SeveralFaces, load, read_bundle
from embedder.explain.explainer import gradient_method
from embedder.explain.occlusion import blur_chip, saliency_map
from train.evaluation.protocols.lfw import read_lfw

SHARES = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])  # covered, or shown
N_RANDOM = 2  # random maps, whose mean is what a map has to beat
N_DRAWS = 2000
N_PLACES = 8  # along each side of a random map
WAYS = ("deletion", "insertion")

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Pair:
    """Two chips, and whether they are of one person."""

    chips: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    same: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=200)
    asked = parser.parse_args()
    embedder = load()
    ways = {
        "covering": lambda chip, other: saliency_map(chip, other, embedder.embed_chips),
        "gradients": gradient_method(read_bundle(BUILT_IN)),
    }
    gains = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    generator = np.random.default_rng(0)
    kinds = []
    for pair in pairs(asked.data, asked.pairs, embedder, generator):
        kinds.append(pair.same)
        chance = [random_curves(pair, embedder, generator) for _ in range(N_RANDOM)]
        vectors = embedder.embed_faces(np.stack(pair.chips))
        for name, make in ways.items():
            start = time.perf_counter()
            maps = [make(chip, other) for chip, other in zip(pair.chips, vectors[::-1], strict=True)]
            seconds[name] += time.perf_counter() - start
            gains[name].append(gain(curves(pair, maps, embedder), np.mean(chance, axis=0), same=pair.same))
    for name, each in gains.items():
        tell(name, np.array(each), np.array(kinds), seconds[name] / len(kinds), generator)


def pairs(data: Path, n: int, embedder: FaceEmbedder, generator: np.random.Generator) -> Iterator[Pair]:
    """Half of LFW's DevTest, half of London's people, as many of one person as of two."""
    for paths in (lfw(data), london(data)):
        for same in (True, False):
            found = [each for each, kind in paths if kind == same]
            taken = 0
            for place in generator.permutation(len(found)):
                chips = [chip_of(path, embedder) for path in found[place]]
                if all(chip is not None for chip in chips):
                    yield Pair(tuple(chips), same)
                    taken += 1
                if taken == n // 4:
                    break


def lfw(data: Path) -> list[tuple[tuple[Path, Path], bool]]:
    protocol = read_lfw(data / "lfw-view1" / "pairsDevTest.txt", data / "lfw-view1" / "lfw")
    paths = [photo.path for photo in protocol.photos]
    listed = zip(protocol.pairs.probe, protocol.pairs.reference, protocol.pairs.same, strict=True)
    return [((paths[a], paths[b]), bool(same)) for a, b, same in listed]


def london(data: Path) -> list[tuple[tuple[Path, Path], bool]]:
    people = {}
    for path in sorted((data / "london").glob("*/*.jpg")):
        people.setdefault(path.parent.name, []).append(path)
    one = [(both, True) for photos in people.values() for both in combinations(photos, 2)]
    two = [((a[0], b[-1]), False) for a, b in combinations(people.values(), 2)]
    return one + two


def chip_of(path: Path, embedder: FaceEmbedder) -> NDArray[np.uint8] | None:
    try:
        return embedder.chip(path.read_bytes(), face="center").pixels
    except (NoFace, SeveralFaces):
        return None


def random_curves(pair: Pair, embedder: FaceEmbedder, generator: np.random.Generator) -> Floats:
    return curves(pair, [smooth_noise(len(chip), generator) for chip in pair.chips], embedder)


def smooth_noise(side_px: int, generator: np.random.Generator) -> Floats:
    """A map (side, side) of nothing, as smooth as ours."""
    places = Image.fromarray(generator.standard_normal((N_PLACES, N_PLACES)).astype(np.float32))
    return np.asarray(places.resize((side_px, side_px), Image.Resampling.BICUBIC))


def curves(pair: Pair, maps: list[Floats], embedder: FaceEmbedder) -> Floats:
    """Mean distance along each way, over both faces, by each cover: (deletion and insertion, covers)."""
    vectors = embedder.embed_faces(np.stack(pair.chips))
    sign = 1 if pair.same else -1
    found = []
    for chip, other, saliency in zip(pair.chips, vectors[::-1], maps, strict=True):
        covers = (blur_chip(chip), np.broadcast_to(chip.mean(axis=(0, 1)).astype(np.uint8), chip.shape))
        found.append([along(chip, cover, other, sign * saliency, embedder) for cover in covers])
    return np.mean(found, axis=0).T


def along(
    chip: NDArray[np.uint8], cover: NDArray[np.uint8], other: Floats, order: Floats, embedder: FaceEmbedder
) -> Floats:
    """The mean distance while places are covered and while they are shown, the highest of `order` first: (2,)."""
    ranks = np.argsort(np.argsort(-order.ravel(), kind="stable"), kind="stable").reshape(order.shape)
    is_first = ranks[None] < (SHARES * order.size)[:, None, None]
    faces = [np.where(seen[..., None], chip, cover) for seen in (*~is_first, *is_first)]
    apart = np.linalg.norm(embedder.embed_faces(np.stack(faces)) - other, axis=1)
    return apart.reshape(2, -1).mean(axis=1)


def gain(found: Floats, chance: Floats, *, same: bool) -> Floats:
    """The gain over random maps, in distance: (deletion and insertion, covers)."""
    return (found - chance) * np.array([[1], [-1]]) * (1 if same else -1)


def tell(name: str, gains: Floats, kinds: NDArray[np.bool_], seconds: float, generator: np.random.Generator) -> None:
    print(f"{name}: {seconds:.2f} s a pair")
    for kind, chosen in (("one person", kinds), ("two people", ~kinds), ("all", np.ones_like(kinds))):
        for place, way in enumerate(WAYS):
            for cover, label in enumerate(("blur", "mean colour")):
                told(f"  {kind}, {way}, {label}", gains[chosen, place, cover], generator)


def told(label: str, values: Floats, generator: np.random.Generator) -> None:
    draws = values[generator.integers(0, len(values), (N_DRAWS, len(values)))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    print(
        f"{label}: {values.mean():+.4f} [{low:+.4f}, {high:+.4f}] better than chance, {len(values)} pairs", flush=True
    )


if __name__ == "__main__":
    main()
