"""What a reader of an evaluation must know of its photos before trusting a figure: doubles, and photos seen before."""

from collections import defaultdict
from collections.abc import Iterator

from embedder import ModelCard

from .compared import Compared
from .protocols.digest import data_digest
from .protocols.folders import people_of
from .protocols.protocol import Photo


def cautions(compared: Compared, card: ModelCard) -> tuple[str, ...]:
    """Return them as sentences."""
    return (*_seen_before(compared, card), *doubles(compared))


def doubles(compared: Compared) -> Iterator[str]:
    """Say of files that are the same to the byte what they do to the figures."""
    photos_of: dict[str, list[Photo]] = defaultdict(list)
    for photo, digest in zip(compared.protocol.photos, compared.embedded.image_digests, strict=True):
        photos_of[digest].append(photo)
    double = [photos for photos in photos_of.values() if len(photos) > 1]
    across = [photos for photos in double if len({photo.identity for photo in photos}) > 1]
    within = [photos for photos in double if len({photo.identity for photo in photos}) == 1]
    if across:
        yield f"{_counted(across)} under two people or more{_for_instance(across)}: false matches that are none"
    if within:
        yield f"{_counted(within)} under one person more than once{_for_instance(within)}: too easy genuine comparisons"


def _seen_before(compared: Compared, card: ModelCard) -> Iterator[str]:
    if card.calibration is None:
        return
    digest = data_digest(people_of(compared.protocol), compared.embedded.image_digests)
    if card.own_threshold is not None and digest == card.own_threshold.cohort.data.digest:
        yield "these are the photos that the card's cohort was taken from: its own thresholds know these very people"
    if digest == card.calibration.data.digest:
        yield "these are the photos that the card was calibrated on: that its claims hold here says nothing"


def _counted(groups: list[list[Photo]]) -> str:
    return "one image lies" if len(groups) == 1 else f"{len(groups):,} images lie"


def _for_instance(groups: list[list[Photo]]) -> str:
    return f" (for instance {' and '.join(photo.name for photo in groups[0][:2])})"
