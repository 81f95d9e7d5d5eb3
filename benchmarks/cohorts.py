"""The regression against the true cohort, and unit-length embeddings against embeddings as they are.

Usage: python benchmarks/cohorts.py --data DIR [--cache DIR] (DIR holds celebrities/, lfw-view1/ and london/). Fitted on
celebrities with poor copies, as `visavis calibrate --cohort` does it; points set on the people of DevTrain; measured on
those of DevTest and on the London people, who are in neither. Without the penalty for quality.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embedder import FaceEmbedder, load
from train.evaluation.cache import open_cache
from train.evaluation.embedding import EmbeddedSet, embed_photos
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.own_threshold.cohort import draw_strangers
from train.own_threshold.copies import random_copies
from train.own_threshold.neighbours import neighbours
from train.own_threshold.regression import fit, predict, r_squared

CLAIMS = (1e-2, 1e-3, 1e-4)
SEED = 0

Lines = tuple[np.ndarray, np.ndarray]  # means, spreads


@dataclass(frozen=True)
class Faces:
    """The faces of some photos."""

    vectors: np.ndarray  # (n, 128)
    identities: np.ndarray  # (n,)
    is_copy: np.ndarray  # (n,)

    def unit(self) -> "Faces":
        lengths = np.linalg.norm(self.vectors.astype(np.float64), axis=1, keepdims=True)
        return replace(self, vectors=(self.vectors / lengths).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    sets = dict(read(given.data, given.cache))
    for name, form in (("as they are", lambda faces: faces), ("unit length", Faces.unit)):
        print(f"\nEmbeddings {name}")
        show({key: form(faces) for key, faces in sets.items()})


def read(data: Path, cache: Path | None) -> Iterator[tuple[str, Faces]]:
    embedder, lfw = load(), data / "lfw-view1"
    celebrities = read_identities(data / "celebrities")
    copies = random_copies(celebrities.photos, np.random.default_rng(SEED))
    yield "cohort", faces_of(replace(celebrities, photos=(*celebrities.photos, *copies)), embedder, cache)
    for part in ("Train", "Test"):
        yield part, faces_of(people_of(read_lfw(lfw / f"pairsDev{part}.txt", lfw / "lfw")), embedder, cache)
    yield "London", faces_of(read_identities(data / "london"), embedder, cache)


def faces_of(protocol: Protocol, embedder: FaceEmbedder, cache: Path | None) -> Faces:
    store = None if cache is None else open_cache(cache, embedder, protocol.face)
    embedded: EmbeddedSet = embed_photos(protocol, embedder, protocol.face, store)
    found = ~np.isnan(embedded.vectors[:, 0])
    is_copy = np.array([photo.degradation is not None for photo in protocol.photos])
    return Faces(embedded.vectors[found], protocol.identities[found], is_copy[found])


def show(sets: dict[str, Faces]) -> None:
    cohort = sets.pop("cohort")
    drawn = draw_strangers(cohort.vectors, cohort.identities, cohort.is_copy, np.random.default_rng(SEED))
    fitted = fit(cohort.vectors, *neighbours(cohort.vectors, cohort.identities, drawn.vectors, drawn.identities))
    true = {
        name: neighbours(faces.vectors, np.full(len(faces.vectors), -1), drawn.vectors, drawn.identities)
        for name, faces in sets.items()
    }
    predicted = {name: predict(faces.vectors, fitted) for name, faces in sets.items()}
    for name in sets:
        mean = r_squared(predicted[name][0], true[name][0])
        spread = r_squared(np.log(predicted[name][1]), np.log(true[name][1]))
        correlation = np.corrcoef(predicted[name][0], true[name][0])[0, 1]
        print(f"  {name}: R2 of the mean {mean:.3f} (correlation {correlation:.3f}), of the log spread {spread:.3f}")
    print("| way | DevTest EER | FNMR at FMR 1e-3 | 1e-4 | FMR at the claims, DevTest | London |")
    print("|---|---|---|---|---|---|")
    ways: dict[str, dict[str, Lines] | None] = {
        "one threshold": None,
        "the true cohort": true,
        "the regression": predicted,
    }
    for way, lines in ways.items():
        print(f"| {way} | {row({name: scores(sets[name], lines and lines[name]) for name in sets})} |")


def scores(faces: Faces, lines: Lines | None) -> tuple[np.ndarray, np.ndarray]:
    """Genuine and impostor scores of all against all, ascending."""
    vectors = faces.vectors.astype(np.float64)
    squares = (vectors**2).sum(axis=1)
    found = np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))
    if lines is not None:
        means, spreads = lines
        found = found * ((1 / spreads)[:, None] + 1 / spreads) / 2
        found -= ((means / spreads)[:, None] + means / spreads) / 2
    upper = np.triu_indices(len(vectors), 1)
    same = (faces.identities[:, None] == faces.identities)[upper]
    return np.sort(found[upper][same]), np.sort(found[upper][~same])


def row(of: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    genuine, impostor = of["Test"]
    levels = [of["Train"][1][int(claim * len(of["Train"][1]))] for claim in CLAIMS]
    at_rate = [1 - np.searchsorted(genuine, impostor[int(fmr * len(impostor))]) / len(genuine) for fmr in CLAIMS[1:]]
    held = {
        name: ", ".join(f"{np.searchsorted(of[name][1], level) / len(of[name][1]):.2e}" for level in levels)
        for name in ("Test", "London")
    }
    rates = " | ".join(f"{100 * rate:.1f}%" for rate in at_rate)
    return f"{100 * eer(genuine, impostor):.2f}% | {rates} | {held['Test']} | {held['London']}"


def eer(genuine: np.ndarray, impostor: np.ndarray) -> float:
    cuts = np.linspace(np.median(genuine), np.median(impostor), 10_001)
    fmr, fnmr = np.searchsorted(impostor, cuts) / len(impostor), 1 - np.searchsorted(genuine, cuts) / len(genuine)
    k = int(np.argmin(np.abs(fmr - fnmr)))
    return float(fmr[k] + fnmr[k]) / 2


if __name__ == "__main__":
    main()
