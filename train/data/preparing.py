"""Prepare a folder of chips from photos. An interrupted run resumes after the last complete shard."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from embedder import FaceChoice, FaceEmbedder, Job, Progress, SampleError, no_progress, sha256_of, unfinished

from ..errors import DataError
from ..evaluation.parallel import on_every_core, one_core_threads
from .description import (
    FILE,
    DatasetDescription,
    DatasetTotals,
    differences,
    read_description,
    sole_use,
    versions,
    write_description,
    write_private,
)
from .photos import DigestedPhoto, PhotoSource, SkippedPhoto, digests_of, read_photo, shown
from .plan import ExcludedSet, PreparationPlan, plan_preparation
from .prepared import chips_digest
from .report import REPORT_FILE, SKIPPED_FILE, DataReport, make_report, report_json, skipped_csv
from .shard import SIZE, ChipRecords, CutChip, Shard, encoded, packed, shard_path

CHANGED = "file_changed"


@dataclass(frozen=True, slots=True)
class ChipCutter:
    """Finds the selected face of a photo and cuts its chip, exactly as serving does."""

    embedder: FaceEmbedder
    face: FaceChoice

    def __call__(self, known: DigestedPhoto) -> CutChip | SkippedPhoto:
        """Cut the chip of a photo, or return why there is none."""
        data = read_photo(known.photo)
        if isinstance(data, SkippedPhoto):
            return data
        if sha256_of(data) != known.digest:
            return SkippedPhoto(known.photo.name, CHANGED, "the file has changed while others were prepared")
        try:
            chip = self.embedder.chip(data, face=self.face)
        except SampleError as error:
            return SkippedPhoto(known.photo.name, error.code, str(error))
        return CutChip(known, encoded(chip.pixels), np.array(astuple(chip.sample.quality), np.float32))


@dataclass(frozen=True, slots=True)
class PreparationResult:
    """The report of a prepared folder, and whether it was finished before."""

    report: DataReport
    was_finished: bool


def prepare(
    source: PhotoSource,
    out: Path,
    cutter: ChipCutter,
    excluded: Sequence[ExcludedSet] = (),
    progress: Progress = no_progress,
) -> PreparationResult:
    """Find the faces and write their chips to `out`; resume an interrupted run.

    Unusable photos are listed and skipped. Raises DataError if `out` has other content or cannot be written, if fewer
    than two people remain, or if no face was found at all.
    """
    require_free_or_ours(out)
    found = digests_of(source.photos, progress)
    plan = plan_preparation(found, source.photos, excluded)
    description = _description(source, cutter.embedder, cutter.face, plan)
    with sole_use(out):
        before = _begin(out, description)
        missing = _missing(out, plan, before.totals)
        _cut(out, missing, cutter, progress)
        facts = [Shard(shard_path(out, number)).facts for number in range(len(_parts(plan)))]
        _require_faces(facts, plan)
        totals = _totals(facts)
        report = make_report(plan, facts, [each.name for each in excluded], totals.digest)
        report = replace(report, n_other_files=source.n_other_files)
        was_finished = before.totals is not None and not missing
        if not was_finished:
            _finish(out, replace(before, totals=totals), report)
    return PreparationResult(report, was_finished)


def require_free_or_ours(out: Path) -> None:
    """Raise DataError unless the folder is missing, empty, or a prepared one, finished or not."""
    try:
        entries = [each.name for each in out.iterdir()] if out.exists() else []
    except OSError as error:
        raise DataError(f"{out}: cannot be used: {error.strerror}; give another --out") from error
    if FILE not in entries and set(entries) - {unfinished(out / FILE).name}:
        raise DataError(f"{out}: contains other files than prepared chips; give a new folder as --out")


def _description(
    source: PhotoSource, embedder: FaceEmbedder, face: FaceChoice, plan: PreparationPlan
) -> DatasetDescription:
    return DatasetDescription(
        source=str(source.folder),
        face=face,
        alignment=embedder.card.alignment,
        detector=embedder.card.detector,
        n_photos=len(plan.photos),
        photos=plan.digest,
        versions=versions() | {"runtime": embedder.runtime_description},
    )


def _begin(out: Path, description: DatasetDescription) -> DatasetDescription:
    """Write the description, or read the existing one. Raises DataError if they differ."""
    before = read_description(out)
    if before is None:
        write_description(out, description)
        return description
    differing = list(differences(before, description))
    if differing:
        raise DataError(
            f"{out}: was started with other settings: {'; '.join(differing)}. Give another --out, or the same settings"
        )
    return before


def _parts(plan: PreparationPlan) -> list[Sequence[DigestedPhoto]]:
    return [plan.photos[start : start + SIZE] for start in range(0, len(plan.photos), SIZE)]


def _missing(out: Path, plan: PreparationPlan, totals: DatasetTotals | None) -> dict[int, Sequence[DigestedPhoto]]:
    """Return the photos of each shard that is missing or damaged, by the shard's number."""
    return {
        number: part
        for number, part in enumerate(_parts(plan))
        if not _is_whole(shard_path(out, number), None if totals is None else totals.shards[number])
    }


def _is_whole(path: Path, digest: str | None) -> bool:
    if not path.exists():
        return False
    try:
        shard = Shard(path)
        shard.check()
    except DataError:
        return False
    return digest in (None, shard.facts.digest)


def _cut(out: Path, missing: dict[int, Sequence[DigestedPhoto]], cutter: ChipCutter, progress: Progress) -> None:
    photos = [known for part in missing.values() for known in part]
    if not photos:
        return
    with one_core_threads() as pool, progress(Job("finding faces in", len(photos))) as advance:
        outcomes: Iterator[CutChip | SkippedPhoto] = on_every_core(cutter, photos, pool, advance)
        for number, part in missing.items():
            write_private(shard_path(out, number), packed(list(islice(outcomes, len(part)))))


def _require_faces(facts: Sequence[ChipRecords], plan: PreparationPlan) -> None:
    if not any(one.names for one in facts):
        first = next(each for one in facts for each in one.skipped)
        raise DataError(
            f"none of {len(plan.photos):,} photos gave a chip; the first is {shown(first.name)}: {first.words}"
        )


def _totals(facts: Sequence[ChipRecords]) -> DatasetTotals:
    return DatasetTotals(
        digest=chips_digest(facts),
        n_chips=sum(len(one.names) for one in facts),
        n_identities=len({identity for one in facts for identity in one.identities}),
        shards=tuple(one.digest for one in facts),
    )


def _finish(out: Path, description: DatasetDescription, report: DataReport) -> None:
    """Write the report, then the description, which marks the folder as finished."""
    write_private(out / SKIPPED_FILE, skipped_csv(report))
    write_private(out / REPORT_FILE, report_json(report).encode())
    write_description(out, description)
