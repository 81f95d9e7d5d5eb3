"""Reload under load loses no request, and a model that cannot be served leaves the one before."""

import gc
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import numpy as np
import pytest
from live_service import served, until
from starlette.testclient import TestClient

from embedder import BUILT_IN, BundleError, FaceEmbedder, ModelIdentity, load
from service.access.caller import Scope
from service.access.keys import KeyFile, KeyGrant
from service.app import create_app
from service.reloading import GroupReloader, GroupReloadOutcome, ModelReloader, check_model
from service.routes.health import Readiness, ReadinessState
from service.served_model import LoadedModel, ServedModel
from service.settings import Settings
from service.worker_channel import ORDERS, Channel, Order, Prepare, WorkerReply

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from visavis.cli.serve import serve; serve()"]
PATIENCE_S = 60
DLIB = "dlib-resnet29-128"


def _do_nothing() -> None:
    """Be told of a success."""


def _is_open(embedder: FaceEmbedder) -> bool:
    try:
        embedder.embed_chips(np.zeros((0, *([embedder.card.alignment.chip_size_px] * 2), 3), np.uint8))
    except ValueError:
        return False
    return True


@contextmanager
def _asking(url: str, files: dict[str, bytes]) -> Iterator[Callable[[], list[tuple[int, str]]]]:
    """Verify without a pause in two threads; gives status and model of all answers."""
    answers: list[tuple[int, str]] = []
    has_ended = threading.Event()

    def ask() -> None:
        with httpx2.Client(timeout=PATIENCE_S) as client:
            while not has_ended.is_set():
                answer = client.post(f"{url}/v1/verify", files=files)
                answers.append((answer.status_code, answer.json().get("model", {}).get("name", answer.text)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        yield lambda: answers
    finally:
        has_ended.set()
        for each in threads:
            each.join(PATIENCE_S)


def test_a_reload_under_load_loses_no_request_and_closes_the_model_before(photos: dict[str, bytes]) -> None:
    models = iter([DLIB, None])
    app = create_app(Settings(), first := load(), load_again=lambda: load(next(models)))
    files = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}
    with served(app) as url, _asking(url, files) as answers:
        until(lambda: len(answers()) > 2)
        for _ in range(2):
            assert app.state.reloader.reload().is_reloaded
            n_before = len(answers())
            until(lambda: len(answers()) > n_before + 4)  # noqa: B023 - it is called in this turn
        assert answers()[-1][1] == "sface-128"
        assert httpx2.get(f"{url}/v1/model").json()["name"] == "sface-128"
    told = answers()
    assert Counter(status for status, _ in told) == {200: len(told)}
    assert {name for _, name in told} == {"sface-128", DLIB}
    until(lambda: not _is_open(first))
    app.state.served.close()


def test_a_model_is_closed_after_its_last_user_and_not_before() -> None:
    first, second = load(), load()
    holder, has_ended = ServedModel(first), threading.Event()

    def work(model: LoadedModel) -> bool:
        with holder.held(again=model):
            has_ended.wait(PATIENCE_S)
            return holder.of_request.embedder is first and _is_open(first)

    with ThreadPoolExecutor() as threads:
        with holder.held() as model:
            outlives = threads.submit(work, model)
            until(lambda: model.n_users == 2)
            holder.replace(holder.prepared(second))
            assert holder.of_request.embedder is first
            assert holder.current is second
        assert _is_open(first)
        has_ended.set()
        assert outlives.result()
    until(lambda: not _is_open(first))
    with holder.held():
        assert holder.of_request.embedder is second
    holder.close()
    assert not _is_open(second)


def _broken(folder: Path, name: str) -> Callable[[], FaceEmbedder]:
    bundle = shutil.copytree(BUILT_IN, folder / "bundle")
    (bundle / name).write_bytes((bundle / name).read_bytes()[:1000])
    return lambda: load(bundle)


@pytest.mark.parametrize("name", ["card.json", "weights.safetensors", "network.onnx"])
def test_a_broken_bundle_leaves_the_model_and_says_why_in_one_line(
    name: str, tmp_path: Path, embedder: FaceEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    holder = ServedModel(embedder)
    reloader = ModelReloader(holder, _broken(tmp_path, name), _do_nothing)
    outcome = reloader.reload()
    assert (outcome.is_reloaded, outcome.model, holder.current) == (False, embedder.identity, embedder)
    assert outcome.reason
    assert _is_open(embedder)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the model was not reloaded, and sface-128 goes on" in line
    assert line.isprintable()
    assert (reloader.n_outcomes["failure"], reloader.is_last_successful) == (1, False)


class Unsteady(FaceEmbedder):
    """A model whose embeddings have noise."""

    def embed_chips(self, chips: np.ndarray) -> np.ndarray:
        return super().embed_chips(chips) + np.random.default_rng().normal(0, 0.01, (len(chips), 128))


class Shifted(FaceEmbedder):
    """A model whose embeddings are not those of its digest."""

    def embed_chips(self, chips: np.ndarray) -> np.ndarray:
        return super().embed_chips(chips) + np.float32(0.01)


@pytest.mark.parametrize(("kind", "told"), [(Unsteady, "two embeddings of one picture"), (Shifted, "has the digest")])
def test_a_model_that_is_not_what_it_claims_is_refused_and_closed(
    kind: type[FaceEmbedder], told: str, embedder: FaceEmbedder
) -> None:
    fresh = load()
    fresh.__class__ = kind
    outcome = ModelReloader(ServedModel(embedder), lambda: fresh, _do_nothing).reload()
    assert told in str(outcome.reason)
    assert not _is_open(fresh)


def test_each_built_in_model_passes_the_checks_beside_each(each_model: FaceEmbedder, embedder: FaceEmbedder) -> None:
    check_model(each_model, embedder)


async def test_a_reload_makes_a_service_ready_whose_first_inference_failed() -> None:
    closed, said = load(), []
    closed.close()
    holder = ServedModel(closed)
    readiness = Readiness(holder, on_ready=lambda: said.append(True))
    await readiness.find_out()
    assert (readiness.state, said) == (ReadinessState.FAILED, [])
    assert ModelReloader(holder, lambda: load(DLIB), readiness.succeed).reload().is_reloaded
    assert (readiness.state, said) == (ReadinessState.SUCCEEDED, [True])
    holder.close()


def test_what_a_request_leaves_behind_does_not_keep_its_model() -> None:
    holder = ServedModel(load())
    with holder.held() as model:
        left_behind = copy_context()  # as the server's threads have it, which a request started
    replaced = weakref.ref(model.embedder)
    del model
    holder.replace(holder.prepared(load()))
    assert left_behind.run(lambda: holder.of_request.embedder) is holder.current
    until(lambda: gc.collect() >= 0 and replaced() is None)
    holder.close()


def test_a_service_keeps_nothing_of_the_model_it_began_with() -> None:
    app = create_app(Settings(), load(), load_again=load)
    first = weakref.ref(app.state.served.current)
    with TestClient(app) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        assert app.state.reloader.reload().is_reloaded
        until(lambda: gc.collect() >= 0 and first() is None)
    app.state.served.close()


def _client(load_again: Callable[[], FaceEmbedder], folder: Path, scope: Scope = "admin") -> TestClient:
    key = KeyFile(folder / "keys.json").create(KeyGrant("a key", (scope,)))
    app = create_app(Settings(keys=str(folder / "keys.json")), load(), load_again=load_again)
    return TestClient(app, headers={"Authorization": f"Bearer {key.text}"})


def test_a_key_with_the_scope_reloads_by_http(tmp_path: Path) -> None:
    with _client(lambda: load(DLIB), tmp_path) as client:
        answer = client.post("/v1/admin/reload")
        assert (answer.status_code, answer.json()["reloaded"], answer.json()["model"]["name"]) == (200, True, DLIB)
        assert client.get("/v1/model").json()["name"] == DLIB


def test_one_reload_at_a_time_and_a_second_one_is_refused(tmp_path: Path) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def load_slowly() -> FaceEmbedder:
        has_begun.set()
        may_end.wait(PATIENCE_S)
        return load()

    with _client(load_slowly, tmp_path) as client, ThreadPoolExecutor() as threads:
        first = threads.submit(client.post, "/v1/admin/reload")
        has_begun.wait(PATIENCE_S)
        second = client.post("/v1/admin/reload")
        may_end.set()
        assert (second.status_code, second.json()["code"]) == (503, "busy")
        assert first.result().json()["reloaded"]


def test_a_refused_reload_is_answered_with_the_reason(tmp_path: Path) -> None:
    def fail() -> FaceEmbedder:
        raise BundleError("the card is broken")

    with _client(fail, tmp_path) as client:
        answer = client.post("/v1/admin/reload").json()
    assert (answer["reloaded"], answer["model"]["name"]) == (False, "sface-128")
    assert "the card is broken" in answer["reason"]


def test_nobody_else_reloads(tmp_path: Path, embedder: FaceEmbedder) -> None:
    with _client(load, tmp_path, "verify") as client:
        assert client.post("/v1/admin/reload").status_code == 403
        assert client.post("/v1/admin/reload", headers={"Authorization": ""}).status_code == 401
    without_keys = TestClient(create_app(Settings(), embedder, load_again=load))
    assert without_keys.post("/v1/admin/reload").json()["code"] == "not_found"


def test_sighup_reloads_the_model_of_the_settings_file_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "visavis.toml"
    file.write_text('log_format = "json"')
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--config", str(file)], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stderr is not None
    try:
        url = _line(process, "visavis is ready").split()[4]
        for content, told in (
            (f'model = "{DLIB}"', f"the model was reloaded: {DLIB}"),
            ('model = "vgg"', f"not reloaded, and {DLIB} goes on"),
            ("modle = 1", "there is no setting modle"),
        ):
            file.write_text(content)
            process.send_signal(signal.SIGHUP)
            assert told in _line(process, "reloaded")
            assert httpx2.get(f"{url}/v1/model").json()["name"] == DLIB
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def _line(process: subprocess.Popen[str], part: str) -> str:
    """The message of the next line with these words."""
    assert process.stderr is not None
    for line in process.stderr:
        message = str(json.loads(line)["message"])
        if part in message:
            return message
    raise AssertionError(f"the service ended without saying {part!r}")


def test_the_log_level_is_that_of_the_model_that_is_served(tmp_path: Path) -> None:
    before = logging.root.level
    broken = _broken(tmp_path, "card.json")

    def load_as(level: int, load_it: Callable[[], FaceEmbedder]) -> FaceEmbedder:
        logging.root.setLevel(level)
        return load_it()

    served = ServedModel(load())  # one of its own, which a reload closes
    reloader = ModelReloader(served, lambda: load_as(logging.ERROR, broken), _do_nothing)
    try:
        assert not reloader.reload().is_reloaded
        assert logging.root.level == before
        assert reloader.prepare(lambda: load_as(logging.ERROR, load)).is_reloaded
        reloader.abort()  # as another worker could not load it
        assert logging.root.level == before
        assert reloader.prepare(lambda: load_as(logging.ERROR, load)).is_reloaded
        reloader.commit()
        assert logging.root.level == logging.ERROR
    finally:
        logging.root.setLevel(before)


class ReloadingWorker:
    """A worker behind a real pair of sockets, which prepares this model or refuses; notes what it is told."""

    def __init__(self, model: ModelIdentity, refusal: str | None = None) -> None:
        self._reply = WorkerReply(model=model, refusal=refusal)
        self.told: list[str] = []
        ours, theirs = socket.socketpair()
        self.channel = Channel(ORDERS, Connection(ours.detach()))
        answering = Channel(ORDERS, Connection(theirs.detach()))
        threading.Thread(target=answering.answer_all, args=(self._answer,), daemon=True).start()

    def _answer(self, order: Order) -> WorkerReply:
        self.told.append(order.kind)
        return self._reply if isinstance(order, Prepare) else WorkerReply()


def _reloaded(*workers: ReloadingWorker) -> GroupReloadOutcome:
    return GroupReloader(lambda: [each.channel for each in workers]).reload(Settings)


def test_several_workers_reload_if_all_can_and_else_none_does() -> None:
    new, other = ModelIdentity("new", "sha256:1", "sha256:2"), ModelIdentity("new", "sha256:1", "sha256:3")
    workers = ReloadingWorker(new), ReloadingWorker(new)
    assert _reloaded(*workers).model == new
    assert [each.told for each in workers] == [["prepare", "commit"]] * 2
    workers = ReloadingWorker(new), ReloadingWorker(new, refusal="it is broken")
    assert _reloaded(*workers) == GroupReloadOutcome(refusal="it is broken")
    assert [each.told for each in workers] == [["prepare", "abort"]] * 2
    workers = ReloadingWorker(new), ReloadingWorker(other)
    assert _reloaded(*workers).refusal == "the bundle was replaced meanwhile"
    assert [each.told for each in workers] == [["prepare", "abort"]] * 2


def test_a_worker_that_ends_while_it_loads_keeps_the_others_from_reloading() -> None:
    new = ModelIdentity("new", "sha256:1", "sha256:2")
    ended, living = ReloadingWorker(new), ReloadingWorker(new)
    ended.channel.close()
    assert "has ended" in (_reloaded(ended, living).refusal or "")
    assert living.told == ["prepare", "abort"]
