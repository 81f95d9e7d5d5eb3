"""Error rates by group, from the user's labels: within each group and across every two, at one threshold."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .bootstrap import Resampling, bootstrap, interval
from .measure import Measurement
from .metrics import MIN_FALSE_MATCHES as MIN_ERRORS, Floats, ScoreDistribution
from .protocols.protocol import Indices, Protocol, ProtocolError, read_text
from .results import Estimate
from .scores import ScoreSample, ScoreSet, whole

KEYS = ("image", "identity")
MAX_GROUPS = 20  # a larger matrix of all pairs would be unreadable
NO_GROUP = -1


@dataclass(frozen=True, slots=True, eq=False)
class PhotoGroups:
    """The group of each photo."""

    names: tuple[str, ...]  # (g,) in alphabetical order
    of_photos: Indices  # (n,) positions among the names; NO_GROUP if the file has no label for the photo


def read_photo_groups(file: Path, protocol: Protocol) -> PhotoGroups:
    """Read a CSV of `image,group` (photos named as in the protocol) or `identity,group`. Raises ProtocolError."""
    try:
        rows = list(_rows(file))
    except csv.Error as error:
        raise ProtocolError(f"{file}: is not a CSV file: {error}") from error
    key = _key(rows[0][1] if rows else [], file)
    called = [photo.name if key == "image" else photo.identity for photo in protocol.photos]
    labels = _labels(rows[1:], file, set(called))
    names = tuple(sorted(set(labels.values())))
    if not 1 <= len(names) <= MAX_GROUPS:
        raise ProtocolError(f"{file}: names {len(names)} groups; it should name between 1 and {MAX_GROUPS}")
    position = {name: k for k, name in enumerate(names)}
    of_photos = [position[labels[name]] if name in labels else NO_GROUP for name in called]
    return PhotoGroups(names, np.array(of_photos, np.int32))


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and fields, the name first, whatever the order of the columns."""
    reader = csv.reader(StringIO(read_text(file), newline=""))
    is_turned = False
    for fields in reader:
        values = [field.strip() for field in fields]
        is_turned |= reader.line_num == 1 and values[:1] == ["group"]
        if values:
            yield reader.line_num, values[::-1] if is_turned else values


def _key(header: list[str], file: Path) -> str:
    """Return the name of the key column."""
    if len(header) != 2 or header[0] not in KEYS or header[1] != "group":  # noqa: PLR2004 - a name and a group
        raise ProtocolError(f"{file}, line 1: should be image,group or identity,group, not {','.join(header)[:80]!r}")
    return header[0]


