"""What can go wrong in a training, beside its data, its run file and its losses."""

from embedder import VisavisError


class TrainingError(VisavisError):
    """A run that cannot be made or cannot go on; the message says why and what to do."""

    code = "training_error"
