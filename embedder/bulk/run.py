"""A bulk run: list the photos once, then embed them block by block, each into a part. An interrupted run resumes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time

from ..loading import load
from ..progress import Advance, Job, Progress, no_progress
from ..runtime.choice import RuntimeOptions
from ..runtime.runtime import n_cores
from ..weights.card import ModelCard
from .manifest import (
    BLOCK,
    FILES,
    LIST_FILE,
    BulkError,
    BulkRequest,
    Manifest,
    PhotoList,
    blocks,
    manifest_text,
    require_as_begun,
    require_free_or_ours,
    write_manifest,
)
from .parts import failures, is_done, n_rows, sums_path, write_part
from .workers import BATCH, CpuSeconds, PhotoOutcome, Task, in_order, workers


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
    def photos_s(self) -> float:
        """Photos per second."""
        return self.n_new / self.wall_s

    @property
    def cpu_share(self) -> float:
        """Core utilisation by the stages, 0..1."""
        return sum(self.cpu_s) / (self.n_cores * self.wall_s)


def embed_folders(wanted: BulkRequest, progress: Progress = no_progress) -> BulkSummary:
    """Embed one face of each photo, or every face, into numbered Parquet parts in `wanted.out`; resumes an earlier run.

    Unusable photos are listed and do not stop the run. Raises BulkError if the folder contains other files, belongs to
    a different run or cannot be written, and if there are no photos. Raises ModelError.
    """
    out = wanted.out
    require_free_or_ours(out)
    card = _card(wanted)
    photos = wanted.source.names()
    with FILES.sole_use(out):
        with FILES.new(out / LIST_FILE) as lines:
            manifest = _manifest(wanted, card, manifest_text(photos, lines))
            require_as_begun(out, manifest)  # if it raises, the new list is discarded
        write_manifest(out, manifest)
        return _embedded(wanted, manifest, photos.n_others, progress)


def _card(wanted: BulkRequest) -> ModelCard:
    """The card of the workers' model. Raises ModelError if it cannot run here.

    Loaded in a separate process: with OpenVINO in the main process, Ctrl-C has caused a segmentation fault.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_load_card, wanted.model, wanted.running).result()


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
    )


def _embedded(wanted: BulkRequest, manifest: Manifest, n_other_files: int, progress: Progress) -> BulkSummary:
    out, n_parts = wanted.out, -(-manifest.n_photos // manifest.block)
    missing = {
        number: min(manifest.block, manifest.n_photos - number * manifest.block)
        for number in range(n_parts)
        if not is_done(out, number)
    }
    n_damaged = sum(sums_path(out, number).exists() for number in missing)
    n_new, start = sum(missing.values()), perf_counter()
    with progress(Job("embedding", manifest.n_photos, n_done=manifest.n_photos - n_new)) as advance:
        cpu_s = _embed(wanted, manifest, missing, advance) if missing else CpuSeconds()
    wall_s = perf_counter() - start
    n_embedded, failed = n_rows(out, n_parts), failures(out, n_parts)
    return BulkSummary(
        n_photos=manifest.n_photos,
        n_rows=n_embedded,
        failed=failed,
        n_other_files=n_other_files,
        n_damaged_parts=n_damaged,
        n_new=n_new,
        wall_s=wall_s,
        n_cores=n_cores(),
        cpu_s=cpu_s,
    )


def _embed(wanted: BulkRequest, manifest: Manifest, missing: Mapping[int, int], advance: Advance) -> CpuSeconds:
    """Write the missing parts; `missing` maps a part's number to its number of photos."""
    task = Task(wanted.source, wanted.model, wanted.running, wanted.face)
    n_processes = min(n_cores(), -(-sum(missing.values()) // BATCH))
    cpu_s = CpuSeconds()
    with workers(task, n_processes) as pool:
        results = in_order(pool, _batches(wanted.out, manifest.block, missing), n_processes)
        for number, n_photos in missing.items():
            outcomes: list[PhotoOutcome] = []
            while len(outcomes) < n_photos:
                done = next(results)
                outcomes += done.outcomes
                cpu_s = cpu_s.plus(done.cpu_s)
                advance(len(done.outcomes))
            start = process_time()
            write_part(wanted.out, number, outcomes, manifest)
            cpu_s = cpu_s.plus(CpuSeconds(write=process_time() - start))
    return cpu_s


def _batches(out: Path, size: int, missing: Mapping[int, int]) -> Iterator[Sequence[str]]:
    for number, block in enumerate(blocks(out, size)):
        if number in missing:
            yield from (block[start : start + BATCH] for start in range(0, len(block), BATCH))
