"""`visavis embed --out`: the same rows as one by one, private, whole, and the same again after a kill."""

import json
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bulk_photos import BLOCK, Told, bulk, failed_in, make_photos, rows_of, run, same_but_for, stopped_when
from odd_images import two_faces
from pyarrow import parquet

from embedder import MEASURES, FaceEmbedder
from embedder.bulk import LocalFolder, read_faces
from embedder.bulk.manifest import LIST_FILE, MANIFEST_FILE
from embedder.bulk.output import BulkError
from embedder.bulk.parts import failed_name, part_name, sums_name

N_PHOTOS, N_FACES, N_PARTS = 18, 16, 5


@pytest.fixture(scope="module")
def photos(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_photos(examples, tmp_path_factory.mktemp("bulk") / "photos")
    for name in ("notes.txt", ".DS_Store"):
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    told = run(photos, "--out", out, "--json")
    assert told.returncode == 0, told.stderr
    return out, told


def test_every_row_is_what_the_photo_gives_alone(
    whole: tuple[Path, Told], photos: Path, embedder: FaceEmbedder
) -> None:
    rows = parquet.read_table(whole[0]).to_pylist()
    assert len(rows) == N_FACES
    for row in rows:
        alone = embedder.embed((photos / row["path"]).read_bytes())
        face, quality = alone.sample.face, alone.sample.quality
        box = [row["box"][name] for name in ("x", "y", "width", "height")]
        assert np.abs(np.array(row["embedding"], np.float32) - alone.vector).max() <= 1e-5
        assert box == pytest.approx([face.box.x, face.box.y, face.box.width, face.box.height], abs=0.01)
        assert row["landmarks"] == pytest.approx(np.ravel(face.landmarks), abs=0.01)
        assert row["score"] == pytest.approx(face.score, abs=1e-5)
        assert list(row["quality"].values()) == pytest.approx([getattr(quality, name) for name in MEASURES], rel=1e-3)
        assert (row["n_faces"], row["choice"]) == (alone.sample.n_faces, "dominant")


def test_rows_come_in_the_order_of_their_paths_in_parts_of_bounded_size(whole: tuple[Path, Told]) -> None:
    out, _ = whole
    paths = rows_of(out)["path"]
    assert paths == sorted(map(str, paths))
    sizes = [parquet.read_metadata(out / part_name(number)).num_rows for number in range(N_PARTS)]
    assert max(sizes) <= BLOCK
    assert sum(sizes) == N_FACES


def test_a_part_says_which_model_made_it_and_how_long_an_embedding_is(
    whole: tuple[Path, Told], embedder: FaceEmbedder
) -> None:
    schema = parquet.read_schema(whole[0] / part_name(0))
    assert schema.field("embedding").type == pa.list_(pa.float32(), 128)
    assert schema.field("n_faces").nullable
    assert schema.metadata == {
        b"visavis.model": embedder.identity.name.encode(),
        b"visavis.model_digest": embedder.identity.digest.encode(),
        b"visavis.card_digest": embedder.identity.card_digest.encode(),
        b"visavis.precision": b"f32",
    }


def test_photos_that_cannot_be_used_are_listed_with_the_reason(whole: tuple[Path, Told]) -> None:
    out, told = whole
    assert [(each["name"], each["code"]) for each in failed_in(out)] == [
        ("005/broken.jpg", "not_an_image"),
        ("021/nobody.png", "no_face"),
    ]
    assert all(each["detail"] for each in failed_in(out))
    assert json.loads(told.stdout)["failed"] == {"not_an_image": 1, "no_face": 1}


def test_the_summary_counts_photos_rows_and_the_time_of_every_stage(whole: tuple[Path, Told]) -> None:
    told = json.loads(whole[1].stdout)
    assert (told["photos"], told["rows"], told["new_photos"]) == (N_PHOTOS, N_FACES, N_PHOTOS)
    assert told["other_files"] == 2
    assert min(told["cpu_s"].values()) > 0
    assert told["cpu_share"] == pytest.approx(sum(told["cpu_s"].values()) / (told["cores"] * told["wall_s"]))
    assert told["photos_s"] == pytest.approx(N_PHOTOS / told["wall_s"])


@pytest.fixture(scope="module")
def every_face(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Told]:
    """Photos with a group among them, and a run over all of their faces."""
    folder = tmp_path_factory.mktemp("every") / "photos"
    shutil.copytree(photos, folder)
    (folder / "001" / "two.png").write_bytes(two_faces())
    out = folder.parent / "out"
    told = run(folder, "--out", out, "--face", "all", "--json")
    assert told.returncode == 0, told.stderr
    return folder, out, told


def test_with_all_every_face_has_a_row_with_its_index(
    every_face: tuple[Path, Path, Told], embedder: FaceEmbedder
) -> None:
    folder, out, told = every_face
    rows = parquet.read_table(out).to_pylist()
    assert len(rows) == json.loads(told.stdout)["rows"] == N_FACES + 2
    by_photo: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        by_photo.setdefault(row["path"], []).append(row)
    assert [row["face"] for row in by_photo["001/two.png"]] == [0, 1]
    for name, its_rows in by_photo.items():
        direct = embedder.embed_all((folder / name).read_bytes())
        assert [row["face"] for row in its_rows] == list(range(len(direct)))
        for row, alone in zip(its_rows, direct, strict=True):
            assert np.abs(np.array(row["embedding"], np.float32) - alone.vector).max() <= 1e-5
            assert (row["n_faces"], row["choice"]) == (len(direct), "all")


def test_all_faces_are_read_back_as_they_were_written(every_face: tuple[Path, Path, Told]) -> None:
    _, out, _ = every_face
    read, rows = read_faces(LocalFolder(out)), rows_of(out)
    assert [read.photos[face.photo] for face in read.faces] == rows["path"]
    assert [face.index for face in read.faces] == rows["face"]
    assert [asdict(face.box) for face in read.faces] == rows["box"]
    assert [face.rotation for face in read.faces] == rows["rotation"]
    assert read.vectors.tolist() == rows["embedding"]
    assert [dict(zip(MEASURES, each, strict=True)) for each in read.qualities.tolist()] == rows["quality"]


def test_a_run_that_is_not_there_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(BulkError, match="holds no bulk run; give the folder"):
        read_faces(LocalFolder(tmp_path))


def test_with_all_no_photo_vanishes(every_face: tuple[Path, Path, Told]) -> None:
    _, out, told = every_face
    assert [(each["name"], each["code"]) for each in failed_in(out)] == [
        ("005/broken.jpg", "not_an_image"),
        ("021/nobody.png", "no_face"),
    ]
    summary = json.loads(told.stdout)
    assert summary["photos"] == N_PHOTOS + 1 == len(set(rows_of(out)["path"])) + len(failed_in(out))


def test_a_run_over_all_faces_is_not_resumed_with_a_rule(every_face: tuple[Path, Path, Told]) -> None:
    folder, out, _ = every_face
    told = run(folder, "--out", out)
    assert told.returncode == 2
    assert "another --face (all then, dominant now)" in told.stderr


def test_without_all_there_is_no_index(whole: tuple[Path, Told]) -> None:
    assert "face" not in rows_of(whole[0])


def test_nobody_but_the_owner_may_read_what_is_written(whole: tuple[Path, Told]) -> None:
    out, _ = whole
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


@pytest.mark.parametrize("n_parts", [0, 1, 3])
def test_killed_it_goes_on_and_ends_with_the_same_rows(
    whole: tuple[Path, Told], photos: Path, tmp_path: Path, n_parts: int
) -> None:
    out = tmp_path / "out"
    last = out / sums_name(n_parts - 1) if n_parts else out / MANIFEST_FILE
    killed = stopped_when(last.exists, signal.SIGKILL, photos, "--out", out)
    assert killed.returncode == -signal.SIGKILL
    whole_parts = [out / part_name(number) for number in range(N_PARTS) if (out / sums_name(number)).exists()]
    kept = {path: path.stat().st_ino for path in whole_parts}
    assert n_parts <= len(kept) < N_PARTS
    again = run(photos, "--out", out, "--json")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_ino for path in kept} == kept
    assert json.loads(again.stdout)["new_photos"] == N_PHOTOS - sum(
        min(BLOCK, N_PHOTOS - BLOCK * int(path.stem[-5:])) for path in kept
    )
    same_but_for(whole[0], out)