def _labels(rows: list[tuple[int, list[str]]], file: Path, known: set[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for line, fields in rows:
        if len(fields) != 2 or not all(fields):  # noqa: PLR2004 - a name and a group
            raise ProtocolError(f"{file}, line {line}: should be a name and a group, separated by a comma")
        name, group = fields
        if name not in known:
            like = f"names look like {min(known)!r}"
            raise ProtocolError(f"{file}, line {line}: {name[:80]!r} is not in this evaluation; {like}")
        if labels.setdefault(name, group) != group:
            raise ProtocolError(f"{file}, line {line}: puts {name!r} into a second group; keep one of the two lines")
    return labels


MIN_IDENTITIES = 50  # of each group, for a verdict: with fewer, equal groups are called different too often
VERDICT_CONFIDENCE = 0.99  # of the interval that decides it; higher than 95% because a report has many verdicts
DIFFERS = {True: "differs", False: "no difference seen", None: "too few comparisons to say"}


@dataclass(frozen=True, slots=True)
class GroupRate:
    """FMR or FNMR of some comparisons, and its ratio to that of all labelled comparisons."""

    rate: Estimate
    times: Estimate  # ratio with its 99% interval; None for too few comparisons or people
    n: int  # comparisons; a close estimate if they were sampled
    n_identities: int  # in these comparisons

    @property
    def differs(self) -> bool | None:
        """Whether it differs from that of all by more than chance; None for too little data."""
        if self.times.interval is None:
            return None
        low, high = self.times.interval
        return not low <= 1 <= high


@dataclass(frozen=True, slots=True)
class GroupCell:
    """The comparisons within one group, or across two."""

    first: str
    second: str  # equal to `first` within a group
    fmr: GroupRate
    fnmr: GroupRate  # across two groups, only of people with photos in both


@dataclass(frozen=True, slots=True)
class GroupReport:
    """Error rates of all groups at one threshold."""

    threshold: float
    names: tuple[str, ...]
    n_photos: tuple[int, ...]  # of each group
    n_unlabelled: int  # photos; their comparisons are left out
    overall: GroupCell  # all labelled photos, as one unnamed group
    cells: tuple[GroupCell, ...]  # each group with itself and every two groups once, in the order of the names

    @property
    def within(self) -> tuple[GroupCell, ...]:
        """Each group with itself."""
        return tuple(cell for cell in self.cells if cell.first == cell.second)


def compare_groups(scores: ScoreSet, groups: PhotoGroups, threshold: float, resampling: Resampling) -> GroupReport:
    """Measure FMR and FNMR within and across groups, all with the same resamples of people."""
    n_groups = len(groups.names)
    pairs = list(combinations_with_replacement(range(n_groups), 2))
    codes = _codes(scores.genuine.sample, groups), _codes(scores.impostor.sample, groups)
    parts = (_part(scores, codes, a * n_groups + b) for a, b in pairs)
    counts = [_Count.of(part, threshold, groups, resampling) for part in parts]
    everyone = _together(counts)
    names = [(groups.names[a], groups.names[b]) for a, b in pairs]
    return GroupReport(
        threshold=threshold,
        names=groups.names,
        n_photos=tuple(int((groups.of_photos == k).sum()) for k in range(n_groups)),
        n_unlabelled=int((groups.of_photos == NO_GROUP).sum()),
        overall=_cell(("", ""), everyone, everyone),
        cells=tuple(_cell(pair, count, everyone) for pair, count in zip(names, counts, strict=True)),
    )


def in_words(figure: str, found: GroupRate) -> str:
    """Describe whether a group's rate differs from that of all; `figure` is FMR or FNMR."""
    if found.times.value is None or found.times.interval is None:
        return f"{figure}: {DIFFERS[None]}"
    low, high = found.times.interval
    return f"{figure} is {found.times.value:.2g} times that of all [{low:.2g} to {high:.2g}]: {DIFFERS[found.differs]}"


def _codes(sample: ScoreSample, groups: PhotoGroups) -> Indices:
    """Encode the unordered pair of groups of each comparison: (k,), NO_GROUP if a photo has none."""
    sides = groups.of_photos[sample.probe], groups.of_photos[sample.reference]
    lower, upper = np.minimum(*sides), np.maximum(*sides)
    return np.where(lower == NO_GROUP, NO_GROUP, lower * len(groups.names) + upper).astype(np.int32)


def _part(scores: ScoreSet, codes: tuple[Indices, Indices], code: int) -> ScoreSet:
    """Keep the genuine and the impostor comparisons of two groups."""
    genuine = whole(_chosen(scores.genuine.sample, codes[0] == code), scores.identities)
    impostor = whole(_chosen(scores.impostor.sample, codes[1] == code), scores.identities)
    return ScoreSet(genuine, impostor, scores.identities)


def _chosen(sample: ScoreSample, chosen: NDArray[np.bool_]) -> ScoreSample:
    return ScoreSample(sample.values[chosen], sample.probe[chosen], sample.reference[chosen], sample.weights[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class _Count:
    """Counts of comparisons: impostors that match, impostors, genuine ones that do not match, genuine ones."""

    values: Floats  # (4,)
    draws: Floats  # (n_resamples, 4)
    people: tuple[Indices, Indices]  # (2, p) group and identity of those in impostor and in genuine comparisons
    n_pairs: tuple[int, int]  # of people, behind impostor and behind genuine comparisons

    @classmethod
    def of(cls, scores: ScoreSet, threshold: float, groups: PhotoGroups, resampling: Resampling) -> Self:
        """Count the comparisons, overall and in every resample."""

        def counts(genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
            matching, missed = float(impostor.below(threshold)), genuine.n - float(genuine.below(threshold))
            return np.array([matching, impostor.n, missed, genuine.n])

        values = counts(scores.genuine.tally, scores.impostor.tally)
        of_photos = np.stack([groups.of_photos, scores.identities])
        people = _people(scores.impostor.sample, of_photos), _people(scores.genuine.sample, of_photos)
        n_pairs = scores.impostor.n_pairs, scores.genuine.n_pairs
        return cls(values, bootstrap(scores, counts, resampling), people, n_pairs)


def _people(sample: ScoreSample, of_photos: Indices) -> Indices:
    return np.unique(of_photos[:, np.union1d(sample.probe, sample.reference)], axis=1)


def _together(counts: list[_Count]) -> _Count:
    """Add counts; each comparison is in exactly one of them."""
    values, draws = sum(c.values for c in counts), sum(c.draws for c in counts)
    impostor, genuine = (np.unique(np.hstack([c.people[kind] for c in counts]), axis=1) for kind in (0, 1))
    n_pairs = sum(c.n_pairs[0] for c in counts), sum(c.n_pairs[1] for c in counts)
    return _Count(np.asarray(values), np.asarray(draws), (impostor, genuine), n_pairs)


def _cell(names: tuple[str, str], count: _Count, everyone: _Count) -> GroupCell:
    return GroupCell(*names, *(_rate(count, everyone, kind) for kind in (0, 1)))


def _rate(count: _Count, everyone: _Count, kind: int) -> GroupRate:
    n, (of_group, identity) = float(count.values[2 * kind + 1]), count.people[kind]
    share, of_all = _share(count, kind), _share(everyone, kind)
    found = share.rate(0, count.n_pairs[kind])
    n_least = min(np.unique(of_group, return_counts=True)[1].tolist(), default=0)
    is_enough = n * float(of_all.values[0]) * (1 + 1e-9) >= MIN_ERRORS and n_least >= MIN_IDENTITIES
    times = _times(found, share, of_all) if is_enough else Estimate(None, None)
    return GroupRate(found, times, round(n), len(np.unique(identity)))


def _share(count: _Count, kind: int) -> Measurement:
    """Return an error rate with its draws; NaN without comparisons."""
    wrong, n = [2 * kind], [2 * kind + 1]
    return Measurement(
        _divided(count.values[wrong], count.values[n]), _divided(count.draws[:, wrong], count.draws[:, n])
    )


def _times(found: Estimate, share: Measurement, of_all: Measurement) -> Estimate:
    """Return the ratio to the rate of all; without errors, its interval follows from the rate's own interval."""
    if found.value == 0 and found.interval is not None:
        return Estimate(0.0, (0.0, found.interval[1] / float(of_all.values[0])))
    quotient, draws = _divided(share.values, of_all.values), _divided(share.draws, of_all.draws)
    return Estimate(float(quotient[0]), interval(draws[:, 0], VERDICT_CONFIDENCE))


def _divided(parts: Floats, wholes: Floats) -> Floats:
    quotients: Floats = np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
    return quotients
