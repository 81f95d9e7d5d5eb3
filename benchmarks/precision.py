"""The effect of runtime and precision on distances of the same pairs, and on error rates of all photos against all.

Usage: python benchmarks/precision.py --data DIR [--people N]. DIR contains lfw-view1/; the photos are those of DevTest,
or of its first N people. Each face is found and cropped once, so that all precisions embed the same chips. FNMR is
measured at the threshold with the same FMR for each, where the limit for int8 is 0.2 percentage points above f32; at
f32's threshold, as in an operating point of the card; and at the card's points, if it has any.
"""

import argparse
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from embedder import Chips, FaceEmbedder, RuntimeOptions, RuntimeUnavailable, SampleError, load
from train.evaluation.compared import compare_photos
from train.evaluation.embedding import EmbeddedSet
from train.evaluation.metrics import fmr, fnmr, has_enough_impostors, threshold_at_fmr
from train.evaluation.protocols.folders import people_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.evaluation.scores import ScoreSet
from train.evaluation.scoring import scoring_of

REFERENCE = "openvino f32"
OTHERS: Mapping[str, RuntimeOptions] = {
    "torch f32": RuntimeOptions("torch"),
    "openvino bf16": RuntimeOptions("openvino", precision="bf16"),
    "openvino int8": RuntimeOptions("openvino", precision="int8"),
}
FMRS = (1e-3, 1e-4)
BAR = 0.002  # of FNMR
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Photos that show a face, with their chips and the measures of their quality."""

    photos: Protocol  # all against all
    chips: Chips  # (n, side, side, 3)
    measures: NDArray[np.float32]  # (n, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """The embeddings and distances with one runtime and precision."""

    embedder: FaceEmbedder
    embedded: EmbeddedSet
    plain: ScoreSet

    @property
    def distances(self) -> NDArray[np.float64]:
        """Of all pairs, in the same order for every way."""
        return pdist(self.embedded.vectors.astype(np.float64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--people", type=int, metavar="N")
    asked = parser.parse_args()
    reference = load(running=RuntimeOptions("openvino"))
    faces = faces_of(photos_of(asked.data / "lfw-view1", asked.people), reference)
    before = way(reference, faces)
    tallies = before.plain
    print(f"{tallies.genuine.tally.n:,.0f} genuine and {tallies.impostor.tally.n:,.0f} impostor comparisons")
    show_rates(REFERENCE, before, before)
    show_points(REFERENCE, before, faces.photos)
    for name, running in OTHERS.items():
        try:
            after = way(load(running=running), faces)
        except RuntimeUnavailable as error:
            print(f"{name}: {error}")
            continue
        show_changes(name, before, after, faces.photos)
        show_rates(name, before, after)
        show_points(name, after, faces.photos)


def photos_of(folder: Path, n_people: int | None) -> Protocol:
    everybody = people_of(read_lfw(folder / "pairsDevTest.txt", folder / "lfw"))
    chosen = set(sorted({photo.identity for photo in everybody.photos})[:n_people])
    return replace(everybody, photos=tuple(photo for photo in everybody.photos if photo.identity in chosen))


def faces_of(protocol: Protocol, embedder: FaceEmbedder) -> Faces:
    found = []
    for photo in protocol.photos:
        try:
            found.append((photo, embedder.chip(photo.path.read_bytes(), face=protocol.face)))
        except SampleError:
            continue
    chips = np.stack([chip.pixels for _, chip in found])
    measures = np.array([astuple(chip.sample.quality) for _, chip in found], np.float32)
    return Faces(replace(protocol, photos=tuple(photo for photo, _ in found)), chips, measures)


def way(embedder: FaceEmbedder, faces: Faces) -> Way:
    n = len(faces.chips)
    vectors = np.concatenate([embedder.embed_faces(faces.chips[k : k + BATCH]) for k in range(0, n, BATCH)])
    embedded = EmbeddedSet(vectors, (None,) * n, tuple(photo.name for photo in faces.photos.photos), faces.measures)
    return Way(embedder, embedded, compare_photos(faces.photos, embedded, seed=0).scores)


def show_changes(name: str, before: Way, after: Way, photos: Protocol) -> None:
    changes = np.abs(after.distances - before.distances)
    is_genuine = pdist(photos.identities[:, None]) == 0
    for kind, of_kind in (("genuine", changes[is_genuine]), ("impostor", changes[~is_genuine])):
        print(f"{name}: {kind} distances move by {of_kind.mean():.2g} (mean), {of_kind.max():.2g} at most")


def show_rates(name: str, before: Way, after: Way) -> None:
    old, new = before.plain, after.plain
    for target in FMRS:
        if not has_enough_impostors(old.impostor.tally, target):
            continue
        at, own = (threshold_at_fmr(scores.impostor.tally, target) for scores in (old, new))
        was, now = fnmr(old.genuine.tally, at), fnmr(new.genuine.tally, own)
        print(
            f"{name} at FMR {target:g}: FNMR {now:.2%}, {now - was:+.2%} ({'within' if now - was <= BAR else 'ABOVE'} "
            f"the bar); at the threshold of f32: FMR {fmr(new.impostor.tally, at):.4%}, "
            f"FNMR {fnmr(new.genuine.tally, at):.2%}"
        )


def show_points(name: str, measured: Way, photos: Protocol) -> None:
    card = measured.embedder.card
    scoring = scoring_of(measured.embedder, measured.embedded, card.score_kind)
    scores = compare_photos(photos, measured.embedded, seed=0, scoring=scoring).scores
    for point in card.operating_points:
        missed, matched = fnmr(scores.genuine.tally, point.threshold), fmr(scores.impostor.tally, point.threshold)
        print(f"{name} at the card's {point.name}: FNMR {missed:.2%}, FMR {matched:.4%}", flush=True)


if __name__ == "__main__":
    main()
