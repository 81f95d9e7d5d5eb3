"""False identifications against the claim: galleries of 100, 500 and 2,000 people, probes of people not in them.

Usage: python benchmarks/false_identifications.py --data DIR [--cache DIR] [--model NAME] [--draws N]. DIR contains
lfw-view1 and celebrities as described in CONTRIBUTING.md. The people are those of LFW View 1 and the celebrities on
whom no point was measured, alone and together. A gallery has one photo of each of its people, drawn at random. The
probes are up to 5,000 photos of the others (FPIR), and the other photos of the people in it (FNIR). All of it is drawn
N times, by default 5. As in the service, photos that are too poor are left out, and claims that the card's evidence
does not carry are refused. Intervals are 95%, by a bootstrap over the people on the probes.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from celebrities import half_of

from embedder import BUILT_IN_MODELS, FaceEmbedder, ModelCard, load, percent
from gallery import Claim, ClaimUnavailable, TemplateIndex, claim_for
from gallery.identification import penalties_by_measures
from train.evaluation.cache import open_cache
from train.evaluation.compared import compare_photos
from train.evaluation.data_checks import doubles_of
from train.evaluation.embedding import embed_photos
from train.evaluation.protocols.folders import read_identities
from train.evaluation.protocols.protocol import Protocol, identity_numbers
from train.evaluation.scoring import too_poor

GALLERIES = (100, 500, 2_000)  # people
CLAIMS = (1e-1, 1e-2, 1e-3)
N_PROBES = 5_000
N_RESAMPLES = 1_000
N_CANDIDATES = 5
MOST_TIMES = 1.5  # the claim, or the interval reaches it


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Photos that may be enrolled or asked about."""

    vectors: np.ndarray  # (n, 128)
    penalties: np.ndarray  # (n, measures)
    people: np.ndarray  # (n,)
    names: tuple[str, ...]  # (n,) of the photos

    def at(self, rows: np.ndarray) -> "Faces":
        names = tuple(self.names[row] for row in rows)
        return Faces(self.vectors[rows], self.penalties[rows], self.people[rows], names)


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """What probes found."""

    people: np.ndarray  # (n,) on the probes
    distances: np.ndarray  # (n,) normalized, to the nearest person (not mated) or to the true one (mated; inf = none)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model", choices=list(BUILT_IN_MODELS), help="Only this model.")
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    for name in [given.model] if given.model else BUILT_IN_MODELS:
        embedder = load(name)
        lfw, celebrities = (usable(each, embedder, given.cache) for each in populations(given.data))
        print(f"== {name}")
        pools = {"LFW View 1": lfw, "celebrities": celebrities, "both": joined(lfw, celebrities)}
        for pool, faces in pools.items():
            print(f"{pool}: {len(faces.names):,} photos of {len(np.unique(faces.people)):,} people")
            for n_people in GALLERIES:
                show(embedder.card, faces, n_people, given.draws)


def populations(data: Path) -> Iterator[Protocol]:
    yield replace(read_identities(data / "lfw-view1" / "lfw"), face="center")
    yield half_of(read_identities(data / "celebrities"), is_fitted=False)


def usable(protocol: Protocol, embedder: FaceEmbedder, cache: Path | None) -> Faces:
    """The photos with a face and not too poor, without those that are in the folders of two people."""
    store = None if cache is None else open_cache(cache, embedder, protocol.face)
    embedded = embed_photos(protocol, embedder, protocol.face, store)
    across, _ = doubles_of(compare_photos(protocol, embedded, seed=0))
    unclear = {photo for photos in across for photo in photos}
    kept = ~too_poor(embedder.card.quality_penalties, embedded.measures) & ~np.isnan(embedded.vectors[:, 0])
    rows = np.flatnonzero(kept & [photo not in unclear for photo in protocol.photos])
    photos = [protocol.photos[row] for row in rows]
    people = identity_numbers([photo.identity for photo in photos])
    penalties = penalties_by_measures(embedder.card, embedded.measures[rows])
    return Faces(embedded.vectors[rows], penalties, people, tuple(photo.name for photo in photos))


def joined(one: Faces, other: Faces) -> Faces:
    people = np.concatenate([one.people, other.people + one.people.max() + 1])
    vectors = np.concatenate([one.vectors, other.vectors])
    return Faces(vectors, np.concatenate([one.penalties, other.penalties]), people, one.names + other.names)


