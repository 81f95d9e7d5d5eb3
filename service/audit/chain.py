"""The format of the audit log: JSON lines, each with the hash of the one before; reading and verifying them.

A line ends with its own hash, `,"hash":"..."}`: the SHA-256 of the same line without this key. Nothing here writes.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, zip_longest
from pathlib import Path
from typing import IO, ClassVar, TypeAlias

from embedder import open_regular_file

MAX_LINE_BYTES = 2**18
FILE_NAME = re.compile(r"audit-([0-9]{6,12})\.jsonl")
SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n')
SEAL_BYTES = len(',"hash":""}\n') + 64
CLOSED = "closed"  # the event of the last line of a service that was stopped in order
ANCHOR = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")
MAX_NUMBER = 10**15  # of lines; a longer one was made to break what reads it
MAX_FAULTS = 20  # told one by one; the others are counted

Fields: TypeAlias = Mapping[str, object]


class AuditFolderError(Exception):
    """The audit folder, or the file of anchors, cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The number and the hash of a line; kept elsewhere, it proves that the log contains this line and all before."""

    seq: int  # 1 = the first line
    hash: str  # 64 hexadecimal digits

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


GENESIS = Anchor(0, "0" * 64)  # before the first line


@dataclass(frozen=True, slots=True)
class AbandonedEnd:
    """The end of an earlier file that holds no complete or no confirmed line; verification skips it."""

    file: str
    offset: int  # where it begins, in bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """The first line of a file."""

    event: ClassVar[str] = "opened"
    reason: str  # start, rotation, failure
    abandoned: AbandonedEnd | None = None


def seal(event: str, fields: Fields, *, time: str, after: Anchor) -> tuple[bytes, Anchor]:
    """Return the line that follows `after`, with its line break, and its own anchor; keys without a value are left out.

    Raises ValueError for a line longer than MAX_LINE_BYTES, or for a number that JSON lacks.
    """
    facts = {"seq": after.seq + 1, "time": time, "event": event, **without_empty(fields), "previous": after.hash}
    body = json.dumps(facts, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(body) + SEAL_BYTES > MAX_LINE_BYTES:
        raise ValueError(f"a line of the audit log would have {len(body):,} bytes, over {MAX_LINE_BYTES:,}")
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + f',"hash":"{digest}"}}\n'.encode("ascii"), Anchor(after.seq + 1, digest)


def without_empty(fields: Fields) -> Fields:
    """Leave out keys without a value."""
    kept = {key: without_empty(value) if isinstance(value, dict) else value for key, value in fields.items()}
    return {key: value for key, value in kept.items() if value is not None and value not in ((), {})}


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A line that has the form of one, and whose own hash is right."""

    anchor: Anchor
    previous: str
    fields: Fields

    @property
    def abandoned(self) -> AbandonedEnd | None:
        """What the first line of a file says about an earlier one."""
        found = self.fields.get("abandoned")
        if self.fields.get("event") != Opened.event or not isinstance(found, dict):
            return None
        file, offset = found.get("file"), found.get("offset")
        return AbandonedEnd(file, offset) if isinstance(file, str) and isinstance(offset, int) else None


def parse_line(line: bytes) -> AuditLine | str:
    """Return the line, or what is wrong with it, in words."""
    if not line.endswith(b"\n"):
        return "the line is incomplete" if len(line) < MAX_LINE_BYTES else f"the line is over {MAX_LINE_BYTES:,} bytes"
    sealed = SEAL.fullmatch(line[-SEAL_BYTES:])
    body = line[:-SEAL_BYTES] + b"}"
    if sealed is None or hashlib.sha256(body).hexdigest().encode() != sealed[1]:
        return "the line was changed: its hash does not fit its content"
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return "the line is not JSON"
    if not _has_form(fields):
        return "the line has no number, time, event or previous hash"
    return AuditLine(Anchor(fields["seq"], sealed[1].decode()), fields["previous"], fields)


