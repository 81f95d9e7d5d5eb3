"""What requests about galleries have beside their bodies: names in the address, conditions, keys, cursors."""

import re
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from fastapi import Request
from pydantic import ValidationError

from gallery import VersionConflict

from .access.caller import caller_of
from .errors import MalformedRequest
from .request_parsing import validation_detail
from .wire import LONGEST_KEY, GalleryNames

TAG = re.compile(r'"([0-9]{1,18})"')
ANY = "*"

NamesT = TypeVar("NamesT", bound=GalleryNames)


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """When a write is done: at this version only, or only if nothing is there; by default always."""

    if_version: int | None = None
    must_be_new: bool = False


def names_of(request: Request, kind: type[NamesT]) -> NamesT:
    """Return the names in the address, percent-decoded once. Raises MalformedRequest."""
    written = request.scope.get("raw_path") or b""
    if b"%2f" in written.lower():
        raise MalformedRequest("a name in this address has a slash (%2F); names of galleries and people have none")
    try:
        unquote_to_bytes(written).decode()
        return kind.model_validate(request.path_params)
    except UnicodeDecodeError:
        raise MalformedRequest("a name in this address is not UTF-8, percent-encoded") from None
    except ValidationError as error:
        raise MalformedRequest(validation_detail(error, tuple(request.path_params))) from None


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def write_condition(request: Request) -> WriteCondition:
    """Return the condition of a PUT. Raises MalformedRequest; VersionConflict for a tag that is none of ours."""
    if _header(request, "if-none-match") is None:
        return WriteCondition(if_version(request))
    if _header(request, "if-none-match") != ANY or _header(request, "if-match") is not None:
        raise MalformedRequest("If-None-Match must be * for a write, and stand without If-Match")
    return WriteCondition(must_be_new=True)


def if_version(request: Request) -> int | None:
    """Return the version that If-Match names, None without it. Raises as `write_condition`."""
    given = _header(request, "if-match")
    if given is None:
        return None
    if given == ANY or "," in given:
        raise MalformedRequest("If-Match must be one entity tag, as in the ETag header of an answer")
    tag = TAG.fullmatch(given)
    if tag is None:
        raise VersionConflict("If-Match is no ETag of this service; read again, and send the ETag of that answer")
    return int(tag[1])


def require_unconditional(request: Request, *headers: str) -> None:
    """Refuse conditions that a route does not have: to ignore one would do what the caller did not want."""
    for name in headers:
        if _header(request, name) is not None:
            raise MalformedRequest(f"this address and method do not support {name}; send the request without it")


def has_version(request: Request, version: int) -> bool:
    """Tell whether the caller of a GET has this version already, by If-None-Match."""
    given = [each.strip().removeprefix("W/") for each in (_header(request, "if-none-match") or "").split(",")]
    return etag(version) in given or given == [ANY]


def idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key, which counts for its caller alone. Raises MalformedRequest."""
    given = _header(request, "idempotency-key")
    if given is None:
        return None
    if not (0 < len(given) <= LONGEST_KEY and given.isascii() and given.isprintable()):
        raise MalformedRequest(f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID")
    return f"{caller_of(request).key_id or ''} {given}"


def cursor_after(person: str) -> str:
    """Return the cursor of the page that begins after a person."""
    return urlsafe_b64encode(person.encode()).decode()


def person_before(cursor: str | None) -> str | None:
    """Return the id that a cursor stands for. Raises MalformedRequest."""
    try:
        return None if cursor is None else b64decode(cursor, b"-_", validate=True).decode()
    except ValueError:
        raise MalformedRequest("cursor is not `next` of a page; begin without a cursor") from None


def _header(request: Request, name: str) -> str | None:
    """Return a header, whose lines count as one list; None without it."""
    given = request.headers.getlist(name)
    return ", ".join(given).strip() if given else None
