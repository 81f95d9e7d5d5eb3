"""What can go wrong in a training, from the photos to the run; a wrong run file is told by runfile."""

from embedder import VisavisError


class TrainingError(VisavisError):
    """A run that cannot be made or cannot go on; the message says why and what to do."""

    code = "training_error"


class DataError(VisavisError):
    """Photos or prepared data that cannot be used; the message says which, and what to do."""

    code = "data_error"


class LossError(VisavisError):
    """A loss cannot be had from what the run file asks for; the message says what to change."""

    code = "loss_error"


class SamplingError(VisavisError):
    """The data has too few people for the batches that are asked for; the message says what to lower."""

    code = "sampling_error"


class Collapsed(VisavisError):
    """A run has collapsed and will not come back; the message says what was seen, and what to try."""

    code = "collapsed"

    def __init__(self, step: int, finding: str, n_looks: int) -> None:
        super().__init__(
            f"the run has collapsed, seen at {n_looks} looks in a row, the last after step {step:,}: {finding}. "
            "Lower optimizer.rate or let it rise longer (schedule.warm_up); of triplets take semi-hard ones instead of "
            "hard ones; put more people into a batch (sampling.people), or a classification beside the metric loss; "
            "and see that every folder holds one person. guard.is_on = false lets a run go on regardless"
        )
        self.step, self.finding = step, finding
