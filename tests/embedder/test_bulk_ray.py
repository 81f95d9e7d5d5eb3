"""`visavis embed --engine ray` on a cluster of two nodes: the rows of the process pool, whatever is killed."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bulk_photos import bulk, make_photos, rows_of, run, same_but_for, stopped_when

from embedder import FaceEmbedder, RuntimeOptions
from embedder.bulk import LocalFolder, LocalPhotos, photo_source
from embedder.bulk.executor import Batches
from embedder.bulk.manifest import LIST_FILE, MANIFEST_FILE, Manifest
from embedder.bulk.parts import sums_name

cluster_utils = pytest.importorskip("ray.cluster_utils")
ray_executor = pytest.importorskip("embedder.bulk.ray_executor")
workers = pytest.importorskip("embedder.bulk.workers")

N_COPIES = 6
N_PHOTOS, N_FACES = 18 * N_COPIES, 16 * N_COPIES
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
HEAD, OTHER = "127.0.0.2", "127.0.0.3"
PATIENCE_S = 300  # on a busy machine


@dataclass(frozen=True, slots=True)
class Nodes:
    """Two nodes of one core each; what Ray writes is in a folder of theirs."""

    cluster: "cluster_utils.Cluster"
    folder: Path

    @property
    def engine(self) -> tuple[str, ...]:
        return "--engine", "ray", "--address", self.cluster.address

    def add_other(self) -> None:
        self.cluster.add_node(node_ip_address=OTHER, **NODE)

    def kill_other(self) -> None:
        (other,) = self.cluster.worker_nodes
        self.cluster.remove_node(other, allow_graceful=False)  # by SIGKILL


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-") as folder:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = cluster_utils.Cluster()
        started = Nodes(cluster, Path(folder))
        try:
            cluster.add_node(node_ip_address=HEAD, temp_dir=folder, **NODE)
            started.add_other()
            yield started
        finally:
            cluster.shutdown()
        wait_until(lambda: not processes_with(folder))


@pytest.fixture(scope="module")
def photos(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray") / "photos"
    first = make_photos(examples, folder / "0")
    for number in range(1, N_COPIES):
        shutil.copytree(first, folder / str(number))
    return folder


@pytest.fixture(scope="module")
def by_processes(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pool") / "out"
    told = run(photos, "--out", out)
    assert told.returncode == 0, told.stderr
    return out


def test_rows_are_those_of_the_process_pool(nodes: Nodes, photos: Path, by_processes: Path, tmp_path: Path) -> None:
    told = run(photos, "--out", tmp_path / "out", *nodes.engine, "--json")
    assert told.returncode == 0, told.stderr
    assert told.stderr.splitlines()[0] == f"embedding {N_PHOTOS} photos"
    progress = re.compile(
        r"visavis: ([\d,]+ of [\d,]+ photos|[\d,]+ photos in |waiting for a free core)"
    )  # as slow machines see it
    others = [line for line in told.stderr.splitlines()[1:] if not progress.match(line)]
    assert all("Set ray log level" in line for line in others), told.stderr  # Ray says so before it knows its level
    same_but_for(by_processes, tmp_path / "out")
    assert (tmp_path / "out" / MANIFEST_FILE).read_bytes() == (by_processes / MANIFEST_FILE).read_bytes()
    summary = json.loads(told.stdout)
    assert (summary["photos"], summary["rows"], summary["new_photos"]) == (N_PHOTOS, N_FACES, N_PHOTOS)
    assert summary["cores"] == 2
    assert 0 < summary["cpu_share"] <= 1


def test_a_node_is_killed_and_no_row_is_missing(nodes: Nodes, photos: Path, by_processes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        bulk(photos, "--out", out, *nodes.engine), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        wait_until(lambda: process.poll() is not None or (out / sums_name(1)).exists())
        was_running = process.poll() is None
        nodes.kill_other()
        _, stderr = process.communicate(timeout=PATIENCE_S)
    nodes.add_other()
    assert was_running
    assert process.returncode == 0, stderr
    same_but_for(by_processes, out)


def test_the_driver_is_killed_and_started_again_and_every_row_is_there_once(
    nodes: Nodes, photos: Path, by_processes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed = stopped_when((out / sums_name(1)).exists, signal.SIGKILL, photos, "--out", out, *nodes.engine)
    assert killed.returncode == -signal.SIGKILL
    again = run(photos, "--out", out, *nodes.engine, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["new_photos"] < N_PHOTOS
    same_but_for(by_processes, out)
    paths = rows_of(out)["path"]
    assert len(set(map(str, paths))) == len(paths)


def test_interrupted_it_says_how_to_go_on_and_its_own_cluster_ends(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # a socket's path must be short
        monkeypatch.setenv("RAY_TMPDIR", folder)
        told = stopped_when((out / sums_name(0)).exists, signal.SIGINT, photos, "--out", out, "--engine", "ray")
        assert list(Path(folder).glob("ray/session_latest/logs/raylet.out"))
        wait_until(lambda: not processes_with(folder))
    assert told.returncode == 130
    assert told.stderr.splitlines()[-1] == (
        "visavis: stopped; finished parts are kept: run the same command again to resume"
    )


HOLD_CORES = """
import select, sys, ray
ray.init(sys.argv[1], log_to_driver=False)
holders = [ray.remote(num_cpus=1)(type("Holder", (), {"ready": lambda self: True})).remote() for _ in range(2)]
ray.get([holder.ready.remote() for holder in holders])
print("held", flush=True)
select.select([sys.stdin], [], [], 120)  # s, so that a run that says nothing ends too
"""


def test_while_no_core_is_free_it_says_what_it_waits_for(
    nodes: Nodes, photos: Path, by_processes: Path, tmp_path: Path
) -> None:
    out, pipe = tmp_path / "out", subprocess.PIPE
    hold = [sys.executable, "-c", HOLD_CORES, nodes.cluster.address]
    with subprocess.Popen(hold, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(
            bulk(photos, "--out", out, *nodes.engine), stderr=pipe, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            told = next((line for line in process.stderr if "waiting" in line), "")
            assert told == "visavis: waiting for a free core of the Ray cluster (it has 2); Ctrl-C stops\n"
            assert not (out / sums_name(0)).exists()
            holder.communicate(timeout=PATIENCE_S)  # it ends with its standard input
            _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    same_but_for(by_processes, out)


def test_a_run_of_another_model_is_refused(nodes: Nodes, photos: Path, by_processes: Path, bare_bundle: Path) -> None:
    told = run(photos, "--out", by_processes, *nodes.engine, "--model", bare_bundle)
    assert told.returncode == 2
    assert "another model" in told.stderr


def test_an_address_without_a_cluster_is_named_in_one_line(photos: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    told = run(photos, "--out", tmp_path / "out", "--engine", "ray", "--address", address)
    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 2
    assert address in told.stderr.splitlines()[-1]


def test_nothing_of_a_person_is_in_what_ray_writes(nodes: Nodes, by_processes: Path) -> None:
    """After the other tests: the photos' names are like 001-neutral.jpg, and one is called nobody.png."""
    logs = [path for path in nodes.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "raylet.out" for path in logs)
    vectors = np.array(rows_of(by_processes)["embedding"], np.float32)
    words = [b"nobody", b"-neutral", LIST_FILE.encode(), *(vector[:4].tobytes() for vector in vectors)]
    told = {path: path.read_bytes() for path in logs}
    assert [path for path, content in told.items() if any(word in content for word in words)] == []


