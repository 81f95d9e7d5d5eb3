"""Error rates of poor photos at the built-in card's points, and how many of them are refused.

Usage: python benchmarks/poor_pictures.py --data DIR [--cache DIR] [--model MODEL] [--without-penalty] [--picture FILE].
LFW View 1 DevTest, all photos against all; the built-in points were not measured on these people. Photos are used
unchanged, degraded in nine ways, and blurred on one side only. Photos that `verify` refuses are counted and excluded,
and distances include the penalty for poor photos; with --without-penalty neither applies. `docs/thresholds.md` shows
the printed figures and the plot of --picture.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from embedder import BUILT_IN_MODELS, FaceEmbedder, QualityPenalty, load
from train.evaluation.cache import open_cache
from train.evaluation.embedding import DEGRADATIONS, EmbeddedSet, embed_photos
from train.evaluation.protocols.folders import people_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.evaluation.scores import Penalties
from train.evaluation.scoring import too_poor

CLAIMED = {"fmr-1e-2": 1e-2, "fmr-1e-3": 1e-3, "fmr-1e-4": 1e-4}
COLOURS = {"fmr-1e-2": "#dd8452", "fmr-1e-3": "#2a7f62", "fmr-1e-4": "#4c72b0"}
KINDS = (None, *DEGRADATIONS)
ONE_SIDED = ("blur2", "blur3", "blur4")
WORDS = {
    None: "as they are",
    **{f"blur{sigma}": f"blur, sigma {sigma} px of 250" for sigma in (1, 2, 3, 4)},
    **{f"px{width}": f"{width} px wide and back" for width in (64, 48, 32)},
    **{f"jpeg{quality}": f"JPEG quality {quality}" for quality in (20, 10)},
}


Rule = tuple[QualityPenalty, ...]


@dataclass(frozen=True)
class Faces:
    """The faces of one kind of photos that take part."""

    vectors: np.ndarray  # (n, 128)
    identities: np.ndarray  # (n,)
    photos: np.ndarray  # (n,)
    penalties: np.ndarray  # (measures, n)
    refused: float  # share of the faces found that are too poor
    without_face: int  # photos


@dataclass(frozen=True)
class Row:
    """Error rates of two kinds of photos with each other: (points,) each."""

    name: str
    fmr: list[float]
    fnmr: list[float]
    refused: float  # of the poorer kind
    without_face: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model", default=next(iter(BUILT_IN_MODELS)))
    parser.add_argument("--without-penalty", action="store_true")
    parser.add_argument("--picture", type=Path, help="Draw FMR by degradation into this file (.png).")
    given = parser.parse_args()
    lfw = given.data / "lfw-view1"
    embedder, people = load(given.model), people_of(read_lfw(lfw / "pairsDevTest.txt", lfw / "lfw"))
    rule = () if given.without_penalty else embedder.card.quality_penalties
    rows = list(measured(embedder, people, rule, given.cache))
    print_table(rows)
    if given.picture:
        draw(rows, given.picture)


def measured(embedder: FaceEmbedder, people: Protocol, rule: Rule, cache: Path | None) -> Iterator[Row]:
    faces = {kind: graded(embedded(embedder, people, kind, cache), people, rule) for kind in KINDS}
    for kind in KINDS:
        yield row(embedder, WORDS[kind], (faces[kind], faces[kind]))
    for kind in ONE_SIDED:
        yield row(embedder, f"{WORDS[kind]}, one side", (faces[None], faces[kind]))


def embedded(embedder: FaceEmbedder, people: Protocol, kind: str | None, cache: Path | None) -> EmbeddedSet:
    photos = tuple(replace(photo, degradation=kind) for photo in people.photos)
    store = None if cache is None else open_cache(cache, embedder, people.face)
    return embed_photos(replace(people, photos=photos), embedder, people.face, store)


def graded(found: EmbeddedSet, people: Protocol, rule: Rule) -> Faces:
    is_found, refused = ~np.isnan(found.vectors[:, 0]), too_poor(rule, found.measures)
    kept = np.flatnonzero(is_found & ~refused)
    return Faces(
        found.vectors[kept],
        people.identities[kept],
        kept,
        Penalties.by(rule, found.measures[kept]).of_faces,
        float(refused[is_found].mean()),
        int((~is_found).sum()),
    )


def row(embedder: FaceEmbedder, name: str, sides: tuple[Faces, Faces]) -> Row:
    first, second = sides
    scores = between(first.vectors, second.vectors)
    for one, other in zip(first.penalties, second.penalties, strict=True):
        scores += np.minimum.outer(one, other)
    points = {point.name: point.threshold for point in embedder.card.operating_points}
    is_pair = np.triu(np.ones(scores.shape, np.bool_), 1) if first is second else first.photos[:, None] != second.photos
    same = first.identities[:, None] == second.identities
    impostor, genuine = scores[is_pair & ~same], scores[is_pair & same]
    fmr = [float((impostor < points[wanted]).mean()) for wanted in CLAIMED]
    fnmr = [float((genuine >= points[wanted]).mean()) for wanted in CLAIMED]
    return Row(name, fmr, fnmr, second.refused, second.without_face)


def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = first.astype(np.float64), second.astype(np.float64)
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0))


def print_table(rows: list[Row]) -> None:
    for k, (point, claimed) in enumerate(CLAIMED.items()):
        print(f"\n| {point} | FMR | times the claim | FNMR | refused | photos without a face |")
        print("|---|---|---|---|---|---|")
        for each in rows:
            print(
                f"| {each.name} | {100 * each.fmr[k]:.{2 + k}f}% | {each.fmr[k] / claimed:.2f} | "
                f"{100 * each.fnmr[k]:.1f}% | {100 * each.refused:.1f}% | {each.without_face} |"
            )


def draw(rows: list[Row], path: Path) -> None:
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.subplots()
    for k, (point, claimed) in enumerate(CLAIMED.items()):
        rates, places = [100 * each.fmr[k] for each in rows], np.arange(len(rows)) + 0.26 * (k - 1)
        axes.barh(places, rates, 0.24, color=COLOURS[point], label=point)
        axes.axvline(100 * claimed, color=COLOURS[point], linewidth=1, linestyle="--")
    axes.set_yticks(np.arange(len(rows)), [each.name for each in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks([0.001, 0.01, 0.1, 1], ["0.001%", "0.01%", "0.1%", "1%"])
    axes.set_xlabel("measured FMR; dashed: the claimed one")
    figure.legend(loc="outside upper center", ncols=len(CLAIMED), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
