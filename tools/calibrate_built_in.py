"""Measure the penalties for poor photos and the operating points of the built-in models, and write their cards.

Usage: python tools/calibrate_built_in.py --data DIR [--cache DIR] [--model NAME]. DIR contains lfw-view1, celebrities,
london and orl as described in CONTRIBUTING.md. The first photos are those of View 1's DevTrain; the penalty is fitted
to degraded copies of them. Further populations are half of the celebrities' people, London and ORL: each point keeps
its FMR on the worst of them. `benchmarks/operating_points.py` checks the points on other people: DevTest and the other
half of the celebrities.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from celebrities import half_of

from embedder import BUILT_IN_MODELS, FaceEmbedder, ModelCard, load, show_progress
from train.evaluation.cache import open_cache
from train.evaluation.calibration import Population, PopulationFacts, calibrate
from train.evaluation.evaluation import EvaluationConfig, embed_and_compare
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.evaluation.quality_penalty import fit_quality_penalties

LFW = PopulationFacts(
    "LFW View 1, the people of DevTrain",
    "Public figures in press photos (Labeled Faces in the Wild), 250 px, faces found by a detector: adults, more men "
    "than women, few children, few people over 80, many ethnicities sparsely represented.",
)
CELEBRITIES = PopulationFacts(
    "celebrities, half of the people",
    "Public figures in photos from the internet, cut out loosely around the face at 208 px, nearly half of them at "
    "64 px; some identities are wrong.",
)
LONDON = PopulationFacts(
    "London", "Adults of many origins in a studio, neutral and smiling, 600 px (Face Research Lab London Set)."
)
ORL = PopulationFacts("ORL", "40 people, mostly men, ten grey photos each, 92 x 112 px (AT&T Database of Faces).")


def populations(data: Path) -> list[tuple[Protocol, PopulationFacts]]:
    lfw = data / "lfw-view1"
    return [
        (people_of(read_lfw(lfw / "pairsDevTrain.txt", lfw / "lfw")), LFW),
        (half_of(read_identities(data / "celebrities"), is_fitted=True), CELEBRITIES),
        (read_identities(data / "london"), LONDON),
        (read_identities(data / "orl"), ORL),
    ]


def setting_of(embedder: FaceEmbedder, protocol: Protocol, cache: Path | None) -> EvaluationConfig:
    store = None if cache is None else open_cache(cache, embedder, protocol.face)
    return EvaluationConfig(embedder, protocol.face, store, progress=show_progress)


def calibrated(embedder: FaceEmbedder, data: Path, cache: Path | None) -> ModelCard:
    first, *further = (
        Population(embed_and_compare(protocol, setting_of(embedder, protocol, cache)), described)
        for protocol, described in populations(data)
    )
    setting = setting_of(embedder, first.compared.protocol, cache)
    rule = fit_quality_penalties(first.compared, setting, [each.compared for each in further])
    return calibrate(first.compared, setting, first.described, rule, further)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model", choices=list(BUILT_IN_MODELS), help="Only this model.")
    given = parser.parse_args()
    for name in [given.model] if given.model else BUILT_IN_MODELS:
        card = calibrated(load(name), given.data, given.cache)
        (BUILT_IN_MODELS[name] / "card.json").write_text(card.to_json(), "utf-8")
        print(f"{name}: {card.quality_penalties}")
        for point in card.operating_points:
            print(
                f"{name} {point.name}: {point.threshold:.4f}, FNMR {point.fnmr}, set by {point.population}", flush=True
            )


if __name__ == "__main__":
    main()
