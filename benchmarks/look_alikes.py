"""False match rates of relatives: people of LFW View 1 with the same family name, at the built-in card's points.

Usage: python benchmarks/look_alikes.py --data DIR [--cache DIR] [--model MODEL] [--pairs N]. The family name is the
last word of an LFW name. Photos of two such people are compared all against all, as are photos of all other pairs of
people. The N nearest pairs of different people are listed; some of them are wrong labels, see `visavis check-labels`.
"""

import argparse
from pathlib import Path

import numpy as np

from embedder import BUILT_IN_MODELS, load
from train.evaluation.cache import open_cache
from train.evaluation.embedding import embed_photos
from train.evaluation.protocols.folders import read_identities

NO_FAMILY_NAMES = ("Jr", "Sr", "II", "III")


def family_name(name: str) -> str:
    return next(word for word in reversed(name.split("_")) if word not in NO_FAMILY_NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model", default=next(iter(BUILT_IN_MODELS)))
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    embedder, people = load(given.model), read_identities(given.data / "lfw-view1" / "lfw")
    store = None if given.cache is None else open_cache(given.cache, embedder, people.face)
    vectors = embed_photos(people, embedder, people.face, store).vectors
    found = np.flatnonzero(~np.isnan(vectors[:, 0]))
    names = np.array([people.photos[k].identity for k in found])
    families = np.array([family_name(name) for name in names])
    first, second = np.triu_indices(len(found), 1)
    is_impostor = names[first] != names[second]
    first, second = first[is_impostor], second[is_impostor]
    vectors = vectors[found].astype(np.float64)
    squares = (vectors**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))[first, second]
    is_relative = families[first] == families[second]
    n_pairs = len({frozenset(pair) for pair in zip(names[first[is_relative]], names[second[is_relative]], strict=True)})
    print(f"{n_pairs} pairs of people with the same family name, {int(is_relative.sum())} comparisons")
    print("| point | FMR, same family name | FMR, others |\n|---|---|---|")
    for point in embedder.card.operating_points:
        matches = distances < point.threshold
        print(
            f"| {point.name} | {100 * matches[is_relative].mean():.2g}% | {100 * matches[~is_relative].mean():.2g}% |"
        )
    print("\n| distance | photos |\n|---|---|")
    for k in np.argsort(distances)[: given.pairs]:
        photos = (people.photos[found[place]].path.stem for place in (first[k], second[k]))
        print(f"| {distances[k]:.3f} | {', '.join(photos)} |")


if __name__ == "__main__":
    main()
