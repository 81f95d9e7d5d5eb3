"""What each channel goes with, in a sentence: from the built-in model's atlas, which holds no person's face."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BUILT_IN_ATLAS = Path(__file__).parent / "built_in_atlas.json"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing said in two languages."""

    en: str
    zh: str


def sentences_of(model_digest: str) -> tuple[Sentence, ...] | None:
    """A sentence for each of the 128 channels; None for a model that no atlas was made of."""
    digest, sentences = _built_in()
    return sentences if digest == model_digest else None


@cache
def _built_in() -> tuple[str, tuple[Sentence, ...]]:
    atlas = json.loads(BUILT_IN_ATLAS.read_text("utf-8"))
    return atlas["model_digest"], tuple(Sentence(**channel["sentence"]) for channel in atlas["channels"])
