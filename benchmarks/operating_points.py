"""Check the operating points of both built-in cards on people that they were not measured on.

Usage: python benchmarks/operating_points.py --data DIR [--cache DIR] [--model NAME]. DIR contains lfw-view1,
celebrities, london and orl as described in CONTRIBUTING.md. In every population all photos are compared with all: LFW
View 1 DevTest, which has no person of DevTrain, and the held-out half of the celebrities; London and ORL, which were
used to set the points, are shown for comparison. Prints the measured FMR of each claimed rate, with its interval and
its ratio to the claim, then error rates at FMRs measured here, and whether they meet NIST SP 800-63A.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from celebrities import half_of

from embedder import BUILT_IN_MODELS, FaceEmbedder, load
from train.evaluation.cache import open_cache
from train.evaluation.compared import compare_photos
from train.evaluation.data_checks import without_doubles
from train.evaluation.embedding import embed_photos
from train.evaluation.evaluation import EvaluationConfig, EvaluationResult, evaluate_compared
from train.evaluation.model_comparison import compare_models
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.evaluation.results import ClaimCheck, interval_text, rate_text
from train.evaluation.scoring import scoring_of
from train.evaluation.text import evaluation_text, versus_text

MOST_TIMES = 1.5  # the claim, or the interval reaches it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model", choices=list(BUILT_IN_MODELS), help="Only this model.")
    given = parser.parse_args()
    embedders = [load(name) for name in ([given.model] if given.model else BUILT_IN_MODELS)]
    for name, protocol in populations(given.data):
        found = [evaluated(protocol, embedder, given.cache) for embedder in embedders]
        print(f"== {name}")
        for embedder, each in zip(embedders, found, strict=True):
            print(f"{embedder.identity.name}:")
            for claim in each.found.claims:
                print(f"  {words(claim)}")
        print(evaluation_text(found[0].found), flush=True)
        if len(found) > 1:
            print(f"{' against '.join(BUILT_IN_MODELS)}:\n{versus_text(compare_models(*found))}", flush=True)
        print(flush=True)


def populations(data: Path) -> Iterator[tuple[str, Protocol]]:
    lfw = data / "lfw-view1"
    yield "LFW View 1 DevTest", people_of(read_lfw(lfw / "pairsDevTest.txt", lfw / "lfw"))
    yield "celebrities, people held out", half_of(read_identities(data / "celebrities"), is_fitted=False)
    yield "London", read_identities(data / "london")
    yield "ORL", read_identities(data / "orl")


def evaluated(protocol: Protocol, embedder: FaceEmbedder, cache: Path | None) -> EvaluationResult:
    """Leave out images that are in the folders of two people, as calibration does."""
    setting = EvaluationConfig(embedder, protocol.face)
    seed = setting.resampling.seed
    store = None if cache is None else open_cache(cache, embedder, protocol.face)
    embedded = embed_photos(protocol, embedder, protocol.face, store)
    scoring = scoring_of(embedder, embedded, embedder.card.score_kind)
    return evaluate_compared(
        without_doubles(compare_photos(protocol, embedded, seed=seed, scoring=scoring), seed=seed), setting
    )


def words(claim: ClaimCheck) -> str:
    claimed, found = claim.point.fmr or float("nan"), claim.fmr
    times = (found.value or 0) / claimed
    is_reached = found.interval is not None and found.interval[0] <= claimed <= found.interval[1]
    verdict = "held" if times <= MOST_TIMES else "within the interval" if is_reached else "EXCEEDED"
    fmr, fnmr = (
        rate_text(found.value) + interval_text(found.interval),
        rate_text(claim.fnmr.value) + interval_text(claim.fnmr.interval),
    )
    return f"{claim.point.name}: FMR {fmr}, {times:.2f} times the claim: {verdict}; FNMR {fnmr}"


if __name__ == "__main__":
    main()
