"""Join the shards of a bulk run: check that they are one whole run, and link or copy their parts. Nothing is embedded.

The joined folder is, to the byte, that of a run without shards. It is written in the same order, so an interrupted join
is an unfinished run, and goes on when it is called again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import IO

from ..progress import Advance, Job, Progress, no_progress
from .manifest import (
    LIST_FILE,
    Manifest,
    Shard,
    differences,
    read_manifest,
    require_as_begun,
    require_free_or_ours,
    write_manifest,
)
from .output import BulkError, LocalFolder
from .parts import MAX_SUMS_BYTES, PartCounts, done_part, failed_name, part_name, sums_name

SHOWN = 10  # numbers in a message


@dataclass(frozen=True, slots=True)
class MergeSummary:
    """The totals of the joined folder."""

    n_photos: int
    n_rows: int
    failed: Counter[str]  # by code
    n_shards: int
    n_parts: int
    n_new_parts: int  # joined by this call; the others were there


@dataclass(frozen=True, slots=True)
class ShardedRun:
    """A run whose parts are in the folders of its shards."""

    manifest: Manifest  # of the whole run
    folders: Sequence[Sequence[LocalFolder]]  # of each shard, in order; several if it was given more than once

    def folder_of(self, part: int) -> LocalFolder:
        """The folder that contains a part."""
        return self.folders[part % len(self.folders)][0]


def merge_shards(given: Sequence[LocalFolder], out: LocalFolder, progress: Progress = no_progress) -> MergeSummary:
    """Join all shards of a run, in any order, into the folder `out`; goes on with what an earlier call left there.

    Raises BulkError if a shard is missing, unfinished, damaged or of another run, if two folders of one shard are not
    equal to the byte, and if `out` contains anything else or cannot be written.
    """
    run = _one_run({folder: read_manifest(folder) for folder in given})
    for folders in run.folders:
        _require_finished(folders)
    require_free_or_ours(out)
    with out.sole_use():
        require_as_begun(out, run.manifest)
        _join_lists(run, out)
        write_manifest(out, run.manifest)
        with progress(Job("joining", len(run.manifest.parts), unit="parts")) as advance:
            counts, n_new_parts = _join_parts(run, out, advance)
    return MergeSummary(
        n_photos=run.manifest.n_photos,
        n_rows=counts.n_rows,
        failed=counts.failed,
        n_shards=len(run.folders),
        n_parts=len(run.manifest.parts),
        n_new_parts=n_new_parts,
    )


def _one_run(manifests: Mapping[LocalFolder, Manifest]) -> ShardedRun:
    """Sort folders by shard. Raises BulkError if they are not those of all shards of one run."""
    (first, expected), *_ = manifests.items()
    folders: dict[int, list[LocalFolder]] = {}
    for folder, manifest in manifests.items():
        folders.setdefault(_shard_of(folder, manifest).number, []).append(folder)
        differing = [f"{words} ({value}, {there} there)" for words, there, value in _differences(expected, manifest)]
        if differing:
            raise BulkError(f"{folder}: is of another run than {first}: {', '.join(differing)}; leave one of them out")
    count = _shard_of(first, expected).count
    missing = (str(Shard(number, count)) for number in range(count) if number not in folders)
    if len(folders) < count:
        raise BulkError(f"missing: shard {_listed(missing, count - len(folders))}; give the folders of all shards")
    return ShardedRun(expected.model_copy(update={"shard": None}), [folders[number] for number in range(count)])


def _shard_of(folder: LocalFolder, manifest: Manifest) -> Shard:
    if manifest.shard is None:
        raise BulkError(f"{folder}: holds a whole run, not a shard of one; leave it out")
    return manifest.shard


def _differences(one: Manifest, other: Manifest) -> Iterator[tuple[str, object, object]]:
    """What differs between the runs of two shards."""
    yield from differences(one.model_copy(update={"shard": None}), other.model_copy(update={"shard": None}))
    if one.shard and other.shard and one.shard.count != other.shard.count:
        yield "another number of shards", one.shard.count, other.shard.count


def _require_finished(folders: Sequence[LocalFolder]) -> None:
    """Raise BulkError if a shard lacks parts, or if another folder of the same shard differs from its first."""
    first, *others = folders
    manifest = read_manifest(first)
    for folder in folders:
        there = folder.names()
        missing = [number for number in manifest.parts if sums_name(number) not in there]
        if missing:
            parts = _listed(map(str, missing), len(missing))
            raise BulkError(
                f"{folder}: shard {manifest.shard} is not finished: it lacks part {parts}; run its command again"
            )
    for folder in others:
        different = [number for number in manifest.parts if _sums(folder, number) != _sums(first, number)]
        if different:
            raise BulkError(
                f"{folder} and {first}: both hold shard {manifest.shard}, but part "
                f"{_listed(map(str, different), len(different))} differs; leave one of them out"
            )


def _sums(folder: LocalFolder, number: int) -> bytes:
    try:
        return folder.read(sums_name(number), MAX_SUMS_BYTES)
    except OSError as error:
        raise BulkError(f"{folder}: cannot be read: {error.strerror}") from error


def _listed(names: Iterable[str], n: int) -> str:
    """The first names of n."""
    shown = ", ".join(islice(names, SHOWN))
    return f"{shown} and {n - SHOWN:,} more" if n > SHOWN else shown


def _join_lists(run: ShardedRun, out: LocalFolder) -> None:
    """Write the list of all photos. Raises BulkError if it is not the run's."""
    digest = hashlib.sha256()
    with out.new(LIST_FILE) as lines:
        for line in _lines(run):
            lines.write(line)
            digest.update(line)
        if "sha256:" + digest.hexdigest() != run.manifest.photos:
            raise BulkError(
                f"{LIST_FILE} of a shard is damaged or changed: together they are not the list of the run; run the "
                "shards' commands again, which write it anew and embed nothing twice"
            )


