"""Checks of the data behind an evaluation: duplicate images, and photos that the card was calibrated on."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from embedder import ModelCard

from .compared import ComparedPhotos, compare_photos
from .protocols.folders import people_of
from .protocols.protocol import LabeledPhoto, data_digest

Doubles = list[list[LabeledPhoto]]  # for each image that occurs more than once, its photos


def doubles_of(compared: ComparedPhotos) -> tuple[Doubles, Doubles]:
    """Return the images stored under two people or more, and those stored several times under one person.

    An image can be both; the second list has its photos under that person only.
    """
    photos_of: dict[str, dict[str, list[LabeledPhoto]]] = defaultdict(lambda: defaultdict(list))
    for photo, digest in zip(compared.protocol.photos, compared.embedded.image_digests, strict=True):
        photos_of[digest][photo.identity].append(photo)
    across = [[*chain(*people.values())] for people in photos_of.values() if len(people) > 1]
    return across, [photos for people in photos_of.values() for photos in people.values() if len(photos) > 1]


def without_doubles(compared: ComparedPhotos, *, seed: int) -> ComparedPhotos:
    """Repeat the comparisons without images stored under two people; unchanged if there are none.

    Such an image compared with itself is not an impostor comparison, and its true identity is unknown.
    """
    across, _ = doubles_of(compared)
    if not across:
        return compared
    doubled = {photo for photos in across for photo in photos}
    refused = np.array([photo in doubled for photo in compared.protocol.photos], bool)
    scoring = replace(compared.scoring, refused=refused)
    return compare_photos(compared.protocol, compared.embedded, seed=seed, scoring=scoring)


def evaluation_cautions(compared: ComparedPhotos, card: ModelCard) -> tuple[str, ...]:
    """Describe, in sentences, properties of the data that distort an evaluation's figures."""
    return (*_seen_before(compared, card), *_across_and_within(compared))


def calibration_cautions(compared: ComparedPhotos) -> Iterator[str]:
    """Describe the photos that a calibration leaves out, and genuine comparisons that are too easy."""
    yield from _without_face(compared)
    across, within = doubles_of(compared)
    if across:
        left_out = f"these {sum(map(len, across)):,} photos are left out"
        yield f"{_counted(across)} under two people or more{_for_instance(across)}: {left_out}"
    unclear = set(chain(*across))
    yield from _too_easy([photos for photos in within if not unclear & set(photos)])


def _without_face(compared: ComparedPhotos) -> Iterator[str]:
    failures, n_others = compared.failures(), compared.protocol.n_other_files
    if failures.photos:
        yield f"photos without a usable face are left out: {failures.in_words}"
    if n_others:
        yield f"{n_others:,} other files in the folder of {compared.protocol.name} are not photos by name, so left out"


def _across_and_within(compared: ComparedPhotos) -> Iterator[str]:
    """Describe the effect of byte-identical files on the figures."""
    across, within = doubles_of(compared)
    if across:
        yield f"{_counted(across)} under two people or more{_for_instance(across)}: counted as false matches"
    yield from _too_easy(within)


def _too_easy(within: Doubles) -> Iterator[str]:
    if within:
        yield f"{_counted(within)} under one person more than once{_for_instance(within)}: too easy genuine comparisons"


def _seen_before(compared: ComparedPhotos, card: ModelCard) -> Iterator[str]:
    if card.calibration is None:
        return
    digest = data_digest(people_of(compared.protocol), compared.embedded.image_digests)
    if digest in {data.digest for data in card.calibration.measured_on}:
        yield "these are the photos that the card was calibrated on, so they cannot confirm its claims"


def _counted(groups: Doubles) -> str:
    return "one image is stored" if len(groups) == 1 else f"{len(groups):,} images are stored"


def _for_instance(groups: Doubles) -> str:
    """Name two photos of the first image, of two people if it has two."""
    first, *others = groups[0]
    second = next((photo for photo in others if photo.identity != first.identity), others[0])
    return f" (for instance {first.name} and {second.name})"
