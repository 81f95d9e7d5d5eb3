"""Shards of a bulk run: joined, they are the run without shards; whatever is not a whole run is refused by name."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bulk_photos import BATCH, BLOCK, bulk, make_photos
from click.testing import CliRunner, Result

import embedder.bulk.run as bulk_run
from embedder import Advance, FaceEmbedder, Job, Progress, RuntimeOptions, load
from embedder.bulk import BulkRequest, BulkSummary, LocalPhotos, Shard, embed_folders, merge_shards, read_faces
from embedder.bulk.executor import Batches
from embedder.bulk.manifest import LIST_FILE, MANIFEST_FILE, BulkError
from embedder.bulk.parts import failed_path, part_path, sums_path
from embedder.bulk.workers import BatchResult, Task, Worker
from visavis.cli.main import main

N_PARTS, COUNT = 5, 4  # parts of 4 photos; shards


@dataclass(frozen=True)
class InThisProcess:
    """Embeds without other processes, and so without the time that these need to start."""

    embedder: FaceEmbedder
    n_cores: int = 1

    @contextmanager
    def results(self, task: Task, batches: Batches) -> Iterator[Iterator[BatchResult]]:
        yield map(Worker(task, self.embedder), batches)


Embed = Callable[[Path, Path, str | None], BulkSummary]


@pytest.fixture(scope="module")
def embed() -> Iterator[Embed]:
    """Embed photos in small parts: from, to, shard."""
    executor = InThisProcess(load(running=RuntimeOptions(threads=1)))

    def run(photos: Path, out: Path, shard: str | None) -> BulkSummary:
        chosen = None if shard is None else Shard.parse(shard)
        request = BulkRequest(LocalPhotos.of([photos]), out, "dominant", None, RuntimeOptions(), chosen)
        return embed_folders(request, executor=executor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_run, "BLOCK", BLOCK)
        patch.setattr(bulk_run, "BATCH", BATCH)
        yield run


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    return make_photos(examples, tmp_path_factory.mktemp("shards") / "photos")


@pytest.fixture(scope="module")
def whole(embed: Embed, photos: Path) -> Path:
    out = photos.parent / "whole"
    embed(photos, out, None)
    return out


@pytest.fixture(scope="module")
def made(embed: Embed, photos: Path) -> tuple[Path, ...]:
    """The folders of four shards, the last one by the command."""
    folders = tuple(photos.parent / f"shard-{number}" for number in range(COUNT))
    for number, folder in enumerate(folders[:-1]):
        embed(photos, folder, f"{number}/{COUNT}")
    words = bulk(photos, "--out", folders[-1], "--shard", f"{COUNT - 1}/{COUNT}")
    subprocess.run(words, check=True, capture_output=True)
    return folders


@pytest.fixture
def shards(made: tuple[Path, ...], tmp_path: Path) -> tuple[Path, ...]:
    """Copies that a test may change."""
    return tuple(Path(shutil.copytree(each, tmp_path / each.name)) for each in made)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def merge(*words: object) -> Result:
    return CliRunner().invoke(main, ["embed", "merge", *map(str, words)])


def refused(out: Path, *folders: Path) -> str:
    told = merge(*folders, "--out", out)
    assert told.exit_code == 2, told.output
    assert len(told.stderr.splitlines()) == 1
    return told.stderr


def test_shards_in_any_order_one_of_them_twice_are_the_run_without_shards(
    made: tuple[Path, ...], whole: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(made[1], tmp_path / "again")
    told = merge(made[2], again, made[0], made[3], made[1], "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert "16 embeddings of 18 photos" in told.stdout
    assert "5 of 5 parts joined from 4 shards" in told.stdout
    assert content(tmp_path / "out") == content(whole)


def test_each_photo_is_in_one_shard_and_a_shard_lists_only_its_own(made: tuple[Path, ...], whole: Path) -> None:
    names = [line for folder in made for line in (folder / LIST_FILE).read_bytes().splitlines()]
    assert sorted(names) == sorted((whole / LIST_FILE).read_bytes().splitlines())
    for number, folder in enumerate(made):
        parts = sorted(path.name for path in folder.glob("part-*"))
        assert parts == [part_path(folder, part).name for part in range(number, N_PARTS, COUNT)]


def test_what_reads_and_resumes_runs_sees_no_difference(
    made: tuple[Path, ...], whole: Path, embed: Embed, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    merge_shards(made, out)
    read, expected = read_faces(out), read_faces(whole)
    assert (read.photos, read.faces) == (expected.photos, expected.faces)
    assert np.array_equal(read.vectors, expected.vectors)
    assert embed(photos, out, None).n_new == 0
    assert content(out) == content(whole)


def test_nobody_but_the_owner_may_read_what_is_joined(made: tuple[Path, ...], tmp_path: Path) -> None:
    merge_shards(made, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


def test_parts_are_links_or_copies_where_there_can_be_no_links(
    made: tuple[Path, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_shards(made, tmp_path / "links")
    assert part_path(tmp_path / "links", 1).samefile(part_path(made[1], 1))

    def cannot(*_paths: object, **_options: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", cannot)
    merge_shards(made, tmp_path / "copies")
    assert not part_path(tmp_path / "copies", 1).samefile(part_path(made[1], 1))
    assert content(tmp_path / "copies") == content(tmp_path / "links") == content(whole)


def test_missing_shards_are_named(made: tuple[Path, ...], tmp_path: Path) -> None:
    assert "missing: shard 0/4, 2/4; give the folders of all shards" in refused(tmp_path / "out", made[3], made[1])
    assert not (tmp_path / "out").exists()


def test_an_unfinished_shard_is_named_with_its_parts(shards: tuple[Path, ...], tmp_path: Path) -> None:
    sums_path(shards[0], 4).unlink()
    told = refused(tmp_path / "out", *shards)
    assert f"{shards[0]}: shard 0/4 is not finished: it lacks part 4; run its command again" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "then", "now", "told"),
    [
        ("photos", "sha256:", "sha256:0", "other photos"),
        ("n_photos", ": 18", ": 19", "another number of photos (19, 18 there)"),
        ("model", '"sface-128"', '"another"', "another model (another, sface-128 there)"),
        ("precision", '"f32"', '"bf16"', "another --precision (bf16, f32 there)"),
        ("shard", '"2/4"', '"2/5"', "another number of shards (5, 4 there)"),
    ],
)
def test_a_shard_of_another_run_is_named(
    shards: tuple[Path, ...], tmp_path: Path, key: str, then: str, now: str, told: str
) -> None:
    manifest = shards[2] / MANIFEST_FILE
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line.replace(then, now) if f'"{key}"' in line else line for line in lines))
    message = refused(tmp_path / "out", *shards)
    assert f"{shards[2]}: is of another run than {shards[0]}: " in message
    assert told in message


def test_a_run_without_shards_and_a_folder_of_something_else_are_refused(
    made: tuple[Path, ...], whole: Path, tmp_path: Path
) -> None:
    assert f"{whole}: holds a whole run, not a shard" in refused(tmp_path / "out", *made, whole)
    (tmp_path / "letters").mkdir()
    assert "not a readable description of a run" in refused(tmp_path / "out", *made, tmp_path / "letters")
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    assert "contains files that are not from a bulk run" in refused(tmp_path / "letters", *made)
    assert "another --shard (1/4 then, None now)" in refused(made[1], *made)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("file_of", [part_path, failed_path], ids=["rows", "failures"])
def test_a_damaged_part_is_named_and_nothing_is_taken_for_whole_until_it_is_mended(
    shards: tuple[Path, ...], whole: Path, tmp_path: Path, file_of: Callable[[Path, int], Path]
) -> None:
    out, damaged = tmp_path / "out", file_of(shards[2], 2) if file_of is part_path else file_of(shards[1], 1)
    sound = damaged.read_bytes()
    damage(damaged)
    assert f"{damaged.parent}: part {damaged.parent.name[-1]} is damaged or was changed" in refused(out, *shards)
    with pytest.raises(BulkError, match="run it again"):
        read_faces(out)
    kept = part_path(out, 0).stat().st_ino
    damaged.write_bytes(sound)
    assert merge(*shards, "--out", out).exit_code == 0
    assert content(out) == content(whole)
    assert part_path(out, 0).stat().st_ino == kept


def stop_after(n_parts: int) -> Progress:
    """Progress that interrupts a join after so many parts."""

    @contextmanager
    def progress(_job: Job) -> Iterator[Advance]:
        done = iter(range(1, n_parts))

        def advance(_n: int) -> None:
            if next(done, None) is None:
                raise KeyboardInterrupt

        yield advance

    return progress


@pytest.mark.parametrize("n_done", range(1, N_PARTS + 1))
def test_an_interrupted_join_goes_on(made: tuple[Path, ...], whole: Path, tmp_path: Path, n_done: int) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        merge_shards(made, out, stop_after(n_done))
    assert [sums_path(out, part).exists() for part in range(N_PARTS)] == [part < n_done for part in range(N_PARTS)]
    sums_path(out, n_done - 1).unlink()  # as if it had been killed before this file was there
    assert merge_shards(made, out).n_new_parts == N_PARTS - n_done + 1
    assert content(out) == content(whole)
    assert "All parts were joined already." in merge(*made, "--out", out).stdout


def test_two_results_of_one_shard_are_refused(shards: tuple[Path, ...], tmp_path: Path) -> None:
    other = Path(shutil.copytree(shards[1], tmp_path / "other"))
    damage(sums_path(other, 1))
    told = refused(tmp_path / "out", *shards, other)
    assert f"{other} and {shards[1]}: both hold shard 1/4, but part 1 differs" in told


@pytest.mark.parametrize("change", [damage, Path.unlink], ids=["damaged", "missing"])
def test_lists_that_are_not_those_of_the_run_are_refused(
    shards: tuple[Path, ...], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(shards[3] / LIST_FILE)
    assert "run the shard" in refused(tmp_path / "out", *shards)
    assert not list((tmp_path / "out").iterdir())


def test_a_shard_is_not_read_as_a_run_nor_gone_on_with_as_another(
    made: tuple[Path, ...], embed: Embed, photos: Path
) -> None:
    with pytest.raises(BulkError, match="holds shard 1/4 of a run only; join all shards"):
        read_faces(made[1])
    for other, told in (("2/4", "another --shard .1/4 then, 2/4 now"), (None, "another --shard .1/4 then, None now")):
        with pytest.raises(BulkError, match=told):
            embed(photos, made[1], other)


def test_a_shard_goes_on_and_is_left_as_it_is_when_it_is_finished(
    shards: tuple[Path, ...], made: tuple[Path, ...], embed: Embed, photos: Path
) -> None:
    part_path(shards[0], 4).unlink()
    assert (embed(photos, shards[0], "0/4").n_new, embed(photos, shards[0], "0/4").n_new) == (2, 0)
    assert content(shards[0]) == content(made[0])


def test_more_shards_than_parts_leave_some_of_them_empty(embed: Embed, examples: Path, tmp_path: Path) -> None:
    photo = examples / "001-neutral.jpg"
    done = [embed(photo, tmp_path / str(number), f"{number}/2") for number in range(2)]
    assert [(each.n_photos, each.n_rows) for each in done] == [(1, 1), (0, 0)]
    embed(photo, tmp_path / "whole", None)
    assert merge(tmp_path / "1", tmp_path / "0", "--out", tmp_path / "out", "--json").exit_code == 0
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("text", ["4/4", "-1/4", "1", "1/", "/4", "a/b", "1/4/2", "0/0", ""])
def test_what_is_no_shard_is_refused(text: str, photos: Path, tmp_path: Path) -> None:
    words = ["embed", str(photos), "--out", str(tmp_path / "out"), "--shard", text]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 2
    assert "is not a shard: write i/n with i from 0 to n - 1" in told.stderr


def test_a_shard_needs_a_folder(photos: Path) -> None:
    told = CliRunner().invoke(main, ["embed", str(photos), "--shard", "0/4"])
    assert told.exit_code == 2
    assert "add --out, the folder of this shard" in told.stderr


def test_a_photo_named_merge_is_written_as_a_path(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(examples / "001-neutral.jpg", "merge")
    assert "./merge: [" in CliRunner().invoke(main, ["embed", "./merge"]).stdout
    told = CliRunner().invoke(main, ["embed", "merge"])
    assert told.exit_code == 2
    assert "Missing argument 'FOLDER...'" in told.stderr
    assert "write ./merge" in CliRunner().invoke(main, ["embed", "merge", "--help"]).stdout
