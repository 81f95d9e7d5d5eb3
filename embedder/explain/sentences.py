"""The built-in models' atlases, which hold no person's face, and what they say of each channel in a sentence."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..types import ModelIdentity

ATLASES = Path(__file__).parent / "atlases"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing said in two languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """An atlas, as it lies in the package."""

    digest: str  # of the model that it was made of
    json: str
    sentences: tuple[Sentence, ...]  # 128


def atlas_file(model_name: str) -> Path:
    """Where the atlas of the model of that name lies, if the package has one."""
    return ATLASES / f"{model_name}.json"


def sentences_of(model: ModelIdentity) -> tuple[Sentence, ...] | None:
    """A sentence for each of the 128 channels; None for a model that no atlas was made of."""
    atlas = _atlas_of(model)
    return None if atlas is None else atlas.sentences


def atlas_json_of(model: ModelIdentity) -> str | None:
    """The atlas as `visavis atlas` writes it; None for a model that none was made of."""
    atlas = _atlas_of(model)
    return None if atlas is None else atlas.json


def _atlas_of(model: ModelIdentity) -> _Kept | None:
    """A name may be anybody's: only the digest says that the embeddings are those that the atlas is about."""
    atlas = _read(atlas_file(model.name))
    return atlas if atlas is not None and atlas.digest == model.digest else None


@cache
def _read(file: Path) -> _Kept | None:
    if not file.is_file():
        return None
    text = file.read_text("utf-8")
    atlas = json.loads(text)
    sentences = tuple(Sentence(**channel["sentence"]) for channel in atlas["channels"])
    return _Kept(atlas["model_digest"], text, sentences)
