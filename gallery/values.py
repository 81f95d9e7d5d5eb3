"""What names, ids, facts and templates may be, checked before anything is written."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from embedder import LARGEST_EMBEDDING, SMALLEST_EMBEDDING

from .errors import InvalidValue
from .types import NewTemplate, PersonFacts

MAX_NAME_LENGTH = 200  # characters of a gallery's name and of a person's id
EMBEDDING_FORM = f"{SMALLEST_EMBEDDING} to {LARGEST_EMBEDDING:,} finite numbers of a plausible length"
SHORTEST, LONGEST = 1e-6, 1e18  # of any network's embeddings; the square of a longer one is not finite in f32
MAX_TEXT_LENGTH = 2_000  # characters of a note and of a consent's reference


def check_name(name: str, what: str) -> None:
    """Raise InvalidValue unless it can name a gallery or a person: printable, and not blank at an end."""
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        raise InvalidValue(f"{what} has {len(name)} characters; it may have 1 to {MAX_NAME_LENGTH}")
    if not name.isprintable() or name != name.strip():
        raise InvalidValue(f"{what} contains a control character, or starts or ends with a space; leave that out")


def is_storable(text: str) -> bool:
    """Whether databases can store or look for a text: without NUL and without halves of surrogate pairs."""
    return "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def check_facts(facts: PersonFacts, now: datetime) -> None:
    """Raise InvalidValue if a fact cannot be stored, or the person would have to be forgotten already."""
    _check_text(facts.note, "the note")
    _check_text(facts.consent.reference if facts.consent else None, "the consent's reference")
    if facts.forget_at is None:
        return
    _check_time(facts.forget_at, "the time to forget the person")
    if facts.forget_at <= now:
        raise InvalidValue("the time to forget the person has passed; state a later one")


def is_embedding(vector: NDArray[np.float32]) -> bool:
    """Whether it is an embedding of any model: 64 to 1,024 finite numbers that are neither all 0 nor huge.

    Zeros, as a damaged disk has them, are as near to every face of a unit-length model as some photos of one person.
    """
    n_channels = vector.size
    is_row = vector.ndim == 1 and SMALLEST_EMBEDDING <= n_channels <= LARGEST_EMBEDDING
    return is_row and bool(np.isfinite(vector).all()) and SHORTEST <= length_of(vector) <= LONGEST


def length_of(vector: NDArray[np.float32]) -> float:
    """Return the Euclidean length of an embedding."""
    return float(np.linalg.norm(vector.astype(np.float64)))


def check_templates(new: Sequence[NewTemplate]) -> None:
    """Raise ValueError if there is none, or one is no embedding with a finite quality."""
    if not new:
        raise ValueError("there is no template to add")
    for template in new:
        if not is_embedding(template.vector):
            raise ValueError(f"an embedding must be {EMBEDDING_FORM}")
        _check_text(template.request_id, "the request's id")
        if template.enrolled_at is not None:
            _check_time(template.enrolled_at, "the time of enrolment")
        if not np.isfinite(astuple(template.quality)).all():
            raise ValueError("each measure of quality must be a finite number")


def _check_time(time: datetime, what: str) -> None:
    if time.utcoffset() is None:
        raise InvalidValue(f"{what} has no time zone; add one, such as Z")
    try:
        time.astimezone(UTC)  # as it is stored
    except OverflowError:
        raise InvalidValue(f"{what} must be in the years 1 to 9999 of UTC") from None


def _check_text(text: str | None, what: str) -> None:
    if text is None:
        return
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidValue(f"{what} has {len(text)} characters; it may have up to {MAX_TEXT_LENGTH:,}")
    if not is_storable(text):
        raise InvalidValue(f"{what} contains a character that is none of a text; leave it out")
