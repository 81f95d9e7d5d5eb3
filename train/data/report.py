"""The report of a preparation: people, images per person, duplicates, leaks and skipped photos."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from itertools import chain
from pathlib import Path
from statistics import median

from .photos import SkippedPhoto, shown
from .plan import DUPLICATE, SAME_IMAGE, PreparationPlan, SharedPerson
from .shard import ChipRecords

GROUPS = {"1": (1, 1), "2-4": (2, 4), "5-9": (5, 9), "10+": (10, None)}  # images of a person, from and to


@dataclass(frozen=True, slots=True)
class ImagesEach:
    """The distribution of chips per person."""

    least: int
    median: float
    most: int
    people_with: dict[str, int]  # number of people in each of GROUPS


@dataclass(frozen=True, slots=True)
class DataReport:
    """The content of the report."""

    n_photos: int
    n_chips: int
    n_identities: int  # with a chip
    images_each: ImagesEach
    without_chip: tuple[str, ...]  # people without a chip, except those left out
    skipped: tuple[SkippedPhoto, ...]  # ordered by name
    several_people: tuple[tuple[str, ...], ...]  # photos of equal content stored under two people or more
    evaluations: tuple[str, ...]  # names of the sets that were excluded
    shared_people: tuple[SharedPerson, ...]  # left out, because they are in one of these
    digest: str  # of identities and images
    n_other_files: int = 0  # in the folder; not photos by name

    def skipped_as(self, code: str) -> list[SkippedPhoto]:
        """Return the skipped photos with this code."""
        return [each for each in self.skipped if each.code == code]

    @property
    def reasons(self) -> dict[str, int]:
        """The number of skipped photos per reason, most frequent first."""
        counts = Counter(each.code for each in self.skipped)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def make_report(
    plan: PreparationPlan, facts: Sequence[ChipRecords], evaluations: Sequence[str], digest: str
) -> DataReport:
    """Compile the report; needs at least one chip."""
    names = list(chain.from_iterable(one.names for one in facts))
    n_each = Counter(chain.from_iterable(one.identities for one in facts))
    skipped = [*plan.skipped, *chain.from_iterable(one.skipped for one in facts)]
    planned = {known.photo.identity for known in plan.photos}
    return DataReport(
        n_photos=len(names) + len(skipped),
        n_chips=len(names),
        n_identities=len(n_each),
        images_each=images_each(list(n_each.values())),
        without_chip=tuple(sorted(planned - set(n_each))),
        skipped=tuple(sorted(skipped, key=lambda each: each.name)),
        several_people=tuple(_several_people(facts)),
        evaluations=tuple(evaluations),
        shared_people=plan.shared_people,
        digest=digest,
    )


def images_each(counts: Sequence[int]) -> ImagesEach:
    """Summarise the numbers of chips per person; needs at least one person."""
    people_with = {
        name: sum(least <= n and (most is None or n <= most) for n in counts) for name, (least, most) in GROUPS.items()
    }
    return ImagesEach(min(counts), float(median(counts)), max(counts), people_with)


def report_json(report: DataReport) -> str:
    """Return the complete report as JSON."""
    images, each = report.skipped_as(SAME_IMAGE), report.images_each
    facts = {
        "photos": report.n_photos,
        "chips": report.n_chips,
        "identities": report.n_identities,
        "images_each": {
            "min": each.least,
            "median": each.median,
            "max": each.most,
            "identities_with": each.people_with,
        },
        "identities_without_chip": report.without_chip,
        "skipped": {"photos": len(report.skipped), "reasons": report.reasons},
        "other_files": report.n_other_files,
        "duplicates": {
            "within_identity": [[one.other, one.name] for one in report.skipped_as(DUPLICATE)],
            "across_identities": report.several_people,
        },
        "leaks": {
            "against": report.evaluations,
            "identities": [asdict(one) for one in report.shared_people],
            "images": [{"photo": one.name, "theirs": one.other} for one in images],
        },
        "digest": report.digest,
    }
    return json.dumps(facts, indent=2) + "\n"


def _several_people(facts: Sequence[ChipRecords]) -> Iterator[tuple[str, ...]]:
    """Yield groups of photos of equal content, all of different people: duplicates of one person were left out."""
    holders: dict[str, list[str]] = defaultdict(list)
    for one in facts:
        for digest, name in zip(one.image_digests, one.names, strict=True):
            holders[digest].append(name)
    return (tuple(names) for names in holders.values() if len(names) > 1)


EXAMPLES = 5  # printed per list; report.json has all
SKIPPED_FILE, REPORT_FILE = "skipped.csv", "report.json"


def report_text(report: DataReport, out: Path) -> Iterator[str]:
    """Yield the lines of the report for a terminal."""
    yield (
        f"{out}: {_n(report.n_chips, 'chip')} of {_n(report.n_identities, 'person', 'people')}, "
        f"from {_n(report.n_photos, 'photo')}"
    )
    each = report.images_each
    yield f"  chips per person: {each.least:,} to {each.most:,}, median {each.median:g}"
    yield "  people by chips: " + ", ".join(f"{name}: {n:,}" for name, n in each.people_with.items())
    if report.without_chip:
        yield f"  people without a chip: {_listed([shown(name) for name in report.without_chip])}"
    reasons = ", ".join(f"{code} {n:,}" for code, n in report.reasons.items())
    yield f"  skipped: {len(report.skipped):,}" + (f" ({reasons}); see {SKIPPED_FILE}" if reasons else "")
    if report.n_other_files:
        yield f"  ignored: {_n(report.n_other_files, 'other file')}, not photos by name"
    yield from _duplicates(report)
    yield from _leaks(report)
    yield f"  digest: {report.digest}"


def skipped_csv(report: DataReport) -> bytes:
    """Return a CSV with one row per photo without a chip; names keep their bytes."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "code", "reason"])
    writer.writerows([each.name, each.code, each.words] for each in report.skipped)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _duplicates(report: DataReport) -> Iterator[str]:
    doubles = report.skipped_as(DUPLICATE)
    if doubles:
        photos = _listed([f"{shown(one.name)} = {shown(one.other or '')}" for one in doubles])
        yield f"  the same image twice under one person, left out: {photos}"
    if report.several_people:
        photos = _listed([" = ".join(map(shown, names)) for names in report.several_people])
        yield f"  the same image under several people, kept; a label must be wrong: {photos}"


def _leaks(report: DataReport) -> Iterator[str]:
    if not report.evaluations:
        return
    against = ", ".join(map(shown, report.evaluations))
    people, images = report.shared_people, report.skipped_as(SAME_IMAGE)
    if not people and not images:
        yield f"  in common with {against}: no people and no images"
        return
    if people:
        names = _listed([f"{shown(one.identity)} ({_n(one.n_photos, 'photo')})" for one in people])
        yield f"  people in {against} too, left out: {names}"
    if images:
        yield f"  images in {against} too, left out: {_listed([shown(one.name) for one in images])}"


def _listed(items: Sequence[str]) -> str:
    """Return the number of items and the first of them."""
    rest = f", and {len(items) - EXAMPLES:,} more in {REPORT_FILE}" if len(items) > EXAMPLES else ""
    return f"{len(items):,} ({', '.join(items[:EXAMPLES])}{rest})"


def _n(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
