"""LFW View 1 with each library that embeds: the best threshold on DevTrain, and its accuracy on DevTest.

The face nearest the centre is used, and a pair is decided by the distance of its embeddings alone. A photo without a
face is not used for choosing the threshold; on DevTest it counts as matching nobody. The accuracy over the other pairs,
without the hard photos in which a detector finds no face, is printed too.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.evaluation.compared import ListedScores, compare_listed, scores_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import PairList, Protocol
from train.evaluation.thresholds import accuracies, best_of

from .figures import Telling, figure
from .workers import Worker

EMBEDDING_SIZE = 128  # of every network here


def accuracy(workers: Sequence[Worker], folder: Path, tell: Telling) -> None:
    """Tell how often each is right, with the standard error, and in how many photos it finds no face."""
    train, test = (read_lfw(folder / f"pairsDev{part}.txt", folder / "lfw") for part in ("Train", "Test"))
    place = ("accuracy", f"LFW View 1 DevTest, {len(pairs_of(test).same):,} pairs")
    photos = {photo.path for protocol in (train, test) for photo in protocol.photos}
    for worker in workers:
        found = {path: embedding(worker, path) for path in sorted(photos)}
        threshold = best_of(scores_of(compared(train, found), train.identities))
        listed = compared(test, found)
        share, error = share_right(listed, threshold)
        of_found, _ = share_right(listed, threshold, failures_count=False)
        n_missing = sum(bool(np.isnan(vector).any()) for vector in found.values())
        tell(figure(place, f"{worker.name}: accuracy", "%", [100 * share]))
        tell(figure(place, f"{worker.name}: its standard error", "points", [100 * error]))
        tell(figure(place, f"{worker.name}: of pairs with both faces found", "%", [100 * of_found]))
        tell(figure(place, f"{worker.name}: without a face, of {len(photos):,}", "photos", [n_missing]))


def embedding(worker: Worker, path: Path) -> NDArray[np.float32]:
    """(128,), NaN where no face is found."""
    told = worker.ask("embedding", str(path))
    return np.full(EMBEDDING_SIZE, np.nan, np.float32) if isinstance(told, str) else np.array(told, np.float32)


def compared(protocol: Protocol, found: dict[Path, NDArray[np.float32]]) -> ListedScores:
    return compare_listed(np.stack([found[photo.path] for photo in protocol.photos]), pairs_of(protocol))


def pairs_of(protocol: Protocol) -> PairList:
    if protocol.pairs is None:
        raise ValueError("LFW lists its pairs")
    return protocol.pairs


def share_right(listed: ListedScores, threshold: float, *, failures_count: bool = True) -> tuple[float, float]:
    """The share of pairs decided rightly, and its standard error."""
    n_listed = len(listed.values)
    one_fold, thresholds = np.zeros(n_listed, np.int32), np.full(n_listed, threshold)
    (share,) = accuracies(listed, one_fold, thresholds, failures_count=failures_count)
    n = n_listed if failures_count else int((~np.isnan(listed.values)).sum())
    return float(share), float(np.sqrt(share * (1 - share) / n))
