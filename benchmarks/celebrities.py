"""The celebrities in two halves: one for measuring the built-in operating points, and one held out."""

import hashlib
from dataclasses import replace

from train.evaluation.protocols.protocol import Protocol


def half_of(everyone: Protocol, *, is_fitted: bool) -> Protocol:
    """Return half of the people, drawn by their names."""
    photos = (photo for photo in everyone.photos if is_in_first_half(photo.identity) == is_fitted)
    return replace(everyone, photos=tuple(photos))


def is_in_first_half(name: str) -> bool:
    """Tell whether a person belongs to the half that points are measured on."""
    return hashlib.sha256(name.encode()).digest()[-1] % 2 == 0
