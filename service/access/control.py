"""Access control: host names, origins, keys, scopes and limits, checked before a byte of a body is read.

Whether a caller has the scope is checked by a dependency of every route, because only then the route is known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal, Self, TypeAlias
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope as AsgiScope, Send

from ..errors import CrossSiteRequest, Forbidden, Unauthorized, UnknownHost
from ..settings import Settings
from .caller import Caller, Scope, caller_of
from .keys import KEY_PATTERN, KeyFile, KeyStore
from .rate_limits import RateCounting, RateLimits, joined

ANY_KEY: Literal["any key"] = "any key"  # a valid key, whatever its scopes
PUBLIC: Literal["public"] = "public"  # no key: the same content for everyone, about no person

Need: TypeAlias = Scope | Literal["any key", "public"]
Network: TypeAlias = IPv4Network | IPv6Network

_PERSON = "/v1/galleries/{gallery}/people/{person}"
# What each route needs; where methods differ, that of each. Answers with embeddings, faces or maps have scopes of their
# own. Whoever enrols people may read who is enrolled; whoever identifies them may not.
NEEDS: Mapping[str, Need | Mapping[str, Need]] = {
    "/v1/verify": "verify",
    "/v1/verify/many": "verify",
    "/v1/faces": "verify",
    "/v1/embeddings/compare": "verify",
    "/v1/embeddings": "embed",
    "/v1/explain": "explain",
    "/v1/maps": "explain",
    "/v1/galleries/{gallery}": {"PUT": "enrol", "GET": "enrol", "DELETE": "forget"},
    "/v1/galleries/{gallery}/people": "enrol",
    "/v1/galleries/{gallery}/identify": "identify",
    _PERSON: {"PUT": "enrol", "GET": "enrol", "DELETE": "forget"},
    f"{_PERSON}/photos": "enrol",
    f"{_PERSON}/verify": "identify",
    f"{_PERSON}/templates/{{template}}": "forget",
    "/v1/model": ANY_KEY,
    "/v1/layers": ANY_KEY,
    "/v1/atlas": ANY_KEY,
    "/metrics": "metrics",
    "/v1/admin/reload": "admin",
    "/healthz": PUBLIC,
    "/readyz": PUBLIC,
    "/": PUBLIC,
    "/page/{name}": PUBLIC,
    "/docs": PUBLIC,
    "/docs/{name}": PUBLIC,
    "/openapi.json": PUBLIC,
    "/errors": PUBLIC,
}
PUBLIC_PATHS = frozenset(path for path, need in NEEDS.items() if need == PUBLIC)
PUBLIC_FOLDERS = ("/page/", "/docs/")
PROBES = ("/healthz", "/readyz")  # never limited

HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::[0-9]{1,5})?")
NAVIGATIONS = ("GET", "HEAD")
OTHER_SITES = ("cross-site", "same-site")
ANY_ORIGIN = "*"


@dataclass(frozen=True, slots=True)
class HostNames:
    """The names by which this service may be called; an address is always one, since no DNS can rebind it."""

    names: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the names that the settings give."""
        return cls(frozenset({"localhost", settings.host.lower(), *settings.hosts}))

    def check(self, headers: Headers) -> None:
        """Raise UnknownHost if the Host header has another name. Without the header no browser has asked."""
        given = headers.getlist("host")
        if len(given) > 1 or not all(host in self.names or _parsed(host) for host in map(_host_of, given)):
            raise UnknownHost


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies whose X-Forwarded-For is believed."""

    networks: tuple[Network, ...] = ()

    def client_address(self, peer: str, headers: Headers) -> str:
        """Return the last address that no trusted proxy has: what stands before it, anyone may have written."""
        hops = [hop.strip() for value in headers.getlist("x-forwarded-for") for hop in value.split(",")]
        address = peer
        while hops and self._trusts(address):
            hop = _address_of(hops.pop())
            if hop is None:
                break
            address = str(hop)
        return address

    def _trusts(self, address: str) -> bool:
        parsed = _address_of(address)
        return parsed is not None and any(parsed in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who is admitted; `keys` None = everyone who reaches the service and is no page of another site."""

    keys: KeyStore | None
    hosts: HostNames | None  # None = any name, because a page that rebinds a name has no key
    origins: tuple[str, ...]
    proxies: TrustedProxies
    limits: RateLimits

    @classmethod
    def of(cls, settings: Settings, counter: RateCounting | None = None) -> Self:
        """Read the settings, and the file of keys; `counter` counts for several processes. Raises KeyFileError."""
        keys = None if settings.keys is None else KeyStore(KeyFile(Path(settings.keys)))
        return cls(
            keys,
            None if keys is not None and not settings.hosts else HostNames.of(settings),
            settings.origins,
            TrustedProxies(tuple(ip_network(each) for each in settings.trusted_proxies)),
            RateLimits(settings.rate_limit, settings.address_rate_limit, counter),
        )

    def check_host(self, scope: AsgiScope) -> None:
        """Raise UnknownHost if the request is for another host."""
        if self.hosts is not None:
            self.hosts.check(Headers(scope=scope))

    def admit(self, scope: AsgiScope) -> tuple[Caller, dict[str, str]]:
        """Return who asks, and the headers about limits.

        Raises Unauthorized, CrossSiteRequest, RateLimited.
        """
        headers, path = Headers(scope=scope), scope["path"]
        peer = scope["client"][0] if scope.get("client") else ""
        address = self.proxies.client_address(peer, headers)
        if path in PROBES:
            return Caller(address=address), {}
        of_address = self.limits.count_address(address)
        if self.keys is None:
            if not _is_public(path) and self._is_cross_site(scope["method"], headers):
                raise CrossSiteRequest
            return Caller(address=address), of_address
        caller, of_key = self._by_key(scope, headers, address, self.keys)
        return caller, joined(of_address, of_key)

    def _by_key(
        self, scope: AsgiScope, headers: Headers, address: str, keys: KeyStore
    ) -> tuple[Caller, dict[str, str]]:
        is_in_url = _has_key(scope)
        if _is_public(scope["path"]) and not is_in_url:
            return Caller(address=address), {}
        record = keys.find(_presented(headers))
        if record is None or is_in_url:
            self.limits.count_failure(address)
            raise Unauthorized
        return Caller(record.id, address, frozenset(record.scopes)), self.limits.count_key(record)

    def _is_cross_site(self, method: str, headers: Headers) -> bool:
        """Tell whether a browser asks for a page of another origin; only browsers send these headers."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site == "same-origin" or ANY_ORIGIN in self.origins:
            return False
        if origin is not None:
            return origin not in self.origins and origin.partition("://")[2] != headers.get("host")
        is_link = method in NAVIGATIONS and headers.get("sec-fetch-mode") == "navigate"  # which no page can read
        return site in OTHER_SITES and not is_link


@dataclass(frozen=True, slots=True)
class AccessControl:
    """ASGI middleware that admits a request, or raises why not."""

    app: ASGIApp
    policy: AccessPolicy

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller, headers = self.policy.admit(scope)
        scope.setdefault("state", {})["caller"] = caller

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self.app(scope, receive, answer if headers else send)


@dataclass(frozen=True, slots=True)
class ScopeCheck:
    """A dependency of every route: the caller's key has the scope that the route needs."""

    needs_keys: bool

    async def __call__(self, request: Request) -> None:
        """Raise Forbidden, or Unauthorized if there is no caller with a key."""
        if not self.needs_keys:
            return
        need = need_of(request.scope["route"])  # a failure if it is missing, so that nothing is served by mistake
        if need == PUBLIC:
            return
        caller = caller_of(request)
        if caller.key_id is None:
            raise Unauthorized
        if need != ANY_KEY and need not in caller.scopes:
            raise Forbidden(need)


