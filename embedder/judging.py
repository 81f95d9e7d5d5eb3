"""Embedded faces -> verdicts: each is graded, admitted or refused, and judged by a standard."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from .comparison import Comparison, ComparisonBatch, Judgement, Standard, Subject
from .errors import SampleError, blaming
from .grading import Grader
from .types import ModelIdentity, Quality, Sample, Timings


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """One face that can be judged."""

    sample: Sample
    subject: Subject


class Judging:
    """By one model's rules."""

    def __init__(self, grader: Grader | None, identity: ModelIdentity) -> None:
        """`grader` is None where the card has no own thresholds."""
        self._grader, self._identity = grader, identity

    def subject(self, vector: NDArray[np.float32], quality: Quality | None) -> Subject:
        """A face as its distances are judged; None where the quality of its photo is not known."""
        return Subject(vector, None if self._grader is None else self._grader.standing(vector, quality))

    def known(self, sample: Sample, vector: NDArray[np.float32]) -> Known:
        """A face with its grade."""
        subject = self.subject(vector, sample.quality)
        if self._grader is None or subject.standing is None:
            return Known(sample, subject)
        return Known(replace(sample, grade=self._grader.grade(subject.standing)), subject)

    def batch(
        self,
        probe: Known,
        references: Sequence[Known | SampleError],
        standard: Standard,
        timings: Timings,
        *,
        refuse: bool,
    ) -> ComparisonBatch:
        """Judge a probe against references, some of which are errors already.

        With `refuse` a face below the card's floor of quality is one. Raises LowQuality where it is the probe's.
        """
        with blaming("probe"):
            self._admit(probe, refuse=refuse)
        judged = [self._admitted(each, refuse=refuse) if isinstance(each, Known) else each for each in references]
        judgements = standard.judge(probe.subject, [each.subject for each in judged if isinstance(each, Known)])
        results = tuple(
            self._comparison((probe, each), next(judgements), standard, timings) if isinstance(each, Known) else each
            for each in judged
        )
        return ComparisonBatch(results, self._identity, timings)

    def _admit(self, face: Known, *, refuse: bool) -> Known:
        """Return it; raises LowQuality where its photo is too poor and that is to be refused."""
        if refuse and self._grader is not None and face.subject.standing is not None:
            self._grader.require(face.subject.standing)
        return face

    def _admitted(self, face: Known, *, refuse: bool) -> Known | SampleError:
        try:
            with blaming("reference"):
                return self._admit(face, refuse=refuse)
        except SampleError as error:
            return error

    def _comparison(
        self, faces: tuple[Known, Known], judgement: Judgement, standard: Standard, timings: Timings
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
