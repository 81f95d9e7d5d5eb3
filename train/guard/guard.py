"""The guard: looks at a run every few steps, and ends it when it has collapsed."""

from collections.abc import Mapping
from dataclasses import asdict

from ..errors import Collapsed
from ..losses.total import LossValue
from ..runfile import run as runfile
from .health import EmbeddingHealth
from .signs import broken, explosion, line, point

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


class CollapseGuard:
    """Remembers the first look, which belongs to the first step, and how many looks in a row found a collapse."""

    def __init__(self, settings: runfile.GuardConfig) -> None:
        self._settings = settings
        self._first: EmbeddingHealth | None = None
        self._n_found = 0

    @property
    def is_worried(self) -> bool:
        """Did the last look find a collapse?"""
        return self._n_found > 0

    def look(self, step: int, health: EmbeddingHealth, loss: LossValue) -> None:
        """Judge the embeddings and the loss of a batch; raises Collapsed after `patience` findings in a row."""
        finding = self._finding(health, loss)
        self._n_found = 0 if finding is None else self._n_found + 1
        if finding is not None and self._settings.is_on and self._n_found >= self._settings.patience:
            raise Collapsed(step, finding, self._n_found)

    def _finding(self, health: EmbeddingHealth, loss: LossValue) -> str | None:
        finding = broken(health, loss)
        if finding is not None:
            return finding
        self._first = first = self._first or health
        found = (sign(health, first, loss) for sign in (point, line, explosion))
        return next((each for each in found if each is not None), None)

    def to_dict(self) -> dict[str, Plain]:
        """All that it remembers, as plain numbers."""
        return {"first": None if self._first is None else asdict(self._first), "n_found": self._n_found}

    def load(self, facts: Mapping[str, Plain]) -> None:
        """Remember what `to_dict` gave; raises ValueError where that is something else."""
        first, n_found = facts.get("first"), facts.get("n_found")
        if not isinstance(n_found, int) or not (first is None or isinstance(first, dict)):
            raise ValueError(f"these are no facts of a guard: {sorted(facts)}")
        self._first = None if first is None else EmbeddingHealth(**first)  # type: ignore[arg-type] # plain numbers, as asdict gave
        self._n_found = n_found
