"""Shards of a bulk run: joined, they are the run without shards; whatever is not a whole run is refused by name."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bulk_photos import BLOCK, bulk, make_photos
from click.testing import CliRunner, Result

from embedder import MEASURES, Advance, Face, Job, Progress, Quality, Sample, no_progress
from embedder.bulk import EmbeddedFaces, LocalFolder, MergeSummary, Shard, merge_shards, read_faces
from embedder.bulk.manifest import LIST_FILE, MANIFEST_FILE, Manifest, manifest_text, write_manifest
from embedder.bulk.output import BulkError
from embedder.bulk.parts import failed_name, part_name, sums_name, write_part
from embedder.bulk.workers import FaceRow, FailedPhoto, PhotoOutcome
from embedder.types import Box
from visavis.cli.main import main

N_PHOTOS, N_PARTS, COUNT = 18, 5, 4  # parts of 4 photos; shards


def outcome(number: int) -> PhotoOutcome:
    """A made-up face of a photo; two photos have none."""
    name = f"{number // 4:03}/{number}.jpg"
    if number in {4, 10}:
        return FailedPhoto(name, "no_face", "no face was found")
    face = Face(Box(number, 2, 30, 40), ((1.0, 2.0),) * 5, 0.9)
    quality = Quality(*np.arange(len(MEASURES)) / 10)
    vector = np.random.default_rng(number).normal(size=128).astype(np.float32)
    return (FaceRow(name, 0, Sample(face, "dominant", 1, quality), vector),)


def write_run(out: Path, shard: Shard | None, n_photos: int = N_PHOTOS) -> Path:
    """Write a run over made-up faces as `embed_folders` does."""
    out.mkdir(0o700)
    folder, outcomes = LocalFolder(out), list(map(outcome, range(n_photos)))
    names = [each.name if isinstance(each, FailedPhoto) else each[0].name for each in outcomes]
    with folder.new(LIST_FILE) as lines:
        found = manifest_text(names, lines, BLOCK, shard)
    facts = {"face": "dominant", "model": "made-up", "model_digest": "sha256:1", "card_digest": "sha256:2"}
    manifest = Manifest(n_photos=n_photos, photos=found.digest, block=BLOCK, precision="f32", shard=shard, **facts)
    write_manifest(folder, manifest)
    for number in manifest.parts:
        write_part(folder, number, outcomes[number * BLOCK : (number + 1) * BLOCK], manifest)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("whole") / "out", None)


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, ...]:
    return tuple(write_run(tmp_path / f"shard-{number}", Shard(number, COUNT)) for number in range(COUNT))


def joined(shards: tuple[Path, ...], out: Path, progress: Progress = no_progress) -> MergeSummary:
    return merge_shards([LocalFolder(each) for each in shards], LocalFolder(out), progress)


def faces(out: Path) -> EmbeddedFaces:
    return read_faces(LocalFolder(out))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def merge(*words: object) -> Result:
    return CliRunner().invoke(main, ["embed", "merge", *map(str, words)])


def refused(out: Path, *folders: Path) -> str:
    told = merge(*folders, "--out", out)
    assert told.exit_code == 2, told.output
    (line,) = [each for each in told.stderr.splitlines() if each.startswith("visavis: ")]
    return line


def test_shards_in_any_order_one_of_them_twice_are_the_run_without_shards(
    shards: tuple[Path, ...], whole: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(shards[1], tmp_path / "again")
    told = merge(shards[2], again, shards[0], shards[3], shards[1], "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert "16 embeddings of 18 photos" in told.stdout
    assert "5 of 5 parts joined from 4 shards" in told.stdout
    assert content(tmp_path / "out") == content(whole)


def test_each_photo_is_in_one_shard_and_a_shard_lists_only_its_own(shards: tuple[Path, ...], whole: Path) -> None:
    names = [line for folder in shards for line in (folder / LIST_FILE).read_bytes().splitlines()]
    assert sorted(names) == sorted((whole / LIST_FILE).read_bytes().splitlines())
    for number, folder in enumerate(shards):
        parts = sorted(path.name for path in folder.glob("part-*"))
        assert parts == [(folder / part_name(part)).name for part in range(number, N_PARTS, COUNT)]


def test_the_faces_of_a_joined_run_are_read_as_those_of_any_other(
    shards: tuple[Path, ...], whole: Path, tmp_path: Path
) -> None:
    joined(shards, tmp_path / "out")
    read, expected = faces(tmp_path / "out"), faces(whole)
    assert (len(read.faces), read.photos, read.faces) == (16, expected.photos, expected.faces)
    assert np.array_equal(read.vectors, expected.vectors)
    with pytest.raises(BulkError, match="holds shard 1/4 of a run only; join all shards"):
        faces(shards[1])


def test_nobody_but_the_owner_may_read_what_is_joined(shards: tuple[Path, ...], tmp_path: Path) -> None:
    joined(shards, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


def test_parts_are_links_or_copies_where_there_can_be_no_links(
    shards: tuple[Path, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(shards, tmp_path / "links")
    assert (tmp_path / "links" / part_name(1)).samefile(shards[1] / part_name(1))

    def cannot(*_paths: object, **_options: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", cannot)
    joined(shards, tmp_path / "copies")
    assert not (tmp_path / "copies" / part_name(1)).samefile(shards[1] / part_name(1))
    assert content(tmp_path / "copies") == content(tmp_path / "links") == content(whole)


def test_missing_shards_are_named(shards: tuple[Path, ...], tmp_path: Path) -> None:
    assert "missing: shard 0/4, 2/4; give the folders of all shards" in refused(tmp_path / "out", shards[3], shards[1])
    assert not (tmp_path / "out").exists()


def test_an_unfinished_shard_is_named_with_its_parts(shards: tuple[Path, ...], tmp_path: Path) -> None:
    (shards[0] / sums_name(4)).unlink()
    told = refused(tmp_path / "out", *shards)
    assert f"{shards[0]}: shard 0/4 is not finished: it lacks part 4; run its command again" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "then", "now", "told"),
    [
        ("photos", "sha256:", "sha256:0", "other photos"),
        ("n_photos", ": 18", ": 19", "another number of photos (19, 18 there)"),
        ("model", '"made-up"', '"another"', "another model (another, made-up there)"),
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
    shards: tuple[Path, ...], whole: Path, tmp_path: Path
) -> None:
    assert f"{whole}: holds a whole run, not a shard" in refused(tmp_path / "out", *shards, whole)
    (tmp_path / "letters").mkdir()
    assert "holds no bulk run; give the folder" in refused(tmp_path / "out", *shards, tmp_path / "letters")
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    assert "contains files that are not from a bulk run" in refused(tmp_path / "letters", *shards)
    assert "another --shard (1/4 then, None now)" in refused(shards[1], *shards)


def test_a_manifest_without_photos_in_a_part_is_refused(shards: tuple[Path, ...], tmp_path: Path) -> None:
    manifest = shards[2] / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace(f'"block": {BLOCK}', '"block": 0'))
    assert "not a readable description of a run" in refused(tmp_path / "out", *shards)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("name_of", [part_name, failed_name], ids=["rows", "failures"])
def test_a_damaged_part_is_named_and_nothing_is_taken_for_whole_until_it_is_mended(
    shards: tuple[Path, ...], whole: Path, tmp_path: Path, name_of: Callable[[int], str]
) -> None:
    out, damaged = tmp_path / "out", shards[2] / name_of(2)
    sound = damaged.read_bytes()
    damage(damaged)
    assert f"{shards[2]}: part 2 is damaged or was changed" in refused(out, *shards)
    with pytest.raises(BulkError, match="run it again"):
        faces(out)
    kept = (out / part_name(0)).stat().st_ino
    damaged.write_bytes(sound)
    assert merge(*shards, "--out", out).exit_code == 0
    assert content(out) == content(whole)
    assert (out / part_name(0)).stat().st_ino == kept


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
def test_an_interrupted_join_goes_on(shards: tuple[Path, ...], whole: Path, tmp_path: Path, n_done: int) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        joined(shards, out, stop_after(n_done))
    assert [(out / sums_name(part)).exists() for part in range(N_PARTS)] == [part < n_done for part in range(N_PARTS)]
    (out / sums_name(n_done - 1)).unlink()  # as if it had been killed before this file was there
    assert joined(shards, out).n_new_parts == N_PARTS - n_done + 1
    assert content(out) == content(whole)
    assert "All parts were joined already." in merge(*shards, "--out", out).stdout


def test_two_results_of_one_shard_are_refused(shards: tuple[Path, ...], tmp_path: Path) -> None:
    other = Path(shutil.copytree(shards[1], tmp_path / "other"))
    damage(other / sums_name(1))
    told = refused(tmp_path / "out", *shards, other)
    assert f"{other} and {shards[1]}: both hold shard 1/4, but part 1 differs" in told


@pytest.mark.parametrize("change", [damage, Path.unlink], ids=["damaged", "missing"])
def test_lists_that_are_not_those_of_the_run_are_refused(
    shards: tuple[Path, ...], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(shards[3] / LIST_FILE)
    assert "run the shard" in refused(tmp_path / "out", *shards)
    assert not list((tmp_path / "out").iterdir())


def test_more_shards_than_parts_leave_some_of_them_empty(tmp_path: Path) -> None:
    made = tuple(write_run(tmp_path / str(number), Shard(number, 3), n_photos=6) for number in range(3))
    assert not list(made[2].glob("part-*"))
    assert joined(made, tmp_path / "out").n_photos == 6
    assert content(tmp_path / "out") == content(write_run(tmp_path / "whole", None, n_photos=6))
    assert "missing: shard 2/3" in refused(tmp_path / "other", *made[:2])


def embed(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(bulk(*words), capture_output=True, text=True, check=False)


def test_the_command_embeds_shards_that_are_joined_and_gone_on_with(examples: Path, tmp_path: Path) -> None:
    photos, out = make_photos(examples, tmp_path / "photos"), tmp_path / "out"
    made = tuple(tmp_path / f"shard-{number}" for number in range(2))
    for number, folder in enumerate(made):
        told = embed(photos, "--out", folder, "--shard", f"{number}/2", "--json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["photos"] == (10, 8)[number]
    refused = embed(photos, "--out", made[1], "--shard", "0/2")
    assert "another --shard (1/2 then, 0/2 now)" in refused.stderr
    assert merge(*made, "--out", out).exit_code == 0
    assert "All photos were embedded already." in embed(photos, "--out", out).stdout
    assert embed(photos, "--out", tmp_path / "whole").returncode == 0
    same_but_for(tmp_path / "whole", out)


def same_but_for(one: Path, other: Path) -> None:
    """The same files, but for embeddings within 1e-5."""
    ours, theirs = content(one), content(other)
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == theirs[name] for name in ours if not name.startswith(("part-", "_sums")))
    read, expected = faces(one), faces(other)
    assert (read.photos, read.faces) == (expected.photos, expected.faces)
    assert np.abs(read.vectors - expected.vectors).max() <= 1e-5


def test_shards_on_a_store_are_refused(shards: tuple[Path, ...], tmp_path: Path) -> None:
    told = merge(*shards[1:], "s3://bucket/shard-0", "--out", tmp_path / "out")
    assert told.exit_code == 2
    assert "s3://bucket/shard-0: merge joins folders of this machine" in told.stderr
    assert "s3://bucket/out: merge joins" in merge(*shards, "--out", "s3://bucket/out").stderr


@pytest.mark.parametrize("text", ["4/4", "-1/4", "1", "1/", "/4", "a/b", "1/4/2", "0/0", ""])
def test_what_is_no_shard_is_refused(text: str, tmp_path: Path) -> None:
    words = ["embed", str(tmp_path), "--out", str(tmp_path / "out"), "--shard", text]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 2
    assert "is not a shard: write i/n with i from 0 to n - 1" in told.stderr


def test_a_shard_needs_a_folder(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["embed", str(tmp_path), "--shard", "0/4"])
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


def test_a_shard_that_has_no_part_says_so(examples: Path, tmp_path: Path) -> None:
    photos = make_photos(examples, tmp_path / "photos")
    told = embed(photos, "--out", tmp_path / "shard", "--shard", "6/7")
    assert told.returncode == 0, told.stderr
    assert "0 embeddings of 0 photos" in told.stdout
    assert "There are no photos to embed." in told.stdout
