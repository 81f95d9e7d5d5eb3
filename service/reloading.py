"""Reload the model of a running service: load it beside the old one, check it, and replace the old one."""

import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import FaceEmbedder, ModelIdentity

from .routes.health import first_inference
from .served_model import LoadedModel, ServedModel
from .settings import Settings, SettingsError, shown
from .worker_channel import Abort, Channel, ChannelClosed, Commit, Order, Prepare, WorkerReply

log = logging.getLogger("visavis.model")

PARITY = 1e-3  # largest difference of two embeddings of one picture; those of different models differ by 0.1 or more
N_PICTURES = 3
ORDER_S = 120.0  # for a worker to load a model


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """Whether another model was loaded; the model that is served now; why the other was refused."""

    is_reloaded: bool
    model: ModelIdentity
    reason: str | None = None


class GroupReloadError(Exception):
    """Not all workers can serve another model; the message says why."""


@dataclass(frozen=True, slots=True)
class GroupReloadOutcome:
    """The model that all workers serve now, with the settings it was loaded by; or why they serve the one before."""

    model: ModelIdentity | None = None
    settings: Settings | None = None
    refusal: str | None = None


class ModelReloader:
    """Loads the model again and serves it if it passes all checks. Reloads run one after the other.

    `prepare`, then `commit` or `abort`, are the steps of a reload, for processes that reload together.
    """

    def __init__(self, served: ServedModel, load: Callable[[], FaceEmbedder], on_success: Callable[[], None]) -> None:
        """Reload by `load`, which raises an error with the reason if there is no usable model.

        It may set the log level, which is as before if the model is not served.
        """
        self._served, self._load, self._on_success = served, load, on_success
        self._lock = threading.Lock()
        self._prepared: LoadedModel | None = None
        self._level_before: int | None = None  # of the log, while a model is prepared
        self.n_outcomes = Counter({"success": 0, "failure": 0})
        self.is_last_successful = True

    def reload(self) -> ReloadOutcome:
        """Load, check and serve the model; on any error the one before goes on. Blocks; logs one line."""
        with self._lock:
            outcome = self.prepare(self._load)
            if outcome.is_reloaded:
                self.commit()
            self.is_last_successful = outcome.is_reloaded
            self.n_outcomes["success" if outcome.is_reloaded else "failure"] += 1
        return outcome

    def prepare(self, load: Callable[[], FaceEmbedder]) -> ReloadOutcome:
        """Load and check a model beside the one that is served; return what a reload to it comes to. Logs a failure."""
        self.abort()
        self._level_before = logging.root.level
        try:
            fresh = load()
            try:
                check_model(fresh, self._served.current)
                self._prepared = self._served.prepared(fresh)
            except BaseException:
                fresh.close()
                raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new model, the old one goes on
            self.abort()
            reason = shown(f"{type(error).__name__}: {error}")
            log.error("the model was not reloaded, and %s goes on: %s", self._served.current.identity.name, reason)  # noqa: TRY400 - the reason is enough
            return ReloadOutcome(is_reloaded=False, model=self._served.current.identity, reason=reason)
        return ReloadOutcome(is_reloaded=True, model=fresh.identity)

    def commit(self) -> None:
        """Serve the model that was prepared."""
        fresh, self._prepared, self._level_before = self._prepared, None, None
        if fresh is None:
            raise RuntimeError("no model was prepared")
        self._served.replace(fresh)
        self._on_success()
        identity = fresh.embedder.identity
        log.info("the model was reloaded: %s, digest %s", identity.name, identity.digest)

    def abort(self) -> None:
        """Close the model that was prepared, if there is one, and restore the log level."""
        if self._prepared is not None:
            self._prepared.close()
        if self._level_before is not None:
            logging.root.setLevel(self._level_before)
        self._prepared = self._level_before = None


class GroupReloader:
    """Reloads the model of several workers, in all of them or in none. Reloads run one after the other."""

    def __init__(self, workers: Callable[[], Sequence[Channel[Order, WorkerReply]]]) -> None:
        self._workers = workers
        self.n_outcomes = Counter({"success": 0, "failure": 0})
        self.is_last_successful = True

    def reload(self, reread: Callable[[], Settings]) -> GroupReloadOutcome:
        """Let all load the model that the settings name now, then all serve it. The caller lets nobody join."""
        channels = self._workers()
        try:
            fresh = reread()
            model = self._prepared(channels, fresh)
        except (SettingsError, GroupReloadError) as error:
            for each in channels:
                _order(each, Abort())
            return self._counted(GroupReloadOutcome(refusal=shown(str(error))))
        for each in channels:
            _order(each, Commit())  # one that has just ended is started again with the new model
        return self._counted(GroupReloadOutcome(model, fresh))

    def _prepared(self, channels: Sequence[Channel[Order, WorkerReply]], settings: Settings) -> ModelIdentity:
        replies = [_order(each, Prepare(settings.model, settings.log_level)) for each in channels]
        for reply in replies:
            if reply is None or reply.refusal is not None or reply.model is None:
                raise GroupReloadError((reply and reply.refusal) or "a worker has ended meanwhile, or did not answer")
        models = {reply.model for reply in replies if reply is not None and reply.model is not None}
        if len(models) != 1:
            raise GroupReloadError("no worker can answer" if not models else "the bundle was replaced meanwhile")
        return models.pop()

    def _counted(self, outcome: GroupReloadOutcome) -> GroupReloadOutcome:
        self.is_last_successful = outcome.refusal is None
        self.n_outcomes["success" if self.is_last_successful else "failure"] += 1
        if outcome.refusal is not None:
            log.error("the model was not reloaded in any worker: %s", outcome.refusal)
        return outcome


def _order(channel: Channel[Order, WorkerReply], order: Order) -> WorkerReply | None:
    """Give an order to a worker; None = it has ended, or does not answer."""
    try:
        return channel.ask(order, ORDER_S)
    except (ChannelClosed, TimeoutError):
        return None


def check_model(fresh: FaceEmbedder, served: FaceEmbedder) -> None:
    """Raise ValueError unless a model gives the same finite embeddings twice, and those of `served` if it claims to."""
    first_inference(fresh)
    first = fresh.embed_chips(_pictures(fresh))
    if not _is_same(first, fresh.embed_chips(_pictures(fresh))):
        raise ValueError("two embeddings of one picture differ")
    is_same_model = fresh.identity.digest == served.identity.digest
    if is_same_model and not _is_same(first, served.embed_chips(_pictures(fresh))):
        raise ValueError("it has the digest of the served model, but its embeddings differ")


def _pictures(embedder: FaceEmbedder) -> NDArray[np.uint8]:
    """Return chips that show no person: smooth gradients."""
    side = embedder.card.alignment.chip_size_px
    ramp = np.linspace(0, 255, side, dtype=np.uint8)
    across, down = np.meshgrid(ramp, ramp)
    return np.stack([np.stack([across, down, np.full_like(across, 80 * n)], axis=-1) for n in range(N_PICTURES)])


def _is_same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool(np.abs(one - other).max() <= PARITY)  # False for NaN


@contextmanager
def reloading_on_sighup(reload: Callable[[], object]) -> Iterator[None]:
    """Call `reload` in a thread after each SIGHUP, until the block ends; the main thread enters it."""
    asked, has_ended = threading.Event(), threading.Event()

    def wait() -> None:
        while asked.wait() and not has_ended.is_set():
            asked.clear()
            reload()

    threading.Thread(target=wait, name="visavis-reload", daemon=True).start()
    before = signal.signal(signal.SIGHUP, lambda *_: asked.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        has_ended.set()
        asked.set()
