"""All that one `visavis evaluate` has to say, as text or as JSON."""

from dataclasses import dataclass
from typing import Any

from .against import ModelComparison
from .as_json import evaluation_record, groups_record, versus_record
from .as_text import evaluation_text, groups_text, versus_text
from .groups import GroupReport
from .record import Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationOutput:
    """An evaluation, and what was asked for beside it."""

    found: Evaluation
    versus: ModelComparison | None  # a second model
    groups: GroupReport | None  # error rates by group

    def text(self) -> str:
        """Return it for a terminal."""
        parts = [evaluation_text(self.found)]
        if self.versus is not None:
            parts += [evaluation_text(self.versus.second), versus_text(self.versus)]
        if self.groups is not None:
            parts.append(groups_text(self.groups))
        return "\n\n".join(parts)

    def record(self) -> dict[str, Any]:
        """Return it for a program."""
        return evaluation_record(self.found) | {
            "against": None if self.versus is None else versus_record(self.versus),
            "groups": None if self.groups is None else groups_record(self.groups),
        }
