"""What can go wrong with a loss."""

from embedder import VisavisError


class LossError(VisavisError):
    """A loss cannot be had from what the run file asks for; the message says what to change."""

    code = "loss_error"