def need_of(route: BaseRoute) -> Need:
    """Return who may use a route. Raises RuntimeError if NEEDS does not say it.

    A route that is not FastAPI's own is refused: it has no dependencies, so no scope would be checked.
    """
    needs = {_known(route.path, each) for each in route.methods or ()} if isinstance(route, APIRoute) else {None}
    need = next(iter(needs), None)
    if need is None or len(needs) > 1:
        raise RuntimeError(f"say in NEEDS of service/access/control.py who may use {route}")
    return need


def _known(path: str, method: str) -> Need | None:
    """Return what NEEDS says of a route; None if it says nothing."""
    need = NEEDS.get(path)
    return need.get(method) if isinstance(need, Mapping) else need


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own."""
    return ip_address(address.partition("%")[0]).is_loopback


def _is_public(path: str) -> bool:
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDERS)


def _presented(headers: Headers) -> str:
    """Return the key of `Authorization: Bearer KEY`, or an empty text."""
    given = headers.getlist("authorization")
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return key.strip() if scheme.lower() == "bearer" else ""


def _has_key(scope: AsgiScope) -> bool:
    """Tell whether a key stands in the address, where proxies and browsers would write it down."""
    address = scope.get("raw_path", b"") + b"?" + scope.get("query_string", b"")
    return KEY_PATTERN.search(unquote_to_bytes(address).decode("latin-1")) is not None


def _host_of(header: str) -> str:
    """Return the host of a Host header, without its port and in lower case; an empty text for what is none."""
    found = HOST.fullmatch(header)
    return (found[1] or found[2]).lower() if found else ""


def _address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address as proxies write it, also with its port; an IPv4 address in IPv6 as IPv4."""
    parsed = _parsed(text if text.count(":") > 1 and not text.startswith("[") else _host_of(text))
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None
