"""A bundle with own thresholds, for tests of what is done with them: the default model under a made-up card."""

from pathlib import Path

import numpy as np

from embedder import (
    CalibrationData,
    Cohort,
    LogLikelihoodRatio,
    ModelCard,
    OperatingPoint,
    OwnThreshold,
    PenaltyCurve,
    QualityRule,
    copy_bundle,
    load,
    serialize_tensors,
    sha256_of,
)

N_FEATURES = 8385
NOTHING = CalibrationData(
    name="made up", digest="sha256:" + "0" * 64, population="Nobody.", n_identities=0, n_images=0, n_without_face=0
)
BLUR = PenaltyCurve(measure="sharpness", worse="low", values=(0.0, 0.1, 0.4), penalties=(5.0, 4.0, 0.0), usual=0.5)
BLOCKS = PenaltyCurve(measure="blockiness", worse="high", values=(2.0, 12.0), penalties=(0.0, 3.0), usual=0.7)
INDISTINCT = PenaltyCurve(measure="embedding_length", worse="low", values=(0.5, 0.9), penalties=(1.0, 0.0), usual=1.0)


def coefficients(mean: float = 1.25, spread: float = 0.03, *, seed: int | None = None) -> bytes:
    """The same place for every face, or by a seed a place that differs from face to face."""
    wiggle = np.zeros((2, N_FEATURES)) if seed is None else np.random.default_rng(seed).normal(0, 0.02, (2, N_FEATURES))
    wiggle[:, 0] += (mean, np.log(spread))
    rows = wiggle.astype(np.float32)
    return serialize_tensors({"mean": rows[0], "log_spread": rows[1]})


def own_threshold(neighbourhood: bytes) -> OwnThreshold:
    """Points at usual thresholds of 1.205, 1.139 and 1.07."""
    levels = {"fmr-1e-2": -1.5, "fmr-1e-3": -3.7, "fmr-1e-4": -6.0}
    return OwnThreshold(
        coefficients_sha256=sha256_of(neighbourhood),
        cohort=Cohort(data=NOTHING, n_nearest=50, n_degraded=0, regularization=1.0, r2_mean=0.8, r2_log_spread=0.4),
        mean_range=(1.0, 1.5),
        spread_range=(0.01, 0.1),
        usual_mean=1.25,
        usual_spread=0.03,
        quality=QualityRule(curves=(BLUR, BLOCKS, INDISTINCT), floor=3.0),
        log_likelihood_ratio=LogLikelihoodRatio(intercept=-3.0, slope=-1.0, nearest=-18.0, farthest=4.0),
        operating_points=tuple(
            OperatingPoint(name=name, threshold=level, fmr=float(name[4:]), fnmr=None, note="Made up.")
            for name, level in levels.items()
        ),
    )


def card_with(neighbourhood: bytes) -> ModelCard:
    """The default model's card with made-up own thresholds."""
    card = load().card
    return card.model_validate(dict(card) | {"own_threshold": own_threshold(neighbourhood)})


def write_own_bundle(folder: Path, neighbourhood: bytes | None = None) -> Path:
    """Write the bundle; the same place for every face unless other coefficients are given."""
    neighbourhood = neighbourhood or coefficients()
    copy_bundle(None, folder, card_with(neighbourhood), neighbourhood)
    return folder