def show(card: ModelCard, faces: Faces, n_people: int, n_draws: int) -> None:
    if n_people > 0.8 * len(np.unique(faces.people)):
        print(f"  {n_people:,} people: too few are left to be probes")
        return
    drawn = [measured(faces, n_people, np.random.default_rng(seed)) for seed in range(n_draws)]
    others, mated = (together(column) for column in zip(*drawn, strict=True))
    print(
        f"  {n_people:,} people, {len(others.people):,} probes of {len(np.unique(others.people)):,} others, "
        f"{len(mated.people):,} of {len(np.unique(mated.people)):,} of them"
    )
    for fpir in CLAIMS:
        try:
            claim = claim_for(card, fpir=fpir, n_templates=n_people)
        except ClaimUnavailable as refusal:
            print(f"    {fpir:g}: refused: {refusal}")
        else:
            print(f"    {fpir:g}: {words(claim, others, mated)}", flush=True)


def measured(faces: Faces, n_people: int, generator: np.random.Generator) -> tuple[Probes, Probes]:
    """Enrol one photo of each of `n_people` and ask about photos of others, and about theirs that are left."""
    shuffled = generator.permutation(len(faces.people))
    enrolled = generator.choice(np.unique(faces.people), n_people, replace=False)
    inside = np.isin(faces.people[shuffled], enrolled)
    _, first = np.unique(faces.people[shuffled[inside]], return_index=True)
    templates = faces.at(shuffled[inside][first])
    index = TemplateIndex(templates.penalties.shape[1], templates.vectors.shape[1])
    ids = [f"{k:032x}" for k in range(n_people)]
    index.add(ids, templates.people.tolist(), templates.vectors, templates.penalties)
    others = faces.at(shuffled[~inside][:N_PROBES])
    mated = faces.at(np.delete(shuffled[inside], first))
    return Probes(others.people, nearest(index, others)), Probes(mated.people, to_their_own(index, mated))


def nearest(index: TemplateIndex, probes: Faces) -> np.ndarray:
    found = (index.search(*each, k=1).people[0] for each in zip(probes.vectors, probes.penalties, strict=True))
    return np.array([each.normalized_distance for each in found])


def to_their_own(index: TemplateIndex, probes: Faces) -> np.ndarray:
    """The normalized distances to the true person, if that is among the candidates."""
    distances = np.full(len(probes.people), np.inf)
    for row, person in enumerate(probes.people):
        for near in index.search(probes.vectors[row], probes.penalties[row], k=N_CANDIDATES).people:
            if near.person == person:
                distances[row] = near.normalized_distance
    return distances


def together(draws: Sequence[Probes]) -> Probes:
    return Probes(np.concatenate([each.people for each in draws]), np.concatenate([each.distances for each in draws]))


def words(claim: Claim, others: Probes, mated: Probes) -> str:
    fpir, (low, high) = rate(others.distances < claim.threshold, others.people)
    fnir, missed = rate(mated.distances >= claim.threshold, mated.people)
    verdict = "held" if fpir <= MOST_TIMES * claim.fpir else "within the interval" if low <= claim.fpir else "EXCEEDED"
    return (
        f"threshold {claim.threshold:.3f}, FPIR {percent(fpir)} ({percent(low)} to {percent(high)}), "
        f"{fpir / claim.fpir:.2f} times the claim: {verdict}; FNIR {percent(fnir)} "
        f"({percent(missed[0])} to {percent(missed[1])}), claimed {percent(claim.fnir or 0)}"
    )


def rate(errors: np.ndarray, people: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The share of errors among probes, with its interval by resampling the people on them."""
    _, place = np.unique(people, return_inverse=True)
    n_errors, n_probes = np.bincount(place, errors), np.bincount(place)
    drawn = np.random.default_rng(0).multinomial(len(n_probes), np.full(len(n_probes), 1 / len(n_probes)), N_RESAMPLES)
    low, high = np.quantile((drawn @ n_errors) / (drawn @ n_probes), [0.025, 0.975])
    return float(errors.mean()), (float(low), float(high))


if __name__ == "__main__":
    main()
