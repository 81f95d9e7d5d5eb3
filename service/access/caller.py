"""Who sends a request: found before its body is read, and used by limits, fairness, logs and audit."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from starlette.requests import Request

Scope: TypeAlias = Literal["verify", "embed", "explain", "enrol", "identify", "forget", "metrics", "admin"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The id of the caller's key (no secret), None without keys; the address of the connection; what it may do."""

    key_id: str | None = None
    address: str = field(default="", repr=False)
    scopes: frozenset[Scope] = frozenset()

    @property
    def share(self) -> str:
        """The name by which limits and fairness count: the key's id, or else the address."""
        return self.key_id or self.address


def caller_of(request: Request) -> Caller:
    """Return who sends a request; without access control, a caller known by its address only."""
    found = getattr(request.state, "caller", None)
    if isinstance(found, Caller):
        return found
    return Caller(address=request.client.host if request.client else "")
