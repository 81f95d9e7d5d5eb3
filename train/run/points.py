"""Operating points of a new model, measured on people held out; what a poor photo costs, where that can be fitted."""

from dataclasses import dataclass

from embedder import ModelCard, QualityPenalty

from ..evaluation.calibration import PopulationFacts, calibrate
from ..evaluation.compared import ComparedPhotos
from ..evaluation.evaluation import EvaluationConfig
from ..evaluation.protocols.protocol import LabeledPhoto, ProtocolError
from ..evaluation.quality_penalty import fit_quality_penalties


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedCard:
    """A card with its points."""

    card: ModelCard
    notes: tuple[str, ...]  # what could not be measured, and why


def calibrate_held_out(
    compared: ComparedPhotos, setting: EvaluationConfig, described: PopulationFacts, *, degrade: bool
) -> CalibratedCard:
    """Measure points on compared photos of people held out; `degrade`: fit what a poor photo costs, if that can be.

    For the latter their photos must still lie where they were prepared from. Raises CacheError.
    """
    notes: list[str] = []
    rule: tuple[QualityPenalty, ...] = ()
    if degrade:
        try:
            require_photos(compared.protocol.photos)
            rule = fit_quality_penalties(compared, setting)
        except ProtocolError as error:
            notes.append(f"no penalty for poor photos: {error}")
    try:
        card = calibrate(compared, setting, described, rule)
    except ProtocolError as error:
        return CalibratedCard(setting.embedder.card, (*notes, f"no operating points: {error}"))
    return CalibratedCard(card, tuple(notes))


def require_photos(photos: tuple[LabeledPhoto, ...]) -> None:
    """Raise ProtocolError where photos are no longer where they were prepared from."""
    missing = sum(not photo.path.is_file() for photo in photos)
    if missing:
        raise ProtocolError(
            f"{missing:,} of {len(photos):,} photos no longer lie where they were prepared from, and what a poor photo "
            "costs is measured on degraded copies of them; run visavis calibrate --degrade when they are back"
        )
