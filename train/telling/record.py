"""What is known of a run at a step, and when people held out were looked at.

Steps and seconds count from the run's start, over all its parts if it was interrupted.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """A run after so many steps. What a loss has no notion of, or what was not measured, is None."""

    step: int  # steps done
    seconds: float
    rate_faces_s: float
    loss: float
    parts: Mapping[str, float]  # the loss's terms by name; those of weight 0 may be absent
    learning_rate: float
    gradient_norm: float | None = None  # before it is clipped
    active_share: float | None = None  # of triplets or pairs that still cost something
    positive_distance: float | None = None  # mean, of two images of one person
    negative_distance: float | None = None  # mean, of two people
    effective_rank: float | None = None  # of the embeddings' channels
    least_variance: float | None = None  # over the channels


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """How well people held out are told apart after so many steps."""

    step: int
    seconds: float
    eer: float
    fnmr_at_1_percent: float | None  # FNMR where FMR is 1e-2; None: too few comparisons to say
    n_genuine: int
    n_impostor: int
    is_best: bool  # the lowest EER so far
