"""What runtime and precision change: distances, DevTest accuracy, and error rates at the card's operating points.

Usage: python benchmarks/precision.py --data DIR (DIR holds lfw-view1/). LFW View 1, from the photo on, by OpenVINO in
f32 and bf16 and by torch in f32; faces are found the same way beside each. Distances are those of the 3,200 pairs; the
accuracy is DevTest's, below the threshold that is best on DevTrain by OpenVINO in f32; rates are those of all DevTest
photos against all, by own thresholds.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder import FaceEmbedder, Running, RuntimeUnavailable, load
from train.evaluation.compared import compare
from train.evaluation.embedding import EmbeddedSet, embed_photos
from train.evaluation.listed import Listed, compare_listed, tallies
from train.evaluation.metrics import accuracy, best_threshold, fmr, fnmr
from train.evaluation.progress import progress_line
from train.evaluation.protocols.folders import people_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.evaluation.scoring import scoring_of
from train.evaluation.tally import Tally

REFERENCE = "openvino f32"
BAR = 1e-4  # in distance, between runtimes in f32


OTHERS: Mapping[str, Callable[[], FaceEmbedder]] = {
    "torch f32": partial(load, running=Running("torch")),
    "openvino bf16": partial(load, running=Running("openvino", precision="bf16")),
}


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """View 1 by one way of running."""

    embedder: FaceEmbedder
    train: EmbeddedSet
    test: EmbeddedSet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data / "lfw-view1"
    train, test = (read_lfw(folder / f"pairsDev{part}.txt", folder / "lfw") for part in ("Train", "Test"))
    reference = measured(load(running=Running("openvino")), train, test)
    threshold = best_threshold(*tallies_of(train, reference.train))
    show_rates(REFERENCE, reference, test, threshold)
    for name, make in OTHERS.items():
        try:
            way = measured(make(), train, test)
        except RuntimeUnavailable as error:
            print(f"{name}: {error}")
            continue
        show_changes(name, change(reference, way, train, test))
        show_rates(name, way, test, threshold)


def measured(embedder: FaceEmbedder, train: Protocol, test: Protocol) -> Measured:
    parts = (embed_photos(part, embedder, part.face, progress=progress_line) for part in (train, test))
    return Measured(embedder, *parts)


def listed(protocol: Protocol, embedded: EmbeddedSet) -> Listed:
    if protocol.pairs is None:
        raise ValueError("View 1 lists its pairs")
    return compare_listed(embedded.vectors, protocol.pairs)


def tallies_of(protocol: Protocol, embedded: EmbeddedSet) -> tuple[Tally, Tally]:
    """Distances of the genuine and of the impostor pairs."""
    found = listed(protocol, embedded)
    return tallies(found, np.ones(len(found.values), np.bool_))


def change(one: Measured, other: Measured, train: Protocol, test: Protocol) -> NDArray[np.float64]:
    """How far each pair's distance moves; NaN where a photo has no face."""
    before, after = (
        np.concatenate([listed(train, way.train).values, listed(test, way.test).values]) for way in (one, other)
    )
    changes: NDArray[np.float64] = np.abs(after - before)
    return changes


def show_changes(name: str, changes: NDArray[np.float64]) -> None:
    known = changes[~np.isnan(changes)]
    print(
        f"{name} against {REFERENCE}, {len(known):,} distances: median {np.median(known):.2g}, "
        f"99th percentile {np.quantile(known, 0.99):.2g}, largest {known.max():.2g}; "
        f"{(known > BAR).sum():,} above {BAR:g}"
    )


def show_rates(name: str, way: Measured, test: Protocol, threshold: float) -> None:
    right = accuracy(*tallies_of(test, way.test), threshold)
    print(f"{name}: DevTest accuracy {right:.4f} below {threshold:.4f}")
    scoring = scoring_of(way.embedder, way.test, "own")
    scores = compare(people_of(test), way.test, seed=0, scoring=scoring).scores
    for point in way.embedder.card.points("own"):
        missed, matched = fnmr(scores.genuine.tally, point.threshold), fmr(scores.impostor.tally, point.threshold)
        print(f"  {point.name}: FNMR {missed:.4%}, FMR {matched:.6%}", flush=True)


if __name__ == "__main__":
    main()
