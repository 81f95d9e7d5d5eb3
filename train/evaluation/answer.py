"""All that one `visavis evaluate` has to say, as text or as JSON."""

from dataclasses import dataclass
from typing import Any

from .against import Versus
from .as_json import as_record, groups_record, versus_record
from .as_text import as_text, groups_text, versus_text
from .groups import GroupReport
from .record import Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """An evaluation, and what was asked for beside it."""

    found: Evaluation
    versus: Versus | None  # a second model
    groups: GroupReport | None  # error rates by group

    def text(self) -> str:
        """Return it for a terminal."""
        parts = [as_text(self.found)]
        if self.versus is not None:
            parts += [as_text(self.versus.second), versus_text(self.versus)]
        if self.groups is not None:
            parts.append(groups_text(self.groups))
        return "\n\n".join(parts)

    def record(self) -> dict[str, Any]:
        """Return it for a program."""
        return as_record(self.found) | {
            "against": None if self.versus is None else versus_record(self.versus),
            "groups": None if self.groups is None else groups_record(self.groups),
        }
