"""The built-in model's atlas, which holds no person's face, and what it says of each channel in a sentence."""

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


@dataclass(frozen=True, slots=True)
class _BuiltIn:
    """The atlas, as it lies in the package."""

    digest: str  # of the model that it was made of
    json: str
    sentences: tuple[Sentence, ...]  # 128


def sentences_of(model_digest: str) -> tuple[Sentence, ...] | None:
    """A sentence for each of the 128 channels; None for a model that no atlas was made of."""
    atlas = _built_in()
    return atlas.sentences if atlas.digest == model_digest else None


def atlas_json_of(model_digest: str) -> str | None:
    """The atlas as `visavis atlas` writes it; None for a model that none was made of."""
    atlas = _built_in()
    return atlas.json if atlas.digest == model_digest else None


@cache
def _built_in() -> _BuiltIn:
    text = BUILT_IN_ATLAS.read_text("utf-8")
    atlas = json.loads(text)
    sentences = tuple(Sentence(**channel["sentence"]) for channel in atlas["channels"])
    return _BuiltIn(atlas["model_digest"], text, sentences)