def _has_form(fields: object) -> bool:
    texts = ("time", "event", "previous")
    return (
        isinstance(fields, dict)
        and type(fields.get("seq")) is int
        and 0 < fields["seq"] < MAX_NUMBER
        and all(isinstance(fields.get(name), str) for name in texts)
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where."""

    file: str
    line: int  # in the file; 1 = the first, 0 = the file itself
    message: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


def audit_files(folder: Path) -> list[Path]:
    """Return the files of an audit folder, oldest first. Raises AuditFolderError if it cannot be read."""
    try:
        names = [name for name in os.listdir(folder) if FILE_NAME.fullmatch(name)]  # noqa: PTH208 - only names
    except OSError as error:
        raise AuditFolderError(
            f"{folder}: cannot be read: {error.strerror}; give the folder of VISAVIS_AUDIT"
        ) from None
    return [folder / name for name in sorted(names, key=lambda name: (len(name), name))]


def has_no_line(path: Path) -> bool:
    """Whether a file is empty, or holds only the beginning of its first line. Raises OSError."""
    with open_regular_file(path, follow_links=False) as file:
        head = file.read(MAX_LINE_BYTES)
    return len(head) < MAX_LINE_BYTES and b"\n" not in head


def first_line(path: Path) -> AuditLine | None:
    """Return the first line of a file, or None if it has none."""
    try:
        with open_regular_file(path, follow_links=False) as file:
            found = parse_line(file.readline(MAX_LINE_BYTES))
    except OSError:
        return None
    return found if isinstance(found, AuditLine) else None


@dataclass(slots=True)
class ChainReader:
    """Reads the lines of a folder in order, checks each against the one before, and collects faults; one use only."""

    folder: Path
    anchors: Mapping[int, str] = field(default_factory=dict)  # line number -> hash
    faults: list[Fault] = field(default_factory=list)  # the first MAX_FAULTS
    notes: list[str] = field(default_factory=list)
    n_faults: int = 0
    n_lines: int = 0
    n_files: int = 0
    last: Anchor = GENESIS

    def __iter__(self) -> Iterator[AuditLine]:
        """Yield each line whose own hash is right. Raises AuditFolderError."""
        files = audit_files(self.folder)
        if files and self._is_unfinished(files[-1]):
            files.pop()
        self.n_files = len(files)
        for path, following in zip_longest(files, files[1:]):
            yield from self._lines_of(path, following)
        self._check_end()

    def _is_unfinished(self, path: Path) -> bool:
        with suppress(OSError):  # told when the file is read
            if has_no_line(path):
                self.notes.append(f"{path.name}: was begun, and has no complete line")
                return True
        return False

    def _lines_of(self, path: Path, following: Path | None) -> Iterator[AuditLine]:
        try:
            with open_regular_file(path, follow_links=False) as file:
                checked = (self._checked(path.name, *each) for each in self._raw_lines(file, path, following))
                yield from (line for line in checked if line is not None)
        except OSError as error:
            self._add(Fault(path.name, 0, f"cannot be read: {error.strerror}"))

    def _raw_lines(self, file: IO[bytes], path: Path, following: Path | None) -> Iterator[tuple[int, bytes]]:
        """Yield lines with their numbers, up to the end that the next file calls abandoned.

        Of an overlong line it yields only the beginning.
        """
        numbers = count(1)
        end = _abandoned_from(path, following)
        size = os.fstat(file.fileno()).st_size
        while end is None or file.tell() < end:
            raw = file.readline(MAX_LINE_BYTES)
            if raw and following is None and file.tell() >= size and not raw.endswith(b"\n"):
                self.notes.append(f"{path.name}: ends with {len(raw)} bytes of a line that is not complete")
                return
            if not raw:
                return
            yield next(numbers), raw
            _skip_rest_of_line(file, raw)
        if size > file.tell():
            self.notes.append(
                f"{path.name}: its last {size - file.tell()} bytes were never confirmed, as the next says"
            )

    def _checked(self, file: str, number: int, raw: bytes) -> AuditLine | None:
        self.n_lines += 1
        line = parse_line(raw)
        if isinstance(line, str):
            self._add(Fault(file, number, f"{line} (line {self.last.seq + 1} of the log)"))
            self.last = Anchor(self.last.seq + 1, _claimed_hash(raw))
            return None
        problem = self._problem_of(line)
        if problem is not None:
            self._add(Fault(file, number, problem))
        self.last = line.anchor
        return line

    def _problem_of(self, line: AuditLine) -> str | None:
        """What does not fit the line before or an anchor, in words."""
        seq, expected = line.anchor.seq, self.last.seq + 1
        if self.anchors.get(seq, line.anchor.hash) != line.anchor.hash:
            return f"line {seq} of the log is another one than the anchor says"
        if self.n_lines == 1 and seq > 1 and self.anchors.get(seq - 1) == line.previous:
            return None  # earlier files are kept elsewhere, and the anchor proves where they end
        if seq > expected:
            return f"lines {expected} to {seq - 1} of the log are missing before it"
        if seq < expected:
            return f"line {seq} of the log stands where line {expected} should: out of order, or twice"
        if line.previous != self.last.hash:
            return f"the line before it, {expected - 1} of the log, was changed or replaced"
        return None

    def _check_end(self) -> None:
        newest = max(self.anchors, default=0)
        if newest > self.last.seq:
            where = self.folder.name
            self._add(Fault(where, 0, f"cut off: it ends at line {self.last.seq}, and the anchor is line {newest}"))
        elif not self.anchors:
            self.notes.append("without --anchor, lines removed from the end cannot be noticed")

    def _add(self, fault: Fault) -> None:
        self.n_faults += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


def _abandoned_from(path: Path, following: Path | None) -> int | None:
    opening = first_line(following) if following is not None else None
    abandoned = opening.abandoned if opening is not None else None
    return abandoned.offset if abandoned is not None and abandoned.file == path.name else None


def _claimed_hash(raw: bytes) -> str:
    """The hash that a broken line gives, so that only this line is told, and not the next one as well."""
    sealed = SEAL.fullmatch(raw[-SEAL_BYTES:])
    return sealed[1].decode() if sealed else ""


def _skip_rest_of_line(file: IO[bytes], raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE_BYTES)


def verify_chain(folder: Path, anchors: Iterable[Anchor] = ()) -> ChainReader:
    """Read a whole audit folder, and return the reader with what it found. Raises AuditFolderError."""
    reader = ChainReader(folder, _by_number(anchors))
    for _ in reader:
        pass
    return reader


def _by_number(anchors: Iterable[Anchor]) -> dict[int, str]:
    found = dict[int, str]()
    for each in anchors:
        if found.setdefault(each.seq, each.hash) != each.hash:
            raise AuditFolderError(
                f"two anchors of line {each.seq} differ: they are of two logs, or the log was replaced between them; "
                "verify with one of them at a time"
            )
    return found


def read_anchors(text: str) -> list[Anchor]:
    """Return the anchors in a text, one in each line. Raises AuditFolderError for a line that is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [ANCHOR.fullmatch(line) for line in lines]
    for number, match in enumerate(found, start=1):
        if match is None:
            raise AuditFolderError(
                f"line {number} of the anchors is not NUMBER:HASH, as visavis audit anchor prints it"
            )
    return [Anchor(int(match[1]), match[2]) for match in found if match is not None]
