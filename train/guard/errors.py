"""What the guard says when a run has collapsed."""

from embedder import VisavisError


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
