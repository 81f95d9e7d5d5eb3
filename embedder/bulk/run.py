"""A bulk run: list the photos once, then embed them block by block, each into a part. An interrupted run resumes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from time import perf_counter, process_time

from ..loading import load
from ..progress import Advance, Job, Progress, no_progress
from ..runtime.choice import RuntimeOptions
from ..types import ModelIdentity
from ..weights.card import ModelCard
from .executor import Batches, Executor, ProcessPool
from .manifest import (
    BLOCK,
    LIST_FILE,
    BulkRequest,
    Manifest,
    PhotoList,
    manifest_text,
    require_as_begun,
    require_free_or_ours,
    write_manifest,
)
from .output import BulkError, OutputFolder
from .parts import PartCounts, done_part, sums_name, write_part
from .sources import name_of
from .workers import BATCH, NOT_FETCHED, BatchResult, CpuSeconds, FailedPhoto, PhotoOutcome, Task


@dataclass(frozen=True, slots=True)
class BulkSummary:
    """The totals of the output folder, and the work and time of this run."""

    n_photos: int
    n_rows: int
    failed: Counter[str]  # by code
    n_other_files: int  # in the folders; not photos by name
    n_damaged_parts: int  # of an earlier run: damaged or changed since, and made again
    n_new: int  # photos processed by this run
    wall_s: float  # from the first batch to the last part
    n_cores: int
    cpu_s: CpuSeconds

    @property
    def n_not_fetched(self) -> int:
        """The number of photos that the same run, begun again, tries again."""
        return self.failed[NOT_FETCHED]

    @property
    def photos_s(self) -> float:
        """Photos per second."""
        return self.n_new / self.wall_s

    @property
    def cpu_share(self) -> float:
        """Core utilisation by the stages, 0..1."""
        return sum(self.cpu_s) / (self.n_cores * self.wall_s)


def embed_folders(
    wanted: BulkRequest, progress: Progress = no_progress, executor: Executor | None = None
) -> BulkSummary:
    """Embed one face of each photo, or every face, into numbered Parquet parts in `wanted.out`; resumes an earlier run.

    The executor, by default processes of this machine, does not influence what is written. Unusable photos are listed
    and do not stop the run. Raises BulkError if the folder contains other files, belongs to a different run or cannot
    be written, and if there are no photos. Raises ModelError.
    """
    out = wanted.out
    require_free_or_ours(out)
    card = _card(wanted)
    photos = wanted.source.names()
    with out.sole_use():
        with out.new(LIST_FILE) as lines:
            manifest = _manifest(wanted, card, manifest_text(photos, lines, BLOCK, wanted.shard))
            require_as_begun(out, manifest)  # if it raises, the new list is discarded
        write_manifest(out, manifest)
        return _embedded(wanted, manifest, photos.n_others, progress, executor or ProcessPool())


def _card(wanted: BulkRequest) -> ModelCard:
    """The card of the workers' model. Raises ModelError if it cannot run here, and BulkError if its process ends.

    Loaded in a separate process: with OpenVINO in the main process, Ctrl-C has caused a segmentation fault.
    """
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(_load_card, wanted.model, wanted.running).result()
    except (BrokenProcessPool, BrokenPipeError) as error:
        raise BulkError(
            "the process that reads the model was killed, possibly for lack of memory; free some and run it again"
        ) from error


def _load_card(model: str | None, running: RuntimeOptions) -> ModelCard:
    return load(model, running=running).card


def _manifest(wanted: BulkRequest, card: ModelCard, found: PhotoList) -> Manifest:
    if not found.n_photos:
        raise BulkError("the given paths contain no photos: give folders of images, or image files")
    identity = card.identity(wanted.running.precision)
    return Manifest(
        n_photos=found.n_photos,
        photos=found.digest,
        block=BLOCK,
        face=wanted.face,
        model=identity.name,
        model_digest=identity.digest,
        card_digest=identity.card_digest,
        precision=wanted.running.precision,
        embedding_size=card.architecture.embedding_size,
        shard=wanted.shard,
    )


def _embedded(
    wanted: BulkRequest, manifest: Manifest, n_other_files: int, progress: Progress, executor: Executor
) -> BulkSummary:
    begun = _begun(wanted.out, manifest)
    n_photos = sum(map(manifest.n_photos_in, manifest.parts))
    n_new, start = sum(begun.missing.values()), perf_counter()
    with progress(Job("embedding", n_photos, n_done=n_photos - n_new)) as advance:
        new = _embed(wanted, manifest, begun.missing, advance, executor) if begun.missing else _NewParts()
    counts = begun.done.plus(new.counts)
    return BulkSummary(
        n_photos=n_photos,
        n_rows=counts.n_rows,
        failed=counts.failed,
        n_other_files=n_other_files,
        n_damaged_parts=begun.n_damaged,
        n_new=n_new,
        wall_s=perf_counter() - start,
        n_cores=executor.n_cores,
        cpu_s=new.cpu_s,
    )


@dataclass(frozen=True, slots=True)
class _BegunRun:
    """The parts in the output folder at the start."""

    done: PartCounts
    missing: Mapping[int, int]  # the number of a part -> its number of photos; with parts that a store did not give
    n_damaged: int  # of the missing ones


@dataclass(frozen=True, slots=True)
class _NewParts:
    counts: PartCounts = field(default_factory=PartCounts)
    cpu_s: CpuSeconds = field(default_factory=CpuSeconds)


def _begun(out: OutputFolder, manifest: Manifest) -> _BegunRun:
    there = out.names()  # of a store, one request for 1,000 files
    done, missing, n_damaged = PartCounts(), {}, 0
    for number in manifest.parts:
        has_sums = sums_name(number) in there
        counts = done_part(out, number) if has_sums else None
        if counts is None or counts.failed[NOT_FETCHED]:
            missing[number] = manifest.n_photos_in(number)
            n_damaged += has_sums and counts is None
        else:
            done = done.plus(counts)
    return _BegunRun(done, missing, n_damaged)


def _embed(
    wanted: BulkRequest, manifest: Manifest, missing: Mapping[int, int], advance: Advance, executor: Executor
) -> _NewParts:
    """Write the missing parts; `missing` maps a part's number to its number of photos."""
    identity = ModelIdentity(manifest.model, manifest.model_digest, manifest.card_digest)
    task = Task(wanted.source, wanted.model, replace(wanted.running, threads=1), wanted.face, identity)
    batches, counts, cpu_s = Batches(wanted.out, manifest, missing, BATCH), PartCounts(), CpuSeconds()
    with executor.results(task, batches) as ordered:
        results = _as_sent(ordered, batches)
        for number, n_photos in missing.items():
            outcomes: list[PhotoOutcome] = []
            while len(outcomes) < n_photos:
                done = next(results)
                outcomes += done.outcomes
                cpu_s = cpu_s.plus(done.cpu_s)
                advance(len(done.outcomes))
            start = process_time()
            counts = counts.plus(write_part(wanted.out, number, outcomes, manifest))
            cpu_s = cpu_s.plus(CpuSeconds(write=process_time() - start))
    return _NewParts(counts, cpu_s)


def _as_sent(results: Iterator[BatchResult], batches: Batches) -> Iterator[BatchResult]:
    """Compare the names of results with those of the batches: each photo is there once. Raises BulkError."""
    for place, batch in zip(batches.places(), batches, strict=True):
        result = next(results, None)
        names = tuple(map(name_of, batch))
        if result is None or len(result.outcomes) != len(names) or not all(map(_is_of, result.outcomes, names)):
            raise BulkError(
                f"the results are not those of the photos from {place}; run it again: completed work is kept. If this "
                "is said again, it is a bug in visavis: please report it"
            )
        yield result


def _is_of(outcome: PhotoOutcome, name: str) -> bool:
    rows = (outcome,) if isinstance(outcome, FailedPhoto) else outcome
    return {each.name for each in rows} == {name}
