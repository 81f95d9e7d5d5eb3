"""Whose photos an atlas is made of: so many of each person, drawn by a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import VisavisError
from ...photo_files import photos_in


class AtlasError(VisavisError):
    """An atlas cannot be made; the message says what to do."""

    code = "atlas_error"


@dataclass(frozen=True, slots=True)
class AtlasPhoto:
    """One photo, and its person's number."""

    name: str  # below the folder
    person: int


def chosen_photos(folder: Path, *, n_photos: int, per_person: int, seed: int) -> list[AtlasPhoto]:
    """At most so many photos, at most so many of a person, in an order that the seed decides.

    A person is a folder below `folder`. Raises AtlasError where there are none, PhotoListError where one cannot be read.
    """
    people = _people(folder)
    if not people:
        raise AtlasError("there are no photos in folders of people: give a folder that holds one for each person")
    generator = np.random.default_rng(seed)
    found = [
        AtlasPhoto(name, person) for person, names in enumerate(people) for name in _some(names, per_person, generator)
    ]
    return [found[place] for place in generator.permutation(len(found))[:n_photos]]


def _people(folder: Path) -> list[list[str]]:
    """The names of each person's photos."""
    if not folder.is_dir():
        raise AtlasError("there is no such folder: give one that holds a folder of photos for each person")
    people: dict[str, list[str]] = {}
    for name in photos_in([folder]):
        person, _, photo = name.partition("/")
        if photo:
            people.setdefault(person, []).append(name)
    return list(people.values())


def _some(names: list[str], n: int, generator: np.random.Generator) -> Iterator[str]:
    return (names[place] for place in generator.permutation(len(names))[:n])
