"""Store an atlas as that of a built-in model; it contains no face and no name.

Usage: visavis atlas --model NAME --identities celebrities --out ATLAS && python tools/keep_atlas.py ATLAS/atlas.json.
Its digest selects the built-in model. The sentences are generated again from its correlations.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from embedder import BUILT_IN_MODELS, read_bundle
from embedder.explain.atlas.atlas import Correlation, sentence_of
from embedder.explain.atlas.traits import TRAITS
from embedder.explain.explanation import atlas_file

BY_NAME = {trait.name: trait for trait in TRAITS}


def main() -> None:
    atlas = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    file = atlas_file(built_in_model(atlas["model_digest"]))
    for channel in atlas["channels"]:
        told = [
            Correlation(BY_NAME[each["trait"]], each["r"], each["low"], each["high"])
            for each in channel["correlations"]
        ]
        channel["sentence"] = asdict(sentence_of(told))
        for each, correlation in zip(channel["correlations"], told, strict=True):
            each |= {"en": correlation.trait.en, "zh": correlation.trait.zh}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(atlas, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def built_in_model(digest: str) -> str:
    """The name of the built-in model of that digest."""
    for name in BUILT_IN_MODELS:
        if read_bundle(name).card.digest == digest:
            return name
    raise SystemExit("the atlas does not belong to a built-in model")


if __name__ == "__main__":
    main()
