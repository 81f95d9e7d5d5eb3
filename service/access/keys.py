"""API keys and the file with their salted hashes; the keys themselves are stored nowhere.

A key is `visavis_`, its id, 43 random characters and a checksum; docs/api.md has the regular expression for scanners
of secrets.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import string
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zlib import crc32

from anyio import sleep, to_thread
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from embedder import open_regular_file, replace_file

from .caller import Scope

log = logging.getLogger("visavis.keys")

KEY_PATTERN = re.compile(r"visavis_([0-9A-Za-z]{8})_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 8, 43, 6  # 43 characters of 62 are 256 bits
SALT_BYTES = 16
MAX_FILE_BYTES = 2**20  # some 2,000 keys
LOCK_TIMEOUT_S, LOCK_POLL_S = 10.0, 0.05
REFRESH_S = 1.0
LAST_TIME = datetime.max.replace(microsecond=0, tzinfo=UTC)
MADE_BY = "make one: visavis keys create NAME --scope verify --file FILE"

Limit = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$")]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]+$", repr=False)]


class KeyFileError(Exception):
    """The file of keys cannot be used; the message says why and what to do."""


class KeyRecord(BaseModel):
    """What is stored of a key: all but the key. Times are in UTC; `rate` and `quota` are like 600/minute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{8}$")]
    name: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._ -]{0,63}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    salt: Annotated[Hex, Field(min_length=2 * SALT_BYTES, max_length=2 * SALT_BYTES)]
    hash: Annotated[Hex, Field(min_length=64, max_length=64)]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    rate: Limit | None = None
    quota: Limit | None = None

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the key is neither expired nor revoked."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyFileContent(BaseModel):
    """The file as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[KeyRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What a new key may do; `expires` None = never."""

    name: str
    scopes: tuple[Scope, ...]
    expires: datetime | None = None
    rate: str | None = None
    quota: str | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: its text, which is shown once, and its record."""

    text: str = field(repr=False)
    record: KeyRecord


def make_key(grant: KeyGrant, now: datetime) -> NewKey:
    """Return a new random key. Raises KeyFileError if the grant is not valid."""
    key_id, secret = _random_text(ID_LENGTH), _random_text(SECRET_LENGTH)
    body = f"visavis_{key_id}_{secret}"
    text, salt = f"{body}_{checksum_of(body)}", secrets.token_hex(SALT_BYTES)
    given = {name: getattr(grant, name) for name in ("name", "scopes", "expires", "rate", "quota")}
    stored = {"id": key_id, "salt": salt, "hash": hash_of(text, salt), "created": now.replace(microsecond=0)}
    try:
        return NewKey(text, KeyRecord.model_validate(given | stored))
    except ValidationError as error:
        raise KeyFileError(_reason(error)) from None


def checksum_of(body: str) -> str:
    """Return the CRC-32 of a key without its last part, as six digits to the base 62."""
    rest, digits = crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def hash_of(key: str, salt: str) -> str:
    """Return the salted SHA-256 of a key, in hexadecimal digits."""
    return hashlib.sha256(bytes.fromhex(salt) + key.encode()).hexdigest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


# Compared with when there is no such key, so that an unknown key takes the time of a wrong one.
_ABSENT = make_key(KeyGrant("absent", ("verify",)), datetime.now(UTC))


class KeyRing:
    """The keys of a file, to be looked up."""

    def __init__(self, records: Sequence[KeyRecord]) -> None:
        self._by_id = {record.id: record for record in records}

    def find(self, presented: str, now: datetime) -> KeyRecord | None:
        """Return the record of a valid key; None for a wrong, unknown, expired or revoked one, in equal time."""
        shape = KEY_PATTERN.fullmatch(presented)
        record = self._by_id.get(shape[1], _ABSENT.record) if shape else _ABSENT.record
        hashed = hash_of(presented if shape else _ABSENT.text, record.salt)
        is_right = hmac.compare_digest(hashed, record.hash) & record.is_valid(now) & (record is not _ABSENT.record)
        return record if is_right else None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The file of keys: read by the service, and changed by one writer at a time."""

    path: Path
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)

    def read(self) -> tuple[KeyRecord, ...]:
        """Return all records. Raises KeyFileError if the file is missing, unsafe or malformed."""
        try:
            content = KeyFileContent.model_validate_json(self._bytes())
        except ValidationError as error:
            raise KeyFileError(f"the file of keys is malformed: {_reason(error)}; restore it from a copy") from None
        if len({record.id for record in content.keys}) < len(content.keys):
            raise KeyFileError("the file of keys is malformed: two keys have one id; restore it from a copy")
        return content.keys

    def create(self, grant: KeyGrant) -> NewKey:
        """Add a key; the file is made if it is missing. Raises KeyFileError."""
        with self._locked():
            made = make_key(grant, self.now())
            self._write((*(self.read() if os.path.lexists(self.path) else ()), made.record))
        return made

    def revoke(self, key_id: str) -> KeyRecord:
        """Make a key invalid from now on. Raises KeyFileError if there is no such key."""
        with self._locked():
            records = self.read()
            old = _record_of(key_id, records)
            revoked = old.model_copy(update={"revoked": old.revoked or self.now().replace(microsecond=0)})
            self._write(_replaced(records, revoked))
        return revoked

    def rotate(self, key_id: str, overlap: timedelta) -> NewKey:
        """Add a key with the name, scopes, limits and lifetime of a valid one, which expires after `overlap`."""
        with self._locked():
            records, now = self.read(), self.now().replace(microsecond=0)
            old = _record_of(key_id, records)
            if not old.is_valid(now):
                raise KeyFileError(f"the key {key_id} is expired or revoked; create a new one")
            expires = None if old.expires is None else _later(now, old.expires - old.created)
            made = make_key(KeyGrant(old.name, old.scopes, expires, old.rate, old.quota), now)
            ends = min(_later(now, overlap), old.expires or LAST_TIME)
            self._write((*_replaced(records, old.model_copy(update={"expires": ends})), made.record))
        return made

    def _write(self, records: Sequence[KeyRecord]) -> None:
        content = KeyFileContent(keys=tuple(records)).model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        if len(content) > MAX_FILE_BYTES:
            raise KeyFileError(
                f"the file of keys would have more than {MAX_FILE_BYTES:,} bytes, and could not be read; delete keys "
                "from it that are expired or revoked"
            )
        replace_file(self.path, content)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the file's folder, because the file itself is replaced; translate OSError."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                _lock(folder)
                self._refuse_foreign()
                yield
            finally:
                os.close(folder)  # this also releases the lock
        except OSError as error:
            raise KeyFileError(
                f"the file of keys cannot be changed: {error.strerror}; the old one is kept, and any new key is void"
            ) from error

    def _refuse_foreign(self) -> None:
        """Refuse to replace a file of another user, who could not read the new one."""
        if os.path.lexists(self.path) and self.path.lstat().st_uid != os.geteuid():
            raise KeyFileError("the file of keys belongs to another user; run the command as that user")

    def _bytes(self) -> bytes:
        try:
            with open_regular_file(self.path, follow_links=False) as file:
                _refuse_unsafe(os.fstat(file.fileno()))
                return file.read(MAX_FILE_BYTES)
        except OSError as error:
            hint = MADE_BY if isinstance(error, FileNotFoundError) else "it must be a plain file of the service's user"
            raise KeyFileError(f"the file of keys cannot be read: {error.strerror}; {hint}") from None


