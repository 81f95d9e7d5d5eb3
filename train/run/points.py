"""Operating points of a new model, measured on people held out; own thresholds where there is enough to fit them on."""

from dataclasses import dataclass, replace

import numpy as np

from embedder import ModelCard

from ..evaluation.calibration import Described, Normalising, calibrate
from ..evaluation.compared import Compared
from ..evaluation.evaluation import Setting
from ..evaluation.operating_points import DEFAULT_POINT, FMRS
from ..evaluation.protocols.protocol import Indices, Photo, ProtocolError
from ..own_threshold.fit import Strangers, fit
from .held_out_photos import protocol_of
from .people import People

PHOTOS_OF_A_STRANGER = 2  # in the cohort: more people tell more than more photos of one, and each is embedded anew


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A card with its points."""

    card: ModelCard
    neighbourhood: bytes | None  # the bundle's file, where there are own thresholds
    notes: tuple[str, ...]  # what could not be measured, and why


def calibrated(compared: Compared, setting: Setting, people: People, described: Described, *, own: bool) -> Calibrated:
    """Measure points on compared photos of people held out; `own`: fit own thresholds too, if that can be.

    Their cohort are the people who were learnt from, so their photos, and those of the people held out, must still lie
    where they were prepared from. Raises CacheError.
    """
    notes: list[str] = []
    normalising, neighbourhood = None, None
    if own:
        try:
            normalising, neighbourhood = _normalising(compared, setting, people, described)
        except ProtocolError as error:
            notes.append(f"one threshold for all pairs: {error}")
    try:
        card = calibrate(compared, setting, described, normalising)
    except ProtocolError as error:
        return Calibrated(setting.embedder.card, None, (*notes, f"no operating points: {error}"))
    return Calibrated(card, neighbourhood, tuple(notes))


def _normalising(
    compared: Compared, setting: Setting, people: People, described: Described
) -> tuple[Normalising, bytes]:
    cohort = protocol_of(people.data, _some_of_each(people), people.data.folder.name)
    require_photos((*compared.protocol.photos, *cohort.photos))
    strangers = Strangers(cohort, described.population, replace(setting, face=cohort.face))
    fitted = fit(compared, strangers, setting, FMRS[DEFAULT_POINT])
    return Normalising(fitted.foundation, fitted.places), fitted.neighbourhood


def _some_of_each(people: People) -> Indices:
    """The first photos of every person who is learnt from."""
    order = np.argsort(people.labels, kind="stable")
    labels = people.labels[order]
    rank = np.arange(len(labels)) - np.searchsorted(labels, labels)
    chosen: Indices = people.positions[np.sort(order[rank < PHOTOS_OF_A_STRANGER])]
    return chosen


def require_photos(photos: tuple[Photo, ...]) -> None:
    """Raise ProtocolError where photos are no longer where they were prepared from."""
    missing = sum(not photo.path.is_file() for photo in photos)
    if missing:
        raise ProtocolError(
            f"{missing:,} of {len(photos):,} photos no longer lie where they were prepared from, and poor copies of "
            "them are what a poor photo's price is measured on; run visavis calibrate --cohort when they are back"
        )
