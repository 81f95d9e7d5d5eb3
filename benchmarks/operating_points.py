"""The built-in card's own and fixed thresholds and its probability, against people that they were not measured on.

Usage: python benchmarks/operating_points.py --data DIR (DIR holds lfw-view1/ and london/). First all against all over
LFW View 1 DevTest, no person of which is in DevTrain; then the London people's neutral photos, all against all, and
each of them neutral against smiling. Last, own thresholds against fixed ones with the significance of each difference:
people are redrawn, the same for both. What `docs/thresholds.md` states of all this is printed here.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedder import FaceEmbedder, load
from train.evaluation.against import compare_models
from train.evaluation.as_text import as_text, versus_text
from train.evaluation.compared import compare
from train.evaluation.embedding import EmbeddedSet, embed_photos
from train.evaluation.evaluation import Evaluated, Setting, evaluate
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import PairList, Protocol
from train.evaluation.record import ClaimCheck
from train.evaluation.scoring import scoring_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    embedder = load()
    for protocol in (
        people_of(read_lfw(data / "lfw-view1" / "pairsDevTest.txt", data / "lfw-view1" / "lfw")),
        london(read_identities(data / "london")),
    ):
        show(protocol, embedder)


def london(everyone: Protocol) -> Protocol:
    """Every two neutral photos, and each person's neutral one against the smiling one."""
    photos = everyone.photos
    neutral = [k for k, photo in enumerate(photos) if photo.path.stem.startswith("neutral")]
    smiling = {photo.identity: k for k, photo in enumerate(photos) if photo.path.stem.startswith("smiling")}
    impostor = [(neutral[i], neutral[j], False) for i in range(len(neutral)) for j in range(i)]
    genuine = [(k, smiling[photos[k].identity], True) for k in neutral]
    probe, reference, same = (np.array(column) for column in zip(*genuine, *impostor, strict=True))
    pairs = PairList(probe.astype(np.int32), reference.astype(np.int32), same, None)
    return replace(everyone, name="London, neutral against neutral and smiling", pairs=pairs)


def show(protocol: Protocol, embedder: FaceEmbedder) -> None:
    settings = [Setting(embedder, protocol.face, scores=scores) for scores in ("own", "plain")]
    embedded = embed_photos(protocol, embedder, protocol.face)
    own, plain = (evaluated(protocol, embedded, setting) for setting in settings)
    print(as_text(own.found))
    for claim in (*own.found.claims, *own.found.other_claims):
        print(f"  {claim.scores} {claim.point.name}: measured / claimed FMR = {ratio(claim):.2f}")
    print("own thresholds (first) against fixed ones (second):")
    print(versus_text(compare_models(own, plain)), flush=True)
    print()


def evaluated(protocol: Protocol, embedded: EmbeddedSet, setting: Setting) -> Evaluated:
    scoring = scoring_of(setting.embedder, embedded, setting.scores)
    return evaluate(compare(protocol, embedded, seed=setting.resampling.seed, scoring=scoring), setting)


def ratio(claim: ClaimCheck) -> float:
    return (claim.fmr.value or 0) / (claim.point.fmr or float("nan"))


if __name__ == "__main__":
    main()