class KeyStore:
    """The keys that the service accepts now. Raises KeyFileError if its file cannot be read at the start."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._failure = ""
        self._seen = _version_of(file.path)
        self._ring = KeyRing(file.read())

    def find(self, presented: str) -> KeyRecord | None:
        """Return the record of a valid key, or None."""
        return self._ring.find(presented, self._file.now())

    def refresh(self) -> None:
        """Read the file again if it has changed; one that cannot be used is logged once, and the old keys stay."""
        try:
            found = _version_of(self._file.path)
            if found == self._seen:
                return
            self._ring, self._seen = KeyRing(self._file.read()), found
        except (KeyFileError, OSError) as error:
            if str(error) != self._failure:
                log.error("%s; the keys of the last good file stay in use", error)  # noqa: TRY400 - no trace: a path
            self._failure = str(error)
            return
        self._failure = ""
        log.info("the file of keys was read again")

    async def watch(self) -> None:
        """Refresh every second, until cancelled."""
        while True:
            await sleep(REFRESH_S)
            await to_thread.run_sync(self.refresh)


def _version_of(path: Path) -> tuple[int, ...]:
    """Return what changes with the file; empty if there is none, so that reading tells why."""
    try:
        facts = path.lstat()
    except OSError:
        return ()
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


def _lock(folder: int) -> None:
    until = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise KeyFileError("another process is changing the file of keys; try again later") from None
            time.sleep(LOCK_POLL_S)


def _refuse_unsafe(facts: os.stat_result) -> None:
    """Refuse what others may read or write; like PostgreSQL, root may give its own file to a group to read."""
    allowed = 0o640 if facts.st_uid == 0 and os.geteuid() != 0 else 0o600
    if facts.st_uid not in (0, os.geteuid()):
        raise KeyFileError("the file of keys belongs to another user; give it to the service's user")
    if stat.S_IMODE(facts.st_mode) & ~allowed:
        mode = f"{stat.S_IMODE(facts.st_mode):04o}"
        raise KeyFileError(f"the file of keys may be used by others (mode {mode}); run: chmod {allowed:o} FILE")
    if facts.st_size > MAX_FILE_BYTES:
        raise KeyFileError(f"the file of keys has {facts.st_size:,} bytes, of at most {MAX_FILE_BYTES:,}")


def _later(time: datetime, by: timedelta) -> datetime:
    return time + min(by, LAST_TIME - time)


def _record_of(key_id: str, records: Sequence[KeyRecord]) -> KeyRecord:
    found = [record for record in records if record.id == key_id]
    if not found:
        raise KeyFileError("there is no key with this id; visavis keys list shows all")
    return found[0]


def _replaced(records: Sequence[KeyRecord], new: KeyRecord) -> tuple[KeyRecord, ...]:
    return tuple(new if record.id == new.id else record for record in records)


def _reason(error: ValidationError) -> str:
    """Say what is wrong, without any value of the file."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
