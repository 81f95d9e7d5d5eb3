"""Who a face may be: the people of a gallery nearest to a probe, and which of them match at a claimed FPIR."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Protocol

import numpy as np

from embedder import MEASURES, Embedding, LogLikelihoodRatio, ModelCard, Quality, posterior

from .blocks import Doubles, Singles
from .claims import claim_for
from .index import NearestPeople, NearPerson
from .types import Candidate, Identification

DEFAULT_FPIR = 1e-2
DEFAULT_LIMIT = 5
MOST_CANDIDATES = 100
NOBODY = 0.0  # prior of an empty gallery


@dataclass(frozen=True, slots=True)
class IdentifyOptions:
    """What an identification claims and how much it answers. Raises ValueError for invalid values."""

    fpir: float = DEFAULT_FPIR  # 0..1, false positive identification rate
    prior: float | None = None  # 0..1, that the probe shows a given person; None = 1 / (number of people + 1)
    limit: int = DEFAULT_LIMIT  # candidates in the answer at most

    def __post_init__(self) -> None:
        if not 0 < self.fpir < 1:
            raise ValueError(f"fpir must be between 0 and 1, both excluded, not {self.fpir}")
        if self.prior is not None and not 0 < self.prior < 1:
            raise ValueError(f"prior must be between 0 and 1, both excluded, not {self.prior}")
        if not 1 <= self.limit <= MOST_CANDIDATES:
            raise ValueError(f"limit must be from 1 to {MOST_CANDIDATES}, not {self.limit}")


def penalties_of(card: ModelCard, qualities: Sequence[Quality]) -> Doubles:
    """Return the penalties of photos by each measure of the card, in its order: (n, measures), in units of distance."""
    return penalties_by_measures(card, np.array([astuple(each) for each in qualities]).reshape(-1, len(MEASURES)))


def penalties_by_measures(card: ModelCard, measures: Doubles) -> Doubles:
    """Return what `penalties_of` does, from the measures of the photos' quality: (n, 10), in the order of MEASURES."""
    columns = [rule.of(measures[:, MEASURES.index(rule.measure)]) for rule in card.quality_penalties]
    return np.stack(columns, axis=1) if columns else np.empty((len(measures), 0))


class Searchable(Protocol):
    """Finds the people nearest to a probe, as `TemplateIndex` does."""

    def search(self, vector: Singles, penalties: Doubles, *, k: int, below: float = 0.0) -> NearestPeople:
        """See `TemplateIndex.search`."""
        ...


DEFAULT_OPTIONS = IdentifyOptions()


def identify(
    index: Searchable,
    probe: Embedding,
    card: ModelCard,
    people_of: Callable[[Sequence[str]], Mapping[str, str]],
    options: IdentifyOptions = DEFAULT_OPTIONS,
) -> Identification:
    """Compare a probe with all templates of an index, which are of the probe's digest.

    `people_of` returns the callers' ids of the people whom templates show, without templates that are forgotten by now.
    The candidates are the people nearest to the probe, whether they match or not. Raises ClaimUnavailable.
    """
    (penalties,) = penalties_of(card, [probe.sample.quality])
    nearest = index.search(probe.vector, penalties, k=options.limit)
    return identification_by(nearest, people_of([near.template for near in nearest.people]), card, options)


def identification_by(
    nearest: NearestPeople, names: Mapping[str, str], card: ModelCard, options: IdentifyOptions
) -> Identification:
    """Do what `identify` does, with what a search has found; `names` are the callers' ids by template."""
    if not nearest.n_templates:
        return Identification((), None, options.prior or NOBODY)
    claim = replace(claim_for(card, fpir=options.fpir, n_templates=nearest.n_templates), is_exact=nearest.is_exact)
    prior = options.prior or 1 / (nearest.n_people + 1)
    candidates = (
        _candidate(near, names[near.template], (claim.threshold, prior), card.ratio)
        for near in nearest.people
        if near.template in names
    )
    return Identification(tuple(candidates), claim, prior)


def _candidate(
    near: NearPerson, name: str, threshold_and_prior: tuple[float, float], likelihood_ratio: LogLikelihoodRatio | None
) -> Candidate:
    threshold, prior = threshold_and_prior
    ratio = None if likelihood_ratio is None else likelihood_ratio.at(near.normalized_distance)
    return Candidate(
        person=name,
        template=near.template,
        distance=near.distance,
        normalized_distance=near.normalized_distance,
        probability=None if ratio is None else posterior(ratio, prior),
        log_likelihood_ratio=ratio,
        is_match=near.normalized_distance < threshold,
    )
