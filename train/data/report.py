"""What came of the photos: how many people, how many images of each, and what is doubtful about them."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from statistics import median

from .plan import DUPLICATE, SAME_IMAGE, PreparationPlan, SharedPerson
from .reading import SkippedPhoto
from .shard import ChipRecords

GROUPS = {"1": (1, 1), "2-4": (2, 4), "5-9": (5, 9), "10+": (10, None)}  # images of a person, from and to


@dataclass(frozen=True, slots=True)
class ImagesEach:
    """How many chips there are of a person."""

    least: int
    median: float
    most: int
    people_with: dict[str, int]  # by GROUPS: how many people have as many


@dataclass(frozen=True, slots=True)
class DataReport:
    """All that is told of a prepared folder."""

    n_photos: int
    n_chips: int
    n_identities: int  # that have a chip
    images_each: ImagesEach
    without_chip: tuple[str, ...]  # people none of whose photos gave one, and who were not left out
    skipped: tuple[SkippedPhoto, ...]  # in the order of names
    several_people: tuple[tuple[str, ...], ...]  # photos of equal content that lie with two people or more
    evaluations: tuple[str, ...]  # names of the sets that were excluded
    shared_people: tuple[SharedPerson, ...]  # left out: they are in one of these
    digest: str  # of identities and images

    def skipped_as(self, code: str) -> list[SkippedPhoto]:
        """Those with that code."""
        return [each for each in self.skipped if each.code == code]

    @property
    def reasons(self) -> dict[str, int]:
        """How many photos were skipped for each reason, the most frequent first."""
        counts = Counter(each.code for each in self.skipped)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def make_report(
    plan: PreparationPlan, facts: Sequence[ChipRecords], evaluations: Sequence[str], digest: str
) -> DataReport:
    """Count. There is a chip at least."""
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
    """Sum up how many chips each person has; one person at least."""
    people_with = {
        name: sum(least <= n and (most is None or n <= most) for n in counts) for name, (least, most) in GROUPS.items()
    }
    return ImagesEach(min(counts), float(median(counts)), max(counts), people_with)


def report_json(report: DataReport) -> str:
    """The report in full."""
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
    """Within one person a content is there once."""
    holders: dict[str, list[str]] = defaultdict(list)
    for one in facts:
        for digest, name in zip(one.image_digests, one.names, strict=True):
            holders[digest].append(name)
    return (tuple(names) for names in holders.values() if len(names) > 1)
