"""Embedded faces -> verdicts: each is graded, admitted or refused, and judged by a standard."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from .comparison import Comparison, ComparisonBatch, DecisionRule, Judgement, Subject
from .errors import SampleError, blaming
from .quality_penalty import Rule, grade_of, require
from .types import ModelIdentity, Sample, Timings


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFace:
    """One face that can be judged."""

    sample: Sample
    subject: Subject


class Verifier:
    """By one model's rules."""

    def __init__(self, rule: Rule, identity: ModelIdentity) -> None:
        """`rule` says what a poor photo costs."""
        self._rule, self._identity = rule, identity

    def known(self, sample: Sample, vector: NDArray[np.float32]) -> EmbeddedFace:
        """A face with its grade, if the card has a rule for poor photos."""
        subject = Subject(vector, sample.quality)
        if not self._rule:
            return EmbeddedFace(sample, subject)
        return EmbeddedFace(replace(sample, grade=grade_of(self._rule, sample.quality)), subject)

    def batch(
        self,
        probe: EmbeddedFace,
        references: Sequence[EmbeddedFace | SampleError],
        standard: DecisionRule,
        timings: Timings,
        *,
        refuse: bool,
    ) -> ComparisonBatch:
        """Judge a probe against references, some of which are errors already.

        With `refuse` a face that is too poor for the card's rule is one. Raises LowQuality where it is the probe's.
        """
        with blaming("probe"):
            self._admit(probe, refuse=refuse)
        judged = [
            self._admitted(each, refuse=refuse) if isinstance(each, EmbeddedFace) else each for each in references
        ]
        judgements = standard.judge(probe.subject, [each.subject for each in judged if isinstance(each, EmbeddedFace)])
        results = tuple(
            self._comparison((probe, each), next(judgements), standard, timings)
            if isinstance(each, EmbeddedFace)
            else each
            for each in judged
        )
        return ComparisonBatch(results, self._identity, timings)

    def _admit(self, face: EmbeddedFace, *, refuse: bool) -> EmbeddedFace:
        """Return it; raises LowQuality where its photo is too poor and that is to be refused."""
        if refuse:
            require(self._rule, face.sample.quality)
        return face

    def _admitted(self, face: EmbeddedFace, *, refuse: bool) -> EmbeddedFace | SampleError:
        try:
            with blaming("reference"):
                return self._admit(face, refuse=refuse)
        except SampleError as error:
            return error

    def _comparison(
        self, faces: tuple[EmbeddedFace, EmbeddedFace], judgement: Judgement, standard: DecisionRule, timings: Timings
    ) -> Comparison:
        probe, reference = (face.sample for face in faces)
        return Comparison(
            **{field.name: getattr(judgement, field.name) for field in fields(judgement)},
            operating_point=standard.operating_point,
            prior=standard.prior,
            probe=probe,
            reference=reference,
            model=self._identity,
            timings_ms=timings,
        )
