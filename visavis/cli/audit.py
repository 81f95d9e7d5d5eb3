"""`visavis audit`: verify an audit log, print its anchor, or summarise it by key and day."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from embedder import printable, read_regular_file
from service import Anchor, AuditFolderError, AuditLine, ChainReader, read_anchors, verify_chain

from .main import MAX_PATH
from .options import json_option, stops_on

EXIT_FAULTS = 1
MAX_ANCHOR_BYTES = 16 * 2**20
MAX_GROUPS = 100_000  # keys times days of a summary
MAX_COUNT = 10**15  # of refusals in a line; a larger one was made to break what reads it


folder_argument = click.argument("folder", type=click.Path(path_type=Path))


@click.group()
def audit() -> None:
    """Verify or summarise the audit log of a service.

    FOLDER is that of VISAVIS_AUDIT. The service may be running; nothing is written.
    """


@audit.command()
@folder_argument
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="FILE|NUMBER:HASH",
    help="An anchor of `visavis audit anchor`, kept elsewhere, or a file with one in each line; may be repeated.",
)
@stops_on(AuditFolderError)
def verify(folder: Path, anchors: tuple[str, ...]) -> None:
    """Find lines that were changed, removed, reordered or cut off.

    Lines that were cut off at the end are noticed only with an anchor.

    Exit status: 0 the log is whole, 1 it is not, 2 it cannot be read.
    """
    reader = verify_chain(folder, [anchor for each in anchors for anchor in _anchors(each)])
    for note in reader.notes:
        click.echo(f"note: {note}", err=True)
    for fault in reader.faults:
        click.echo(str(fault))
    if reader.n_faults:
        click.echo(f"{reader.n_faults:,} faults in {reader.n_lines:,} lines of {reader.n_files:,} files")
        sys.exit(EXIT_FAULTS)
    click.echo(f"{reader.n_lines:,} lines in {reader.n_files:,} files are whole; anchor {_last(reader)}")


@audit.command()
@folder_argument
@stops_on(AuditFolderError)
def anchor(folder: Path) -> None:
    """Print the number and hash of the last line, to be kept on another machine.

    Exit status: 0 printed, 1 the log is not whole, 2 it cannot be read.
    """
    reader = verify_chain(folder)
    if reader.n_faults:
        click.echo(f"visavis: the log is not whole: {reader.faults[0]}", err=True)
        sys.exit(EXIT_FAULTS)
    click.echo(str(_last(reader)))


@dataclass(slots=True)
class DayOfKey:
    """What one key asked for on one day; counts of lines, except `same` and `different`, which count decisions."""

    day: str
    key: str | None
    requests: int = 0
    same: int = 0
    different: int = 0
    failed: int = 0  # answers with a status of 400 or more
    refused: int = 0  # refusals that were counted together, beyond those with a line

    def add(self, line: AuditLine) -> None:
        """Count the line of a request."""
        status, decided = line.fields.get("status"), line.fields.get("decided")
        same = decided.get("same") if isinstance(decided, dict) else None
        decisions = same if isinstance(same, list) else []
        self.requests += 1
        self.same += sum(each is True for each in decisions)
        self.different += sum(each is False for each in decisions)
        self.failed += isinstance(status, int) and status >= 400  # noqa: PLR2004 - the first status of an error


@audit.command()
@folder_argument
@json_option
@stops_on(AuditFolderError)
def summary(folder: Path, *, as_json: bool) -> None:
    """Count requests and decisions by day and key.

    Exit status: 0 the log is whole, 1 it is not, 2 it cannot be read.
    """
    reader = ChainReader(folder)
    groups = summarize(reader)
    _require_lines(reader)
    rows = [asdict(each) for each in groups]
    if as_json:
        click.echo(json.dumps({"n_faults": reader.n_faults, "days": rows}, indent=2))
    else:
        click.echo(_as_table(groups))
    if reader.n_faults:
        click.echo(
            f"visavis: the log is not whole; run visavis audit verify {printable(str(folder), MAX_PATH)}", err=True
        )
        sys.exit(EXIT_FAULTS)


def summarize(lines: Iterable[AuditLine]) -> list[DayOfKey]:
    """Count requests by day and key, in the order of days. Raises AuditFolderError if there are too many."""
    groups: dict[tuple[str, str | None], DayOfKey] = {}
    for line in lines:
        day = str(line.fields["time"])[:10]
        if line.fields["event"] == "request":
            _group(groups, day, line.fields.get("key")).add(line)
        for count in _counts(line):
            _group(groups, day, count.get("key")).refused += count["n"]
    return sorted(groups.values(), key=lambda each: (each.day, each.key or ""))


def _group(groups: dict[tuple[str, str | None], DayOfKey], day: str, key: object) -> DayOfKey:
    name = None if key is None else str(key)[:100]
    if len(groups) >= MAX_GROUPS and (day, name) not in groups:
        raise AuditFolderError(f"the log has more than {MAX_GROUPS:,} keys and days; summarise a part of its files")
    return groups.setdefault((day, name), DayOfKey(day, name))


def _counts(line: AuditLine) -> list[dict[str, int]]:
    counts = line.fields.get("counts") if line.fields["event"] == "refusals" else None
    found = counts if isinstance(counts, list) else []
    return [each for each in found if isinstance(each, dict) and _is_count(each.get("n"))]


def _is_count(given: object) -> bool:
    return type(given) is int and 0 <= given < MAX_COUNT


def _as_table(groups: list[DayOfKey]) -> str:
    lines = [f"{'day':10}  {'key':24} {'requests':>10} {'same':>10} {'different':>10} {'failed':>8} {'refused':>10}"]
    for each in groups:
        numbers = f"{each.requests:10,} {each.same:10,} {each.different:10,} {each.failed:8,} {each.refused:10,}"
        lines.append(f"{printable(each.day):10}  {printable(each.key or '(no key)'):24} {numbers}")
    return "\n".join(lines)


def _anchors(given: str) -> list[Anchor]:
    if ":" in given and not Path(given).exists():
        return read_anchors(given)
    try:
        content = read_regular_file(given, MAX_ANCHOR_BYTES, follow_links=False)
    except OSError as error:
        raise AuditFolderError(f"{given}: cannot be read: {error.strerror}; give an anchor or a file of them") from None
    return read_anchors(content.decode("ascii", "replace"))


def _last(reader: ChainReader) -> Anchor:
    _require_lines(reader)
    return reader.last


def _require_lines(reader: ChainReader) -> None:
    if reader.n_lines == 0:
        raise AuditFolderError(f"{reader.folder}: holds no audit log; give the folder of VISAVIS_AUDIT")
