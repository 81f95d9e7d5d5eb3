"""What a reader of an evaluation must know of its photos before trusting a figure: doubles, and photos seen before."""

from collections.abc import Iterator

from embedder import ModelCard

from .compared import ComparedPhotos
from .doubles import Doubles, doubles_of
from .protocols.digest import data_digest
from .protocols.folders import people_of


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
