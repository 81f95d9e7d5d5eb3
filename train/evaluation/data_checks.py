"""What a reader of an evaluation must know of its photos: the same image twice, and photos seen before."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from embedder import ModelCard

from .compared import ComparedPhotos, compare_photos
from .protocols.folders import people_of
from .protocols.protocol import LabeledPhoto, data_digest

Doubles = list[list[LabeledPhoto]]  # each image that there is more than once, as the photos that are it


def doubles_of(compared: ComparedPhotos) -> tuple[Doubles, Doubles]:
    """Return the images that lie under two people or more, and those that lie under one person more than once."""
    photos_of: dict[str, list[LabeledPhoto]] = defaultdict(list)
    for photo, digest in zip(compared.protocol.photos, compared.embedded.image_digests, strict=True):
        photos_of[digest].append(photo)
    double = [photos for photos in photos_of.values() if len(photos) > 1]
    across = [photos for photos in double if len({photo.identity for photo in photos}) > 1]
    return across, [photos for photos in double if len({photo.identity for photo in photos}) == 1]


def without_doubles(compared: ComparedPhotos, *, seed: int) -> ComparedPhotos:
    """Compare photos anew without those under two people; the same comparisons if there are none.

    A comparison of one image with itself says nothing of two people, and whom the image shows nobody knows.
    """
    across, _ = doubles_of(compared)
    if not across:
        return compared
    doubled = {photo for photos in across for photo in photos}
    refused = np.array([photo in doubled for photo in compared.protocol.photos], bool)
    scoring = replace(compared.scoring, refused=refused)
    return compare_photos(compared.protocol, compared.embedded, seed=seed, scoring=scoring)


def evaluation_cautions(compared: ComparedPhotos, card: ModelCard) -> tuple[str, ...]:
    """Return them as sentences."""
    return (*_seen_before(compared, card), *_across_and_within(compared))


def calibration_cautions(compared: ComparedPhotos) -> Iterator[str]:
    """Say what must be known of photos that a model is calibrated on: which are left out, and which are too easy."""
    across, within = doubles_of(compared)
    if across:
        left_out = f"these {sum(map(len, across)):,} photos are left out"
        yield f"{_counted(across)} under two people or more{_for_instance(across)}: {left_out}"
    yield from _too_easy(within)


def _across_and_within(compared: ComparedPhotos) -> Iterator[str]:
    """Say of files that are the same to the byte what they do to the figures."""
    across, within = doubles_of(compared)
    if across:
        yield f"{_counted(across)} under two people or more{_for_instance(across)}: false matches that are none"
    yield from _too_easy(within)


def _too_easy(within: Doubles) -> Iterator[str]:
    if within:
        yield f"{_counted(within)} under one person more than once{_for_instance(within)}: too easy genuine comparisons"


def _seen_before(compared: ComparedPhotos, card: ModelCard) -> Iterator[str]:
    if card.calibration is None:
        return
    digest = data_digest(people_of(compared.protocol), compared.embedded.image_digests)
    if digest in {data.digest for data in card.calibration.measured_on}:
        yield "these are the photos that the card was calibrated on: that its claims hold here says nothing"


def _counted(groups: Doubles) -> str:
    return "one image lies" if len(groups) == 1 else f"{len(groups):,} images lie"


def _for_instance(groups: Doubles) -> str:
    return f" (for instance {' and '.join(photo.name for photo in groups[0][:2])})"
