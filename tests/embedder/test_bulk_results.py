"""What a bulk run makes of the results of an executor: each photo once, in order, and counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pytest
from bulk_photos import touched_photos

from embedder import RuntimeOptions
from embedder.bulk import BulkRequest, LocalFolder, LocalPhotos, embed_folders, run as bulk_run
from embedder.bulk.executor import Batches
from embedder.bulk.output import BulkError
from embedder.bulk.parts import part_name, sums_name
from embedder.bulk.sources import name_of
from embedder.bulk.workers import BatchResult, CpuSeconds, FailedPhoto, PhotoOutcome, Task

BATCH, N_PHOTOS = 2, 6
Results = list[BatchResult]


@dataclass(frozen=True, slots=True)
class FailingPhotos:
    """An executor for which every photo fails, and whose results are changed before they are given back."""

    change: Callable[[Results], Results] = list
    n_cores: int = 1

    @contextmanager
    def results(self, _task: Task, batches: Batches) -> Iterator[Iterator[BatchResult]]:
        yield iter(self.change([result(*map(failed, map(name_of, batch))) for batch in batches]))


def failed(name: str) -> FailedPhoto:
    return FailedPhoto(name, "no_face", "no face was found")


def result(*outcomes: PhotoOutcome) -> BatchResult:
    return BatchResult(outcomes, CpuSeconds())


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BulkRequest:
    monkeypatch.setattr(bulk_run, "BATCH", BATCH)
    photos = touched_photos(tmp_path / "photos", N_PHOTOS)
    return BulkRequest(LocalPhotos.of([photos]), LocalFolder(tmp_path / "out"), "dominant", None, RuntimeOptions())


def swapped(results: Results) -> Results:
    return [results[1], results[0], results[2]]


def repeated(results: Results) -> Results:
    return [results[0], results[0], results[2]]


def cut(results: Results) -> Results:
    return results[:-1]


def with_one_too_few(results: Results) -> Results:
    return [result(results[0].outcomes[0]), *results[1:]]


def without_a_row(results: Results) -> Results:
    return [result((), results[0].outcomes[1]), *results[1:]]


def test_results_as_sent_are_written_and_counted(wanted: BulkRequest) -> None:
    summary = embed_folders(wanted, executor=FailingPhotos())
    assert (summary.n_photos, summary.n_rows, summary.failed) == (N_PHOTOS, 0, {"no_face": N_PHOTOS})


@pytest.mark.parametrize(
    ("change", "line"), [(swapped, 1), (repeated, 3), (cut, 5), (with_one_too_few, 1), (without_a_row, 1)]
)
def test_results_that_are_not_those_of_the_photos_sent_end_the_run(
    change: Callable[[Results], Results], line: int, wanted: BulkRequest
) -> None:
    with pytest.raises(BulkError, match=f"not those of the photos from line {line} of .*_photos.jsonl; run it again"):
        embed_folders(wanted, executor=FailingPhotos(change))
    assert not list(Path(str(wanted.out)).glob("_sums*"))


class ReadOnceFolder(LocalFolder):
    """A folder that notes which files are opened or read."""

    __slots__ = ("asked",)

    def open(self, name: str) -> IO[bytes]:
        self.asked[name] += 1
        return super().open(name)

    def read(self, name: str, max_bytes: int) -> bytes:
        self.asked[name] += 1
        return super().read(name, max_bytes)


def test_no_part_is_opened_once_more_to_be_counted(wanted: BulkRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_run, "BLOCK", BATCH)
    folder = ReadOnceFolder(Path(str(wanted.out)))
    object.__setattr__(folder, "asked", Counter())
    request = replace(wanted, out=folder)
    first = embed_folders(request, executor=FailingPhotos())
    assert [name for name in folder.asked if not name.startswith("_")] == []
    folder.remove(sums_name(1))
    folder.asked.clear()
    again = embed_folders(request, executor=FailingPhotos())
    assert (again.n_rows, again.failed, again.n_new) == (first.n_rows, first.failed, BATCH)
    assert {name: n for name, n in folder.asked.items() if name.startswith("part")} == {
        part_name(0): 1,
        part_name(2): 1,
    }
