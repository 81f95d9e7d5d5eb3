"""FNMR of models for pairs whose heads differ most in yaw.

Usage: python benchmarks/head_turn.py --data DIR [--mirror] [MODEL ...] (DIR contains lfw-view1/). Over all comparisons
of LFW View 1, by plain distances; with --mirror all models, also the built-in one, average the embeddings of a chip and
its mirror image. Each model's threshold is that of FMR 1e-3 over all impostor comparisons; FNMR is measured over all
genuine ones and over the quarter with the largest difference in yaw. Also prints the difference to the built-in model,
with a 95% bootstrap interval: people are resampled, the same for both, with fixed thresholds.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder import Chip, FaceEmbedder, SampleError, load
from embedder.quality import head_turn
from train.evaluation.all_pairs import compare_all
from train.evaluation.parallel import one_core_threads
from train.evaluation.protocols.folders import read_identities
from train.evaluation.protocols.protocol import LabeledPhoto, Protocol

FMR = 1e-3
BATCH = 64
N_DRAWS = 1000

Rows = NDArray[np.float64]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("models", nargs="*", metavar="MODEL")
    arguments = parser.parse_args()
    everyone = read_identities(arguments.data / "lfw-view1" / "lfw")
    chips, identities = chips_of(everyone)
    probe, reference = genuine_pairs(identities)
    turns = np.array([head_turn(chip.sample.face.landmarks) for chip in chips])
    difference = np.abs(turns[probe] - turns[reference])
    is_turned = difference >= np.quantile(difference, 0.75)
    print(f"{len(chips):,} faces, {len(probe):,} genuine comparisons; FNMR at FMR {FMR:g}")
    print(f"most turned quarter: heads differ by {difference[is_turned].min():.2f} to {difference.max():.2f}")
    draws = drawn_people(identities)[:, identities[probe]]
    missed_before = None
    for model in (None, *arguments.models):
        missed = misses(load(model, mirror=arguments.mirror or None), chips, identities, (probe, reference))
        missed_before = missed if missed_before is None else missed_before
        for which, chosen in (("all", np.ones_like(is_turned)), ("most turned quarter", is_turned)):
            tell(model or "built-in", which, missed[chosen], missed_before[chosen], draws[:, chosen])


def chips_of(everyone: Protocol) -> tuple[list[Chip], NDArray[np.int32]]:
    """The faces that were found, and whose they are."""
    embedder = load()

    def cut(photo: LabeledPhoto) -> Chip | None:
        try:
            return embedder.chip(photo.path.read_bytes(), face="center")
        except SampleError:
            return None

    with one_core_threads() as pool:
        found = list(pool.map(cut, everyone.photos))
    kept = [(chip, whose) for chip, whose in zip(found, everyone.identities, strict=True) if chip is not None]
    return [chip for chip, _ in kept], np.array([whose for _, whose in kept], np.int32)


def genuine_pairs(identities: NDArray[np.int32]) -> Pairs:
    """Every two faces of one person."""
    probe, reference = np.triu_indices(len(identities), 1)
    same = identities[probe] == identities[reference]
    return probe[same], reference[same]


def drawn_people(identities: NDArray[np.int32]) -> Rows:
    """The counts of each person in the bootstrap resamples: (draws, people)."""
    n_people = int(identities.max()) + 1
    shares = np.full(n_people, 1 / n_people)
    return np.random.default_rng(0).multinomial(n_people, shares, N_DRAWS).astype(np.float64)


def misses(embedder: FaceEmbedder, chips: list[Chip], identities: NDArray[np.int32], pairs: Pairs) -> Rows:
    """1 for every genuine comparison that is missed at the model's own threshold, else 0."""
    pixels = [np.stack([chip.pixels for chip in chips[k : k + BATCH]]) for k in range(0, len(chips), BATCH)]
    vectors = np.concatenate([embedder.embed_faces(part) for part in pixels])
    threshold = compare_all(vectors, identities, seed=0).impostor.tally.loosest((FMR,))[0]
    probe, reference = pairs
    missed: Rows = (np.linalg.norm(vectors[probe] - vectors[reference], axis=1) >= threshold).astype(np.float64)
    return missed


def tell(model: str, which: str, missed: Rows, missed_before: Rows, draws: Rows) -> None:
    weights = draws / draws.sum(axis=1, keepdims=True)
    low, high = np.quantile(weights @ (missed - missed_before), (0.025, 0.975))
    gained = missed.mean() - missed_before.mean()
    print(
        f"{model}, {which}: {missed.mean():.2%} against the built-in's {missed_before.mean():.2%}: "
        f"{100 * gained:+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}], {gained / missed_before.mean():+.0%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
