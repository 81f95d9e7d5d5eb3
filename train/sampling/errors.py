"""What can go wrong in the choice of a batch."""

from embedder import VisavisError


class SamplingError(VisavisError):
    """The data has too few people for the batches that are asked for; the message says what to lower."""

    code = "sampling_error"
