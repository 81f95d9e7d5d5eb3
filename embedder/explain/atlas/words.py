"""One honest sentence for each channel, in two languages."""

from dataclasses import dataclass

from ..sentences import Sentence
from .traits import Trait

WEAK = 0.2  # an |r| below it leaves 96% of what the channel does unexplained

NOTHING = Sentence("no measured trait explains it", "没有任何已测特征能解释它")


@dataclass(frozen=True, slots=True)
class Correlation:
    """How a channel goes with a trait; the interval holds for all channels and traits at once."""

    trait: Trait
    r: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Does the interval exclude 0?"""
        return self.low > 0 or self.high < 0


def sentence_of(correlations: list[Correlation]) -> Sentence:
    """What the channel goes with most, if that is sure."""
    sure = [each for each in correlations if each.is_sure]
    if not sure:
        return NOTHING
    most = max(sure, key=lambda each: abs(each.r))
    interval = f"r = {most.r:.2f} [{most.low:.2f}, {most.high:.2f}]"
    is_weak = abs(most.r) < WEAK
    rises, up = ("rises", "升高") if most.r > 0 else ("falls", "降低")
    weakly, barely = (" weakly", "略有") if is_weak else ("", "")
    return Sentence(
        f"{rises}{weakly} with {most.trait.en}, {interval}", f"随{most.trait.zh}增大而{barely}{up},{interval}"
    )
