"""Who sends a request: found before its body is read, and used by limits, fairness, logs and audit."""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal, TypeAlias

from starlette.requests import Request

Scope: TypeAlias = Literal["verify", "embed", "explain", "enrol", "identify", "forget", "metrics", "admin"]

IPV6_PREFIX = 64  # bits: the least that a provider gives to one customer


@dataclass(frozen=True, slots=True)
class Caller:
    """The id of the caller's key (no secret), None without keys; the address of the connection; what it may do."""

    key_id: str | None = None
    address: str = field(default="", repr=False)
    scopes: frozenset[Scope] = frozenset()

    @property
    def share(self) -> str:
        """The name by which limits and fairness count: the key's id, or else the address, of IPv6 its /64."""
        return self.key_id or network_of(self.address)


def caller_of(request: Request) -> Caller:
    """Return who sends a request; without access control, a caller known by its address only."""
    found = getattr(request.state, "caller", None)
    if isinstance(found, Caller):
        return found
    return Caller(address=request.client.host if request.client else "")


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and of an IPv6 address its /64, of which one caller may have every address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return address