def _lines(run: ShardedRun) -> Iterator[bytes]:
    """The lines of all lists, in the order of the parts. Open files are few, however many shards there are."""
    offsets = [0] * len(run.folders)
    for number in run.manifest.parts:
        shard = number % len(run.folders)
        with _list_of(run.folder_of(number)) as file:
            file.seek(offsets[shard])
            yield from islice(file, run.manifest.n_photos_in(number))
            offsets[shard] = file.tell()


def _list_of(folder: LocalFolder) -> AbstractContextManager[IO[bytes]]:
    try:
        return folder.open(LIST_FILE)
    except OSError as error:
        raise BulkError(f"{folder}/{LIST_FILE}: cannot be read; run the shard's command again") from error


def _join_parts(run: ShardedRun, out: LocalFolder, advance: Advance) -> tuple[PartCounts, int]:
    """Link or copy the parts that are not yet there; returns what all contain, and their number. Raises BulkError."""
    total, n_new = PartCounts(), 0
    for number in run.manifest.parts:
        folder = run.folder_of(number)
        counts = done_part(out, number)
        if counts is None or _sums(out, number) != _sums(folder, number):
            counts = _join_part(folder, out, number)
            n_new += 1
        total = total.plus(counts)
        advance(1)
    return total, n_new


def _join_part(folder: LocalFolder, out: LocalFolder, number: int) -> PartCounts:
    counts = done_part(folder, number)
    if counts is None:
        raise BulkError(
            f"{folder}: part {number} is damaged or was changed; run the shard's command again, which makes it anew"
        )
    out.remove(sums_name(number))  # left by a join whose part was damaged since
    out.remove(failed_name(number))
    if folder.exists(failed_name(number)):
        out.link(folder, failed_name(number))
    out.link(folder, part_name(number))
    out.link(folder, sums_name(number))
    return counts
