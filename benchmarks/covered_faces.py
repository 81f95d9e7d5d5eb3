"""False match rates of covered faces, with and without the rules for them, on the London set.

Usage: python benchmarks/covered_faces.py --data DIR [--model MODEL]. All kinds of covers are those of drawn_covers.py,
which no fit has seen. For each kind: both photos of all pairs covered, or one; the FMR divided by the claimed one, and
the share of comparisons refused as face_covered. Then how many open faces count as covered, and how the measure depends
on the colour of the skin: the quarters of the people with the darkest and with the lightest cheeks, with 95% Wilson
intervals. Last the photos and the genuine pairs of LFW View 1.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import sqrt
from pathlib import Path

import numpy as np
from drawn_covers import DRAWN, Draw
from PIL import Image

from embedder import BUILT_IN_MODELS, FaceEmbedder, SampleError, load, percent
from embedder.types import LEAST_VISIBLE
from train.evaluation.covers import CoveredFace, Landmarks, Rng, draw_random, skin_colour
from train.evaluation.embedding import COVERS
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.scores import Penalties

POINTS = {"fmr-1e-2": 1e-2, "fmr-1e-3": 1e-3}
OPEN = "open faces"
CONFIDENCE = 1.96


@dataclass(frozen=True)
class Photo:
    """A London photo with its face."""

    person: str
    expression: str
    picture: Image.Image
    landmarks: Landmarks


@dataclass(frozen=True)
class Faces:
    """The faces of one kind that were found."""

    vectors: np.ndarray  # (n, 128)
    measures: np.ndarray  # (n, measures)
    photos: np.ndarray  # (n,) positions among the photos
    visible: np.ndarray  # (n, 2): eyes, mouth
    drawn: np.ndarray  # (n, 2): the shares that the drawing left visible


def photos_of(embedder: FaceEmbedder, london: Path) -> list[Photo]:
    return [
        Photo(
            path.parent.name,
            path.stem,
            Image.open(path).convert("RGB"),
            embedder.detect(path.read_bytes())[0].landmarks,
        )
        for path in sorted(london.glob("*/*.jpg"))
    ]


def uncovered(picture: Image.Image, _landmarks: Landmarks, _rng: Rng) -> CoveredFace:
    return CoveredFace(picture, np.zeros(picture.size[::-1]))


def fitted(kind: str) -> Draw:
    return lambda picture, landmarks, rng: draw_random(picture, landmarks, rng, kind)


def faces_of(embedder: FaceEmbedder, photos: list[Photo], draw: Draw) -> Faces:
    chips, places, drawn = [], [], []
    for place, photo in enumerate(photos):
        covered = draw(photo.picture, photo.landmarks, np.random.default_rng((place, 7)))
        file = BytesIO()
        covered.picture.save(file, "BMP")
        try:
            chips.append(embedder.chip(file.getvalue(), face="largest"))
        except SampleError:
            continue
        places.append(place)
        drawn.append(1 - np.array(covered.hidden_shares(photo.landmarks)))
    qualities = [chip.sample.quality for chip in chips]
    return Faces(
        embedder.embed_faces(np.stack([chip.pixels for chip in chips])),
        np.array([[getattr(each, name) for name in each.__dataclass_fields__] for each in qualities], np.float32),
        np.array(places),
        np.array([(each.eyes_visible, each.mouth_visible) for each in qualities]),
        np.array(drawn),
    )


@dataclass(frozen=True)
class Row:
    """FMR over the claim at each point, without and with the rules; the share refused; FNMR of the rest."""

    without: list[float]
    with_rules: list[float]
    refused: float
    fnmr: list[float]


def row(embedder: FaceEmbedder, photos: list[Photo], first: Faces, second: Faces) -> Row:
    distances = np.linalg.norm(first.vectors[:, None] - second.vectors, axis=2)
    people, expressions = (np.array([getattr(each, name) for each in photos]) for name in ("person", "expression"))
    same = people[first.photos][:, None] == people[second.photos]
    genuine = same & (expressions[first.photos][:, None] != expressions[second.photos])
    refused = (np.maximum(first.visible[:, None], second.visible) < LEAST_VISIBLE).any(axis=2)
    rule = embedder.card.quality_penalties
    scores = distances.copy()
    for one, other in zip(*(Penalties.by(rule, each.measures).of_faces for each in (first, second)), strict=True):
        scores += np.minimum.outer(one, other)
    thresholds = {point.name: point.threshold for point in embedder.card.operating_points}
    return Row(
        [float((distances[~same] < thresholds[name]).mean()) / claim for name, claim in POINTS.items()],
        [
            float((scores[~same & ~refused] < thresholds[name]).sum() / (~same).sum()) / claim
            for name, claim in POINTS.items()
        ],
        float(refused[~same].mean()),
        [
            float((scores[genuine & ~refused] >= thresholds[name]).mean()) if (genuine & ~refused).any() else np.nan
            for name in POINTS
        ],
    )


def print_rates(embedder: FaceEmbedder, photos: list[Photo], kinds: dict[str, Faces]) -> None:
    print(
        "| both photos | FMR / claim, without rules, at 1% and 0.1% | with rules | refused | FNMR of the rest | found |"
    )
    print("|---|---|---|---|---|---|")
    for name, faces in kinds.items():
        print_row(name, row(embedder, photos, faces, faces), len(faces.photos), len(photos))
    print("\n| one photo, against open faces | | | | | |\n|---|---|---|---|---|---|")
    for name, faces in kinds.items():
        print_row(name, row(embedder, photos, faces, kinds[OPEN]), len(faces.photos), len(photos))


def print_row(name: str, found: Row, n_found: int, n: int) -> None:
    times = [", ".join(f"{value:.2g}" for value in values) for values in (found.without, found.with_rules)]
    shares = [", ".join(map(share_text, values)) for values in ([found.refused], found.fnmr)]
    print(f"| {name} | {' | '.join(times + shares)} | {n_found} of {n} |", flush=True)


def share_text(share: float) -> str:
    return "none left" if np.isnan(share) else percent(float(f"{share:.2g}"))


def wilson(n_hits: int, n: int) -> str:
    share, z = n_hits / n, CONFIDENCE
    middle, half = share + z**2 / (2 * n), z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n))
    return f"{100 * share:.1f}% [{100 * max(low, 0):.1f}, {100 * high:.1f}]"


def quarters(photos: list[Photo]) -> dict[str, set[str]]:
    """The people with the darkest and with the lightest cheeks."""
    lightness = {
        each.person: skin_colour(each.picture, each.landmarks).mean()
        for each in photos
        if each.expression.startswith("neutral")
    }
    ordered = sorted(lightness, key=lambda person: lightness[person])
    n = len(ordered) // 4
    return {"darkest quarter": set(ordered[:n]), "lightest quarter": set(ordered[-n:])}


def print_quarters(photos: list[Photo], kinds: dict[str, Faces]) -> None:
    print("\n| counted as covered | mean visible: eyes, mouth (drawn) | all | darkest quarter | lightest quarter |")
    print("|---|---|---|---|---|")
    groups = {"all": {each.person for each in photos}, **quarters(photos)}
    people = np.array([each.person for each in photos])
    for name, faces in kinds.items():
        is_covered = (faces.visible < LEAST_VISIBLE).any(axis=1)
        shares = [
            wilson(int(is_covered[chosen].sum()), int(chosen.sum()))
            for group in groups.values()
            for chosen in [np.isin(people[faces.photos], list(group))]
        ]
        means = ", ".join(f"{a:.2f} ({b:.2f})" for a, b in zip(faces.visible.mean(0), faces.drawn.mean(0), strict=True))
        print(f"| {name} | {means} | {' | '.join(shares)} |", flush=True)


def print_natural(embedder: FaceEmbedder, lfw: Path) -> None:
    """Photos of View 1 that count as covered, and its genuine pairs that are refused."""
    n_pairs, n_refused, visible = 0, 0, {}
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt"):
        protocol = read_lfw(lfw / name, lfw / "lfw")
        for photo in protocol.photos:
            quality = embedder.chip(photo.path.read_bytes(), face=protocol.face).sample.quality
            visible[photo.name] = (quality.eyes_visible, quality.mouth_visible)
        pairs = np.stack([protocol.pairs.probe, protocol.pairs.reference], axis=1)[protocol.pairs.same]
        for pair in pairs:
            shares = [visible[protocol.photos[place].name] for place in pair]
            n_pairs, n_refused = n_pairs + 1, n_refused + bool((np.max(shares, axis=0) < LEAST_VISIBLE).any())
    n_covered = sum(min(shares) < LEAST_VISIBLE for shares in visible.values())
    print(f"\nLFW View 1: {n_covered} of {len(visible):,} photos count as covered: {wilson(n_covered, len(visible))};")
    print(f"{n_refused} of {n_pairs:,} genuine pairs are refused: {wilson(n_refused, n_pairs)}", flush=True)


def kinds_of(embedder: FaceEmbedder, photos: list[Photo]) -> Iterator[tuple[str, Faces]]:
    yield OPEN, faces_of(embedder, photos, uncovered)
    for name, draw in DRAWN.items():
        yield name, faces_of(embedder, photos, draw)
    for kind in COVERS:
        yield f"{kind} of the fit", faces_of(embedder, photos, fitted(kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=next(iter(BUILT_IN_MODELS)))
    given = parser.parse_args()
    embedder = load(given.model)
    photos = photos_of(embedder, given.data / "london")
    kinds = dict(kinds_of(embedder, photos))
    print_rates(embedder, photos, kinds)
    print_quarters(photos, kinds)
    print_natural(embedder, given.data / "lfw-view1")


if __name__ == "__main__":
    main()
