"""Keep an atlas as the one that comes with the built-in model: it shows nobody, and says nobody's name.

Usage: visavis atlas --identities celebrities --out ATLAS && python tools/keep_atlas.py ATLAS/atlas.json. Sentences
are made anew of its correlations, in today's words.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from embedder import BUILT_IN, read_bundle
from embedder.explain.atlas.traits import TRAITS
from embedder.explain.atlas.words import Correlation, sentence_of
from embedder.explain.sentences import BUILT_IN_ATLAS

BY_NAME = {trait.name: trait for trait in TRAITS}


def main() -> None:
    atlas = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    if atlas["model_digest"] != read_bundle(BUILT_IN).card.digest:
        raise SystemExit("the atlas is of another model than the built-in one")
    for channel in atlas["channels"]:
        told = [
            Correlation(BY_NAME[each["trait"]], each["r"], each["low"], each["high"])
            for each in channel["correlations"]
        ]
        channel["sentence"] = asdict(sentence_of(told))
        for each, correlation in zip(channel["correlations"], told, strict=True):
            each |= {"en": correlation.trait.en, "zh": correlation.trait.zh}
    BUILT_IN_ATLAS.write_text(json.dumps(atlas, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
