"""Errors of training, from the photos to the run; `run_file_reading` has those of run files."""

from embedder import VisavisError


class TrainingError(VisavisError):
    """A run cannot start or continue; the message says why and what to do."""

    code = "training_error"


class DataError(VisavisError):
    """Photos or prepared data cannot be used; the message says which, and what to do."""

    code = "data_error"


class LossError(VisavisError):
    """A loss cannot be built or computed with these settings; the message says what to change."""

    code = "loss_error"


class SamplingError(VisavisError):
    """The data has too few people for the requested batches; the message says what to lower."""

    code = "sampling_error"


class Collapsed(VisavisError):
    """The embeddings of a run have collapsed; the message gives the measurements and remedies."""

    code = "collapsed"

    def __init__(self, step: int, finding: str, n_looks: int) -> None:
        super().__init__(
            f"the run has collapsed in {n_looks} consecutive checks, the last after step {step:,}: {finding}. "
            "Lower optimizer.rate or lengthen schedule.warm_up; use the semi-hard miner for triplets instead of "
            "hard; raise sampling.people, or add a classification loss to the metric loss; "
            "and check that every folder holds one person. guard.is_on = false turns this check off"
        )
        self.step, self.finding = step, finding
