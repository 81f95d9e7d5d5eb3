"""Images that are the same to the byte, under two people or under one."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from .compared import ComparedPhotos, compare_photos
from .protocols.protocol import LabeledPhoto

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
