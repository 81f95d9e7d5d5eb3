"""The report as text, and the list of photos that were skipped."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from .names import shown
from .plan import DUPLICATE, SAME_IMAGE
from .report import DataReport

EXAMPLES = 5  # how many of a list are printed; report.json has them all
SKIPPED_FILE, REPORT_FILE = "skipped.csv", "report.json"


def report_text(report: DataReport, out: Path) -> Iterator[str]:
    """Line by line."""
    yield (
        f"{out}: {_n(report.n_chips, 'chip')} of {_n(report.n_identities, 'person', 'people')}, "
        f"from {_n(report.n_photos, 'photo')}"
    )
    each = report.images_each
    yield f"  chips of a person: {each.least:,} to {each.most:,}, median {each.median:g}"
    yield "  people by chips: " + ", ".join(f"{name}: {n:,}" for name, n in each.people_with.items())
    if report.without_chip:
        yield f"  people without a chip: {_listed([shown(name) for name in report.without_chip])}"
    reasons = ", ".join(f"{code} {n:,}" for code, n in report.reasons.items())
    yield f"  skipped: {len(report.skipped):,}" + (f" ({reasons}); see {SKIPPED_FILE}" if reasons else "")
    yield from _duplicates(report)
    yield from _leaks(report)
    yield f"  digest: {report.digest}"


def skipped_csv(report: DataReport) -> bytes:
    """One row for each photo that has no chip; names keep their bytes."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "code", "reason"])
    writer.writerows([each.name, each.code, each.words] for each in report.skipped)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _duplicates(report: DataReport) -> Iterator[str]:
    doubles = report.skipped_as(DUPLICATE)
    if doubles:
        told = _listed([f"{shown(one.name)} = {shown(one.other or '')}" for one in doubles])
        yield f"  the same image twice with one person, left out: {told}"
    if report.several_people:
        told = _listed([" = ".join(map(shown, names)) for names in report.several_people])
        yield f"  the same image with several people, kept, though a name must be wrong: {told}"


def _leaks(report: DataReport) -> Iterator[str]:
    if not report.evaluations:
        return
    against = ", ".join(map(shown, report.evaluations))
    people, images = report.shared_people, report.skipped_as(SAME_IMAGE)
    if not people and not images:
        yield f"  in common with {against}: nobody and no image"
        return
    if people:
        told = _listed([f"{shown(one.identity)} ({_n(one.n_photos, 'photo')})" for one in people])
        yield f"  people in {against} too, left out: {told}"
    if images:
        yield f"  images in {against} too, left out: {_listed([shown(one.name) for one in images])}"


def _listed(items: Sequence[str]) -> str:
    """How many, and the first of them."""
    rest = f", and {len(items) - EXAMPLES:,} more in {REPORT_FILE}" if len(items) > EXAMPLES else ""
    return f"{len(items):,} ({', '.join(items[:EXAMPLES])}{rest})"


def _n(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
