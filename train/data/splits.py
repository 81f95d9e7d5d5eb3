"""Split people, not photos, into training and held-out people, independently of the photos' order."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..evaluation.protocols.protocol import Indices
from .photos import same_name, shown
from .prepared import PreparedData

MIN_PEOPLE = 2  # per side, because a comparison of different people needs two
EXAMPLES = 5


@dataclass(frozen=True, slots=True, eq=False)
class PeopleSplit:
    """A split, as positions among the chips."""

    train: Indices  # (n,)
    validation: Indices  # (m,) of other people; in the separate validation folder, if any
    left_out: tuple[str, ...]  # people with too few images, ordered by name
    contradictory: Indices  # (k,) left out of both sides, because the same image is on both


def split_people(data: PreparedData, held_out: float, min_images: int, seed: int) -> PeopleSplit:
    """Hold out a share of the people who have at least `min_images` chips.

    The choice depends only on the seed and the normalised names, so that few people change sides if people are added.
    Raises DataError if a side has fewer than two people.
    """
    people = _people_of(data, min_images)
    held = held_out_people(people, held_out, seed)
    sides = _chips_of(data, people - held), _chips_of(data, held)
    contradictory = _in_both(data, *sides)
    train, validation = (np.setdiff1d(side, contradictory) for side in sides)
    n_on_sides = [len({data.identities[k] for k in side}) for side in (train, validation)]
    if min(n_on_sides) < MIN_PEOPLE:
        raise DataError(f"{data.folder}: {_too_few(len(people), n_on_sides, held_out)}")
    return PeopleSplit(train, validation, _left_out(data, min_images), contradictory)


def other_people(train: PreparedData, validation: PreparedData, min_images: int) -> PeopleSplit:
    """Use the people of a separate folder for validation; positions in `validation` refer to its chips.

    Raises DataError if the folders share people (by name) or images, if they were prepared differently, or if either
    has fewer than two people with `min_images` chips.
    """
    _require_same_cut(train, validation)
    _require_nobody_shared(train, validation)
    _require_no_image_shared(train, validation)
    return PeopleSplit(
        train=_chips_of(train, _people_of(train, min_images)),
        validation=_chips_of(validation, _people_of(validation, min_images)),
        left_out=_left_out(train, min_images),
        contradictory=np.empty(0, np.int32),
    )


def _require_same_cut(train: PreparedData, validation: PreparedData) -> None:
    if (train.alignment, train.face) != (validation.alignment, validation.face):
        raise DataError(
            f"{validation.folder}: was prepared with another model or face choice than {train.folder}; run "
            "visavis prepare with the same --model and --face for both"
        )


def _require_nobody_shared(train: PreparedData, validation: PreparedData) -> None:
    ours = {same_name(name) for name in train.identities}
    both = sorted({name for name in validation.identities if same_name(name) in ours})
    if both:
        raise DataError(
            f"{validation.folder}: {_listed(both)} are in {train.folder} too, but must be on one side only; run "
            f"visavis prepare on the training photos with --exclude {validation.folder}"
        )


def _require_no_image_shared(train: PreparedData, validation: PreparedData) -> None:
    images = set(train.image_digests)
    shared = [name for name, image in zip(validation.names, validation.image_digests, strict=True) if image in images]
    if shared:
        raise DataError(
            f"{validation.folder}: {_listed(shared)} are images of {train.folder} too, under other people's names; "
            f"run visavis prepare on the training photos with --exclude {validation.folder}"
        )


def _people_of(data: PreparedData, min_images: int) -> set[str]:
    """Return the people with enough chips. Raises DataError if there are fewer than two."""
    people = {name for name, n in Counter(data.identities).items() if n >= min_images}
    if len(people) < MIN_PEOPLE:
        raise DataError(
            f"{data.folder}: {len(people)} people have {min_images} chips or more, but two are needed; prepare photos "
            "of more people, or lower data.min_images"
        )
    return people


def _left_out(data: PreparedData, min_images: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, n in Counter(data.identities).items() if n < min_images))


def held_out_people(people: Collection[str], share: float, seed: int) -> set[str]:
    """Draw a share of the people; names that normalise to the same are one person."""
    drawn = sorted({same_name(name) for name in people}, key=lambda name: _draw(seed, name))
    first = set(drawn[: round(share * len(drawn))])
    return {name for name in people if same_name(name) in first}


def _draw(seed: int, identity: str) -> bytes:
    return hashlib.sha256(f"{seed} {identity}".encode("utf-8", "surrogateescape")).digest()


def _chips_of(data: PreparedData, people: Collection[str]) -> Indices:
    return np.array([k for k, identity in enumerate(data.identities) if identity in people], np.int32)


def _in_both(data: PreparedData, one: Indices, other: Indices) -> Indices:
    """Return the chips of either side whose image is also on the other side."""
    images = [{data.image_digests[k] for k in side} for side in (one, other)]
    shared = images[0] & images[1]
    return np.array([k for k in np.union1d(one, other) if data.image_digests[k] in shared], np.int32)


def _too_few(n_people: int, n_on_sides: Sequence[int], held_out: float) -> str:
    n_train, n_held_out = n_on_sides
    more = "prepare photos of more people, or lower data.min_images"
    least = MIN_PEOPLE / n_people
    if n_people > 2 * MIN_PEOPLE:
        advice = f"set data.held_out between {least:.2g} and {1 - least:.2g}"
    elif n_people == 2 * MIN_PEOPLE:
        advice = f"set data.held_out={least:g}, which holds out two and leaves two, or {more}"
    else:
        advice = more
    return (
        f"of {n_people} people, data.held_out={held_out:g} holds out {n_held_out} and leaves {n_train} for training; "
        f"two are needed on each side: {advice}"
    )


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    return ", ".join(map(shown, names[:EXAMPLES])) + rest
