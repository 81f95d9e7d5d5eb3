"""`visavis embed` from and to a real object store on loopback, which fails, answers slowly and cuts answers off."""

import io
import json
import os
import pickle
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bulk_photos import bulk, make_photos, read_all
from object_store import BUCKET, SECRETS, ObjectStore, object_store
from pyarrow import parquet

from embedder import FaceEmbedder, ImageTooLarge, RuntimeOptions
from embedder.bulk import output_folder, photo_source, read_faces
from embedder.bulk.manifest import read_manifest, require_free_or_ours
from embedder.bulk.output import WRITER_FILE, BulkError
from embedder.bulk.parts import done_part
from embedder.bulk.stores import StoreAddress, StoreFailure, file_system, read_object
from embedder.bulk.workers import Task, Worker

Told = subprocess.CompletedProcess[str]
N_PHOTOS, N_FACES = 18, 16


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture(autouse=True)
def here(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process may use the store, which is well at first."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store.trouble = lambda _path, _n: ""
    store.asked.clear()
    store.troubled.clear()
    yield
    file_system.cache_clear()


@pytest.fixture(scope="module")
def photos(store: ObjectStore, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in a folder, and the same ones on the store."""
    folder = make_photos(examples, tmp_path_factory.mktemp("store") / "photos")
    (folder / "notes.txt").touch()
    store.put_folder(folder, "in")
    return folder


def run(store: ObjectStore, home: Path, *words: object) -> Told:
    """Run `visavis embed` where nothing but the store is known."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    home.mkdir(exist_ok=True)
    environment |= {"HOME": str(home), "TMPDIR": str(home)} | store.environment
    return subprocess.run(bulk(*words), capture_output=True, text=True, check=False, env=environment, timeout=120)


@pytest.fixture(scope="module")
def local(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run over the folder writes into another one."""
    out = tmp_path_factory.mktemp("local") / "out"
    subprocess.run(bulk(photos, "--out", out), check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def remote(store: ObjectStore, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Path]:
    """A run from the store to the store; one photo can never be read, and many others not at the first attempt."""

    def trouble(path: str, n: int) -> str:
        if path.endswith("005/005-smiling.jpg"):
            return "error"
        if "/in/" not in path or n > 1:
            return ""
        return ("error", "reset", "slow", "cut", "", "")[sum(path.encode()) % 6]

    assert photos.is_dir()
    store.trouble = trouble
    home = tmp_path_factory.mktemp("home")
    return run(store, home, f"s3://{BUCKET}/in", "--out", f"s3://{BUCKET}/out/first", "--json"), home


def rows(objects: dict[str, bytes]) -> list[dict[str, object]]:
    parts = [content for name, content in sorted(objects.items()) if name.endswith(".parquet")]
    found: list[dict[str, object]] = pa.concat_tables(
        [parquet.read_table(pa.BufferReader(each)) for each in parts]
    ).to_pylist()
    return found


def failed(objects: dict[str, bytes]) -> dict[str, dict[str, str]]:
    lines = [line for name, content in objects.items() if name.startswith("_failed") for line in content.splitlines()]
    return {each["name"]: each for each in map(json.loads, lines)}


def test_from_store_to_store_the_run_writes_what_it_writes_of_a_folder(
    store: ObjectStore, remote: tuple[Told, Path], local: dict[str, bytes]
) -> None:
    told, objects = remote[0], store.objects("out/first")
    assert told.returncode == 0, told.stderr
    summary = json.loads(told.stdout)
    assert (summary["photos"], summary["rows"], summary["other_files"]) == (N_PHOTOS, N_FACES - 1, 1)
    assert summary["failed"] == {"not_an_image": 1, "no_face": 1, "not_fetched": 1}
    assert set(objects) ^ set(local) == {WRITER_FILE, "_failed-00001.jsonl"}  # of the photo that cannot be read
    assert objects["_photos.jsonl"] == local["_photos.jsonl"]
    assert objects["_run.json"] == local["_run.json"]
    here = {row["path"]: row for row in rows(local)}
    for row in rows(objects):
        expected = here[row["path"]]
        assert np.abs(np.array(row.pop("embedding")) - np.array(expected.pop("embedding"))).max() <= 1e-5
        assert row == expected


def test_requests_that_fail_are_repeated_and_what_still_fails_is_listed(
    store: ObjectStore, remote: tuple[Told, Path]
) -> None:
    assert remote[0].returncode == 0
    listed = failed(store.objects("out/first"))["005/005-smiling.jpg"]
    assert listed["code"] == "not_fetched"
    assert "HTTP status 500" in listed["detail"]


def test_secrets_are_in_nothing_that_is_written(store: ObjectStore, remote: tuple[Told, Path]) -> None:
    told, home = remote
    written = [told.stdout.encode(), told.stderr.encode(), *store.objects("out/first").values()]
    written += [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    for secret in (*SECRETS, "Signature", "Credential="):
        assert [content for content in written if secret.encode() in content] == []


def test_a_run_resumes_on_a_store_and_makes_damaged_parts_again(
    store: ObjectStore, remote: tuple[Told, Path], tmp_path: Path
) -> None:
    assert remote[0].returncode == 0
    before = store.objects("out/first")
    for name, content in before.items():
        if name not in {"part-00001.parquet", "_sums-00003.json"}:
            store.put(f"out/again/{name}", content)
    store.put("out/again/part-00001.parquet", b"damaged")
    told = run(store, tmp_path, f"s3://{BUCKET}/in", "--out", f"s3://{BUCKET}/out/again", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["damaged_parts"] == 1
    assert json.loads(told.stdout)["new_photos"] == 8
    after = store.objects("out/again")
    assert set(before) - set(after) == {"_failed-00001.jsonl"}  # its photo can be read now
    assert after["part-00000.parquet"] == before["part-00000.parquet"]
    assert len({row["path"] for row in rows(after)}) == len(rows(after)) == N_FACES


def test_photos_that_the_store_did_not_give_are_tried_again_and_those_that_it_denied_are_not(
    store: ObjectStore, photos: Path, tmp_path: Path
) -> None:
    assert photos.is_dir()
    troubles = {"001/001-neutral.jpg": "denied", "005/005-smiling.jpg": "error"}
    store.trouble = lambda path, _n: next((what for name, what in troubles.items() if path.endswith(name)), "")
    words = f"s3://{BUCKET}/in", "--out", tmp_path / "out"
    told = run(store, tmp_path / "home", *words)
    assert told.returncode == 0, told.stderr
    assert "The store did not answer for 1 of them: the same command tries them again" in told.stdout
    store.trouble = lambda _path, _n: ""
    again, finished = (json.loads(run(store, tmp_path / "home", *words, "--json").stdout) for _ in range(2))
    assert again["failed"] == finished["failed"] == {"not_an_image": 1, "no_face": 1, "not_readable": 1}
    assert (again["rows"], again["new_photos"], again["damaged_parts"]) == (N_FACES - 1, 4, 0)
    assert (finished["rows"], finished["new_photos"]) == (N_FACES - 1, 0)


def test_a_run_over_other_photos_is_refused_and_changes_nothing(
    store: ObjectStore, remote: tuple[Told, Path], tmp_path: Path
) -> None:
    assert remote[0].returncode == 0
    before = store.objects("out/first")
    told = run(store, tmp_path, f"s3://{BUCKET}/in/001", "--out", f"s3://{BUCKET}/out/first")
    assert told.returncode == 2
    assert "another number of photos" in told.stderr
    assert store.objects("out/first") == before


def test_a_folder_of_other_objects_is_refused(store: ObjectStore) -> None:
    store.put("letters/dear.txt", b"dear")
    with pytest.raises(BulkError, match="contains files that are not from a bulk run"):
        require_free_or_ours(output_folder(f"s3://{BUCKET}/letters"))


def test_faces_are_read_back_from_a_store(store: ObjectStore, remote: tuple[Told, Path]) -> None:
    assert remote[0].returncode == 0
    read = read_faces(output_folder(f"s3://{BUCKET}/out/first"))
    assert len(read.photos) == N_PHOTOS
    assert [read.photos[face.photo] for face in read.faces] == [row["path"] for row in rows(store.objects("out/first"))]


def test_archives_parquet_files_and_lists_on_a_store_are_sources(store: ObjectStore) -> None:
    shard, table = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as archive:
        for number in range(20):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = 70_000
            archive.addfile(info, io.BytesIO(bytes([number]) * info.size))
    parquet.write_table(pa.table({"image": [b"row 0", b"row 1"]}), table)
    start = f"s3://{BUCKET}/s"
    for name, content in (
        ("1.tar", shard.getvalue()),
        ("2.tar", b"cut"),
        ("3.parquet", table.getvalue()),
        ("x.jpg", b"x"),
    ):
        store.put(f"s/{name}", content)
    store.put("s/names.txt", f"{start}/3.parquet\n{start}/x.jpg\n{start}/gone.jpg\n".encode())
    source = pickle.loads(pickle.dumps(photo_source([f"{start}/*.tar"], [f"{start}/names.txt"])))  # noqa: S301 - as a worker gets it
    store.asked.clear()
    found = read_all(source)
    assert [found.pop(f"{start}/1.tar/{number}.jpg") for number in range(20)] == [
        bytes([number]) * 70_000 for number in range(20)
    ]
    assert store.asked[f"GET /{BUCKET}/s/1.tar"] == 2 + 20  # a megabyte at a time for the headers, and each member
    assert "it ends without an end mark" in str(found.pop(f"{start}/2.tar"))
    assert isinstance(found.pop(f"{start}/gone.jpg"), FileNotFoundError)
    assert found == {f"{start}/3.parquet#0": b"row 0", f"{start}/3.parquet#1": b"row 1", f"{start}/x.jpg": b"x"}


def test_a_folder_that_cannot_be_listed_ends_the_run(store: ObjectStore) -> None:
    store.trouble = lambda _path, _n: "error"
    with pytest.raises(BulkError, match="cannot be listed: the store refused, or failed at every attempt: UNKNOWN"):
        list(photo_source([f"s3://{BUCKET}/in"]).names())
    with pytest.raises(BulkError, match="run it again when the store answers: completed work is kept"):
        output_folder(f"s3://{BUCKET}/in").open("_photos.jsonl")


def test_a_store_that_fails_for_all_of_a_batch_ends_the_run(store: ObjectStore) -> None:
    store.trouble = lambda _path, _n: "error"
    source = photo_source([f"s3://{BUCKET}/in"])

    def read_all() -> None:
        for read in source.read([f"{number}.jpg" for number in range(8)]):
            with pytest.raises(StoreFailure):
                read()

    with pytest.raises(BulkError, match="of 8 photos none could be read"):
        read_all()


@pytest.mark.usefixtures("store")
def test_photos_that_are_not_there_are_no_outage() -> None:
    for read in photo_source([f"s3://{BUCKET}/in"]).read([f"gone-{number}.jpg" for number in range(9)]):
        with pytest.raises(FileNotFoundError, match="no such object"):
            read()


def test_a_request_is_tried_a_bounded_number_of_times(store: ObjectStore) -> None:
    troubles = ("error", "reset", "cut")
    for what in troubles:
        store.put(f"one/{what}.jpg", b"x" * 100_000)
    store.trouble = lambda path, _n: Path(path).stem
    for what, read in zip(
        troubles, photo_source([f"s3://{BUCKET}/one/"]).read([f"{each}.jpg" for each in troubles]), strict=True
    ):
        with pytest.raises(StoreFailure):
            read()
        asked = [n for request, n in store.asked.items() if request.endswith(f"{what}.jpg") and request[:3] != "PUT"]
        assert 4 <= sum(asked) <= 8


def test_an_object_that_is_too_large_is_not_fetched(store: ObjectStore) -> None:
    store.put("one/large.jpg", b"x" * 2000)
    with pytest.raises(ImageTooLarge):
        read_object(StoreAddress("s3", BUCKET, "one/large.jpg"), 1000)
    assert store.asked[f"GET /{BUCKET}/one/large.jpg"] == 0


@pytest.mark.usefixtures("store")
def test_the_run_that_began_last_goes_on_and_an_earlier_one_stops() -> None:
    address = f"s3://{BUCKET}/out/two"
    first, second = output_folder(address), output_folder(address)
    first.write("a", b"1")
    second.write("a", b"2")
    with pytest.raises(BulkError, match="another run has begun to write there; this one stops"):
        first.write("a", b"1")
    second.write("b", b"2")
    assert (second.read("a", 1), second.read("b", 1)) == (b"2", b"2")


@pytest.mark.usefixtures("store")
def test_a_run_that_another_one_followed_removes_nothing() -> None:
    address = f"s3://{BUCKET}/out/three"
    first, second = output_folder(address), output_folder(address)
    first.write("a", b"1")
    second.write("a", b"2")
    with pytest.raises(BulkError, match="another run has begun to write there; this one stops"):
        first.remove("a")
    assert second.read("a", 1) == b"2"


INTERRUPTED = f"""
import sys
from embedder.bulk import output_folder
out = output_folder("s3://{BUCKET}/out/five")
try:
    with out.new("list") as file:
        file.write(b"new" * 2**23)
        read = file.read
        file.read = lambda size: read(size) if file.tell() < 2**24 else (_ for _ in ()).throw(KeyboardInterrupt)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_an_object_that_is_interrupted_while_it_is_sent_stays_what_it_was(store: ObjectStore) -> None:
    store.put("out/five/list", b"old")
    told = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode, told.stdout, told.stderr) == (130, "", "")
    assert store.objects("out/five")["list"] == b"old"
    assert store.asked[f"PUT /{BUCKET}/out/five/list"] > 1  # pieces were sent
    assert store.asked[f"POST /{BUCKET}/out/five/list"] == 1  # but not their end


def test_what_a_store_that_fails_holds_is_not_taken_for_damaged(store: ObjectStore) -> None:
    out = output_folder(f"s3://{BUCKET}/out/four")
    store.trouble = lambda _path, _n: "error"
    for read in (partial(done_part, out, 0), partial(read_manifest, out)):
        with pytest.raises(StoreFailure, match="run it again when the store answers"):
            read()


def test_a_pattern_that_matches_nothing_is_refused(store: ObjectStore) -> None:
    store.put("pattern/1.jpg", b"x")
    with pytest.raises(BulkError, match=r"pattern/.*tar: no object there has such a name"):
        list(photo_source([f"s3://{BUCKET}/pattern/*.tar"]).names())


ENDPOINTS = ["127.0.0.1:9000", "ftp://hush.example", "https://hush.example/path", "https://hush:hush@h.example", "//["]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_that_cannot_be_used_ends_the_run_and_is_not_shown(
    endpoint: str, embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    file_system.cache_clear()
    names = (f"s3://{BUCKET}/x.jpg",)
    work = Worker(Task(photo_source(names), None, RuntimeOptions(), "dominant", embedder.identity), embedder)
    with pytest.raises(BulkError, match="AWS_ENDPOINT_URL") as told:
        work(names)
    assert "hush" not in str(told.value)


READ = f"""
from embedder.bulk.stores import StoreAddress, read_object
read_object(StoreAddress("s3", "{BUCKET}", "alone/x.jpg"), 2**20)
"""


@pytest.mark.parametrize("given", ["with credentials", "without"])
def test_the_role_of_the_machine_is_asked_for_only_without_credentials(given: str, store: ObjectStore) -> None:
    has_credentials = given == "with credentials"
    store.put("alone/x.jpg", b"x")
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        environment = dict(os.environ) | {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{metadata.getsockname()[1]}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        del environment["AWS_EC2_METADATA_DISABLED"]
        if not has_credentials:
            del environment["AWS_ACCESS_KEY_ID"]
        metadata.settimeout(20)
        with subprocess.Popen([sys.executable, "-c", READ], env=environment, stderr=subprocess.DEVNULL) as program:
            if not has_credentials:
                metadata.accept()[0].close()
                program.kill()
        metadata.settimeout(0)
        if has_credentials:
            assert program.returncode == 0
            with pytest.raises(BlockingIOError):
                metadata.accept()
