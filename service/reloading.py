"""Reload the model of a running service: load it beside the old one, check it, and replace the old one."""

import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import FaceEmbedder, ModelIdentity

from .routes.health import first_inference
from .served_model import ServedModel
from .settings import shown

log = logging.getLogger("visavis.model")

PARITY = 1e-3  # largest difference of two embeddings of one picture; those of different models differ by 0.1 or more
N_PICTURES = 3


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """Whether another model was loaded; the model that is served now; why the other was refused."""

    is_reloaded: bool
    model: ModelIdentity
    reason: str | None = None


class ModelReloader:
    """Loads the model again and serves it if it passes all checks. Reloads run one after the other."""

    def __init__(self, served: ServedModel, load: Callable[[], FaceEmbedder], on_success: Callable[[], None]) -> None:
        """Reload by `load`, which raises an error with the reason if there is no usable model."""
        self._served, self._load, self._on_success = served, load, on_success
        self._lock = threading.Lock()
        self.n_outcomes = Counter({"success": 0, "failure": 0})
        self.is_last_successful = True

    def reload(self) -> ReloadOutcome:
        """Load, check and serve the model; on any error the one before goes on. Blocks; logs one line."""
        with self._lock:
            outcome = self._reload()
            self.is_last_successful = outcome.is_reloaded
            self.n_outcomes["success" if outcome.is_reloaded else "failure"] += 1
        return outcome

    def _reload(self) -> ReloadOutcome:
        try:
            fresh = self._load()
            try:
                check_model(fresh, self._served.current)
                self._served.replace(fresh)
            except BaseException:
                fresh.close()
                raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new model, the old one goes on
            reason = shown(f"{type(error).__name__}: {error}")
            log.error("the model was not reloaded, and %s goes on: %s", self._served.current.identity.name, reason)  # noqa: TRY400 - the reason is enough
            return ReloadOutcome(is_reloaded=False, model=self._served.current.identity, reason=reason)
        self._on_success()
        log.info("the model was reloaded: %s, digest %s", fresh.identity.name, fresh.identity.digest)
        return ReloadOutcome(is_reloaded=True, model=fresh.identity)


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
