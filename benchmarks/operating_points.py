"""The built-in card's operating points and probability against people that they were not measured on.

Usage: python benchmarks/operating_points.py --data DIR (DIR holds lfw-view1/ and london/). First all against all over
LFW View 1 DevTest, no person of which is in DevTrain; then the London people's neutral photos, all against all, and
each of them neutral against smiling. What `docs/thresholds.md` states of both is printed here.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedder import load
from train.evaluation.as_text import as_text
from train.evaluation.evaluation import Setting, embed_and_compare, evaluate
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import PairList, Protocol
from train.evaluation.record import ClaimCheck


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    show(people_of(read_lfw(data / "lfw-view1" / "pairsDevTest.txt", data / "lfw-view1" / "lfw")))
    show(london(read_identities(data / "london")))


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


def show(protocol: Protocol) -> None:
    setting = Setting(load(), protocol.face)
    found = evaluate(embed_and_compare(protocol, setting), setting).found
    print(as_text(found))
    for claim in found.claims:
        print(f"  {claim.point.name}: measured / claimed FMR = {ratio(claim):.2f}")
    print()


def ratio(claim: ClaimCheck) -> float:
    return (claim.fmr.value or 0) / (claim.point.fmr or float("nan"))


if __name__ == "__main__":
    main()
