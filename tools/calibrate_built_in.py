"""Measure the operating points of the built-in models, and write their cards.

Usage: python tools/calibrate_built_in.py --data DIR [--cache DIR]. DIR holds lfw-view1, celebrities, london and orl as
CONTRIBUTING.md says. The first photos are those of View 1's DevTrain; further populations are half of the celebrities'
people, London and ORL: each point keeps its FMR on the worst of them. `benchmarks/operating_points.py` checks the
points on people who are not among these: DevTest and the other half of the celebrities.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from celebrities import half_of

from embedder import BUILT_IN_MODELS, FaceEmbedder, load
from train.evaluation.cache import open_cache
from train.evaluation.calibration import Described, Population, calibrate
from train.evaluation.evaluation import Setting, embed_and_compare
from train.evaluation.progress import progress_line
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol

LFW = Described(
    "LFW View 1, the people of DevTrain",
    "Public figures in press photos (Labeled Faces in the Wild), 250 px, faces found by a detector: adults, more men "
    "than women, few children, few people over 80, many ethnicities sparsely represented.",
)
CELEBRITIES = Described(
    "celebrities, half of the people",
    "Public figures in photos from the internet, cut out loosely around the face at 208 px, nearly half of them at "
    "64 px; some identities are wrong.",
)
LONDON = Described(
    "London", "Adults of many origins in a studio, neutral and smiling, 600 px (Face Research Lab London Set)."
)
ORL = Described("ORL", "40 people, mostly men, ten grey photos each, 92 x 112 px (AT&T Database of Faces).")


def populations(data: Path) -> list[tuple[Protocol, Described]]:
    lfw = data / "lfw-view1"
    return [
        (people_of(read_lfw(lfw / "pairsDevTrain.txt", lfw / "lfw")), LFW),
        (half_of(read_identities(data / "celebrities"), is_fitted=True), CELEBRITIES),
        (read_identities(data / "london"), LONDON),
        (read_identities(data / "orl"), ORL),
    ]


def compared(embedder: FaceEmbedder, protocol: Protocol, described: Described, cache: Path | None) -> Population:
    store = None if cache is None else open_cache(cache, embedder, protocol.face)
    setting = Setting(embedder, protocol.face, store, progress=progress_line)
    return Population(embed_and_compare(protocol, setting), described, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    for name, folder in BUILT_IN_MODELS.items():
        embedder = load(name)
        first, *further = (compared(embedder, *each, given.cache) for each in populations(given.data))
        setting = Setting(embedder, first.compared.protocol.face)
        card = calibrate(first.compared, setting, first.described, further=further)
        (folder / "card.json").write_text(card.to_json(), "utf-8")
        for point in card.operating_points:
            print(
                f"{name} {point.name}: {point.threshold:.4f}, FNMR {point.fnmr}, set by {point.population}", flush=True
            )


if __name__ == "__main__":
    main()