def test_a_machine_with_another_model_says_so(photos: Path, embedder: FaceEmbedder) -> None:
    task = workers.Task(LocalPhotos.of([photos]), None, RuntimeOptions(), "dominant", embedder.identity)
    wanted = ray_executor.WorkerIdentity.of(replace(embedder.identity, digest="sha256:other"))
    batches = ray_executor.table_of([("0/001/001-neutral.jpg",)])
    (unfit,) = ray_executor.PhotoEmbedder(task, wanted)(batches)[ray_executor.COLUMN].to_pylist()
    assert isinstance(unfit, ray_executor.UnfitNode)
    assert embedder.identity.digest in unfit.reason
    assert "sha256:other" in unfit.reason


def test_a_machine_that_cannot_reach_the_store_says_so(embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    names = tuple(f"s3://out-of-reach/{number}.jpg" for number in range(8))
    task = workers.Task(photo_source(names), None, RuntimeOptions(), "dominant", embedder.identity)
    actor = ray_executor.PhotoEmbedder(task, ray_executor.WorkerIdentity.of(embedder.identity))
    (unfit,) = actor(ray_executor.table_of([names]))[ray_executor.COLUMN].to_pylist()
    assert isinstance(unfit, ray_executor.UnfitNode)
    assert "of 8 photos none could be read" in unfit.reason


def test_a_model_of_the_folder_of_models_is_named_by_its_path(
    photos: Path, embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path))
    task = workers.Task(LocalPhotos.of([photos]), "own", RuntimeOptions(), "dominant", embedder.identity)
    batches = Batches(LocalFolder(tmp_path / "out"), Manifest.model_construct(), {}, 1)
    assert ray_executor.from_any_folder(task, batches)[0].model == str(tmp_path / "own")
    built_in = replace(task, model="sface-128")
    assert ray_executor.from_any_folder(built_in, batches)[0].model == "sface-128"


def test_without_ray_the_extra_is_named(photos: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['ray'] = None; from visavis.cli.main import main; main()"
    words = [*bulk()[:2], program, "embed", str(photos), "--out", str(tmp_path / "out"), "--engine", "ray"]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "pip install 'visavis[ray]'" in told.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--engine", "ray"), "add --out FOLDER"),
        (("--out", "out", "--address", "127.0.0.1:6379"), "add --engine ray"),
    ],
)
def test_options_that_belong_together_are_asked_for(words: tuple[str, ...], told: str, photos: Path) -> None:
    refused = run(photos, *words)
    assert refused.returncode == 2
    assert told in refused.stderr


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def processes_with(word: str) -> list[Path]:
    """The processes with a word in their command."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if word.encode() in content_of(path)]


def content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended
        return b""


def wait_until(is_time: Callable[[], bool]) -> None:
    start = time.monotonic()
    while not is_time():
        assert time.monotonic() - start < PATIENCE_S
        time.sleep(0.01)