def test_the_processes_of_a_run_that_was_killed_end_too(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(bulk(photos, "--out", out), stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while process.poll() is None and not (out / part_name(0)).exists():
            time.sleep(0.001)
        process.kill()
    deadline = time.monotonic() + 20
    while _is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(process.pid)


def _is_alive(session: int) -> bool:
    """Is there a process of that session that still runs?"""
    for facts in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = facts.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            return True
    return False


def test_interrupted_it_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = stopped_when((out / part_name(0)).exists, signal.SIGINT, photos, "--out", out)
    assert told.returncode == 130
    assert "run the same command again to resume" in told.stderr
    assert "Traceback" not in told.stderr
    assert not list(out.glob(".*"))


def test_failures_of_a_part_that_was_not_finished_are_not_counted_twice(
    whole: tuple[Path, Told], photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    (out / part_name(0)).unlink()
    (out / failed_name(0)).write_text('{"name": "001/gone.jpg", "code": "no_face", "detail": "of then"}\n')
    assert run(photos, "--out", out).returncode == 0
    same_but_for(whole[0], out)


def test_a_finished_run_is_left_as_it_is(whole: tuple[Path, Told], photos: Path) -> None:
    out, _ = whole
    before = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    told = run(photos, "--out", out)
    assert (told.returncode, told.stderr) == (0, "")
    assert "16 embeddings of 18 photos" in told.stdout
    assert "All photos were embedded already." in told.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("part-*")} == before


def test_other_photos_are_refused_and_change_nothing(whole: tuple[Path, Told], photos: Path, tmp_path: Path) -> None:
    out, more = tmp_path / "out", tmp_path / "more"
    shutil.copytree(whole[0], out)
    shutil.copytree(photos, more)
    (more / "001" / "new.jpg").write_bytes(b"new")
    listed = (out / LIST_FILE).read_bytes()
    told = run(more, "--out", out)
    assert told.returncode == 2
    assert "another number of photos (18 then, 19 now)" in told.stderr
    assert "choose another --out" in told.stderr
    assert (out / LIST_FILE).read_bytes() == listed


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--face", "largest"], "another --face (dominant then, largest now)"), (["--model"], "another model")],
    ids=["face", "model"],
)
def test_another_face_or_model_is_refused(
    whole: tuple[Path, Told], photos: Path, bare_bundle: Path, words: list[str], told: str
) -> None:
    refused = run(photos, "--out", whole[0], *words, *([bare_bundle] if words == ["--model"] else []))
    assert refused.returncode == 2
    assert told in refused.stderr


def test_a_folder_that_moved_goes_on_for_names_start_from_it(
    whole: tuple[Path, Told], photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    (out / part_name(1)).unlink()
    shutil.copytree(photos, tmp_path / "elsewhere")
    assert run(tmp_path / "elsewhere", "--out", out).returncode == 0
    same_but_for(whole[0], out)


def test_a_folder_that_holds_something_else_is_not_touched(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    told = run(photos, "--out", tmp_path)
    assert told.returncode == 2
    assert "contains files that are not from a bulk run" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_where_there_is_no_photo_it_says_so_and_the_folder_may_be_used_again(tmp_path: Path, examples: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    told = run(empty, "--out", out)
    assert told.returncode == 2
    assert "the given paths contain no photos" in told.stderr
    assert run(examples / "001-neutral.jpg", "--out", out).returncode == 0
    assert rows_of(out)["path"] == [str(examples / "001-neutral.jpg")]


def test_where_every_photo_fails_there_is_a_part_without_rows(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    assert run(tmp_path / "photos", "--out", tmp_path / "out").returncode == 0
    assert rows_of(tmp_path / "out")["path"] == []


def test_two_at_once_do_not_work_in_one_folder(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with LocalFolder(out).sole_use():
        second = run(photos, "--out", out)
    assert second.returncode == 2
    assert "another process is using it" in second.stderr


def test_what_bulk_needs_and_is_not_installed_is_named_with_its_extra(photos: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['pyarrow'] = None; from visavis.cli.main import main; main()"
    words = [*bulk()[:2], program, "embed", str(photos), "--out", str(tmp_path / "out")]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "pip install 'visavis[bulk]'" in told.stderr
