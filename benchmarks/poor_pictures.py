"""What poor pictures do to a fixed threshold, to the pair's own, and to that with the penalty for quality.

Usage: python benchmarks/poor_pictures.py --data DIR [--cache DIR] [--picture FILE]. The people of LFW View 1 DevTest,
all against all, whom neither the built-in model's cohort nor its points have seen; their photos as they are, degraded
in nine ways, and blurred on one side only. `docs/thresholds.md` shows what is printed and, with --picture, drawn
here. With the penalty, rates are of the pairs of which no photo was refused for its quality; "refused" is the share
of photos.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from embedder import FaceEmbedder, Places, load
from train.degradations import DEGRADATIONS
from train.evaluation.cache import open_cache
from train.evaluation.embedding import embed_photos
from train.evaluation.protocols.folders import people_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol

POINTS = ("fmr-1e-2", "fmr-1e-3")
KINDS = (None, *DEGRADATIONS)
ONE_SIDED = ("blur2", "blur3", "blur4")
WORDS = {
    None: "as they are",
    **{f"blur{sigma}": f"blur, sigma {sigma} px of 250" for sigma in (1, 2, 3, 4)},
    **{f"px{width}": f"{width} px wide and back" for width in (64, 48, 32)},
    **{f"jpeg{quality}": f"JPEG quality {quality}" for quality in (20, 10)},
}


@dataclass(frozen=True)
class Faces:
    """The faces of one kind of photos that could be found."""

    vectors: np.ndarray  # (n, 128)
    identities: np.ndarray
    photos: np.ndarray
    places: Places


@dataclass(frozen=True)
class Row:
    """Error rates of two kinds of photos with each other: (points,) each, by way of deciding."""

    name: str
    fmr: dict[str, list[float]]
    fnmr: dict[str, list[float]]
    refused: float  # share of the poorer kind's photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--picture", type=Path, help="Draw FMR by degradation here (.png).")
    given = parser.parse_args()
    lfw = given.data / "lfw-view1"
    embedder, people = load(), people_of(read_lfw(lfw / "pairsDevTest.txt", lfw / "lfw"))
    rows = list(measured(embedder, people, given.cache))
    print_table(rows)
    if given.picture:
        draw(rows, given.picture)


def measured(embedder: FaceEmbedder, people: Protocol, cache: Path | None) -> Iterator[Row]:
    faces = {kind: faces_of(embedder, people, kind, cache) for kind in KINDS}
    for kind in KINDS:
        yield row(embedder, WORDS[kind], faces[kind], faces[kind])
    for kind in ONE_SIDED:
        yield row(embedder, f"{WORDS[kind]}, one side", faces[None], faces[kind])


def faces_of(embedder: FaceEmbedder, people: Protocol, kind: str | None, cache: Path | None) -> Faces:
    photos = tuple(replace(photo, degradation=kind) for photo in people.photos)
    store = None if cache is None else open_cache(cache, embedder, people.face)
    embedded = embed_photos(replace(people, photos=photos), embedder, people.face, store)
    found = np.flatnonzero(~np.isnan(embedded.vectors[:, 0]))
    vectors, measures = embedded.vectors[found], embedded.measures[found]
    return Faces(vectors, people.identities[found], found, embedder.places(vectors, measures))


def row(embedder: FaceEmbedder, name: str, first: Faces, second: Faces) -> Row:
    own = embedder.card.own_threshold
    distances = between(first.vectors, second.vectors)
    usual = own.usual_penalty  # the levels are for photos that cost as much
    bare = [replace(faces.places, penalties=np.full(len(faces.vectors), usual)) for faces in (first, second)]
    refused = [faces.places.penalties > own.quality.floor for faces in (first, second)]
    kept = ~(refused[0][:, None] | refused[1])
    every = np.ones_like(kept)
    ways = {
        "fixed": (distances, embedder.card.operating_points, every),
        "own": (normalised(distances, *bare), own.operating_points, every),
        "own, penalty": (normalised(distances, first.places, second.places), own.operating_points, kept),
    }
    is_pair = np.triu(every, 1) if first is second else first.photos[:, None] != second.photos
    same = first.identities[:, None] == second.identities
    fmr, fnmr = {}, {}
    for way, (scores, points, made) in ways.items():
        levels = [next(point.threshold for point in points if point.name == wanted) for wanted in POINTS]
        impostor, genuine = scores[is_pair & made & ~same], scores[is_pair & made & same]
        fmr[way] = [float((impostor < level).mean()) for level in levels]
        fnmr[way] = [float((genuine >= level).mean()) for level in levels]
    return Row(name, fmr, fnmr, float(refused[1].mean()))


def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = first.astype(np.float64), second.astype(np.float64)
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0))


def normalised(distances: np.ndarray, first: Places, second: Places) -> np.ndarray:
    slopes = (first.slopes[:, None] + second.slopes) / 2
    return distances * slopes + (first.offsets[:, None] + second.offsets) / 2


def print_table(rows: list[Row]) -> None:
    ways = list(rows[0].fmr)
    for k, point in enumerate(POINTS):
        print(
            f"\n| {point} | "
            + " | ".join(f"FMR, {way}" for way in ways)
            + " | refused | "
            + " | ".join(f"FNMR, {way}" for way in ways)
            + " |"
        )
        print("|---" * (2 + 2 * len(ways)) + "|")
        for each in rows:
            fmr = " | ".join(f"{100 * each.fmr[way][k]:.{2 + k}f}%" for way in ways)
            fnmr = " | ".join(f"{100 * each.fnmr[way][k]:.1f}%" for way in ways)
            print(f"| {each.name} | {fmr} | {100 * each.refused:.1f}% | {fnmr} |")


def draw(rows: list[Row], path: Path) -> None:
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    colours = {"fixed": "#c44e52", "own": "#dd8452", "own, penalty": "#2a7f62"}
    for shift, (way, colour) in zip((-0.27, 0, 0.27), colours.items(), strict=True):
        axes.barh(
            np.arange(len(rows)) + shift, [100 * each.fmr[way][0] for each in rows], 0.25, label=way, color=colour
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(np.arange(len(rows)), [each.name for each in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20], ["0.2%", "0.5%", "1%", "2%", "5%", "10%", "20%"])
    axes.set_xlabel("measured FMR where 1% is claimed (black line)")
    axes.legend(title="threshold", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
