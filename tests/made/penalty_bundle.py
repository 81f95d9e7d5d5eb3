"""The default model with a made-up penalty for poor photos or without one, for tests of what is done with it."""

from pathlib import Path

from embedder import ModelCard, QualityPenalty, copy_bundle, read_bundle

BLUR = QualityPenalty(
    measure="sharpness", values=(0.2, 0.3, 0.45), penalties=(0.12, 0.08, 0.0), min_value=0.17, usual=0.7
)
SMALL = QualityPenalty(measure="eye_distance_px", values=(20.0, 40.0), penalties=(0.05, 0.0), min_value=8.0, usual=60.0)
RULE = (BLUR, SMALL)


def card_with(*rule: QualityPenalty) -> ModelCard:
    """The default model's card with a made-up rule, or with none."""
    card = read_bundle().card
    return card.model_validate(dict(card) | {"quality_penalties": rule})


def write_with(folder: Path, *rule: QualityPenalty) -> Path:
    """Write a bundle of that card."""
    copy_bundle(None, folder, card_with(*rule))
    return folder
