"""The holder of the model that is served, which may be replaced; each request ends on the model that it began with."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from embedder import FaceEmbedder
from embedder.explain import Explainer

if TYPE_CHECKING:
    from gallery import Galleries  # which imports SQLAlchemy, and only services with galleries need that

OpenGalleries: TypeAlias = "Callable[[FaceEmbedder], Galleries | None]"


def no_galleries(_: FaceEmbedder) -> None:
    """Open no galleries."""


@dataclass(slots=True, eq=False)
class LoadedModel:
    """A model in memory, with the galleries as it compares them; `n_users` requests use it."""

    embedder: FaceEmbedder
    galleries: "Galleries | None"  # None = the service keeps none
    explainer: Explainer = field(init=False)
    n_users: int = 0
    is_retired: bool = False  # replaced, and to be closed after its last user

    def __post_init__(self) -> None:
        self.explainer = Explainer(self.embedder)

    def close(self) -> None:
        """Stop the threads of the model and of its galleries; wait for them."""
        if self.galleries is not None:
            self.galleries.close()
        self.embedder.close()


@dataclass(slots=True)
class _Use:
    """The use of a model by one request.

    What a request starts, such as a thread of the server, keeps the request's context for as long as it lives. So the
    context has this object, which forgets the model, and not the model itself.
    """

    model: LoadedModel | None


class ServedModel:
    """The holder of the model. Thread-safe."""

    def __init__(self, embedder: FaceEmbedder, open_galleries: OpenGalleries = no_galleries) -> None:
        self._open_galleries = open_galleries
        self._current = self._loaded(embedder)
        self._of_request: ContextVar[_Use | None] = ContextVar("model", default=None)
        self._lock = threading.Lock()

    @property
    def current(self) -> FaceEmbedder:
        """The model that new requests get."""
        return self._current.embedder

    @property
    def galleries(self) -> "Galleries | None":
        """The galleries as the model compares them that new requests get."""
        return self._current.galleries

    @property
    def of_request(self) -> LoadedModel:
        """The model that this request holds; without one, the current model."""
        use = self._of_request.get()
        return (use and use.model) or self._current

    @contextmanager
    def held(self, again: LoadedModel | None = None) -> Iterator[LoadedModel]:
        """Hold the current model, or one that is held already `again`: it is not closed before the block ends.

        A request holds it from its beginning, and again in its thread, which may outlive the request.
        """
        with self._lock:
            model = again or self._current
            model.n_users += 1
        use = _Use(model)
        token = self._of_request.set(use)
        try:
            yield model
        finally:
            self._of_request.reset(token)
            use.model = None
            with self._lock:
                model.n_users -= 1
                is_idle = model.is_retired and not model.n_users
            if is_idle:
                _close(model)

    def prepared(self, embedder: FaceEmbedder) -> LoadedModel:
        """Load what else is needed to serve a model: its galleries, now, so that no request waits for them.

        Raises what opening the galleries raises.
        """
        fresh = self._loaded(embedder)
        if fresh.galleries is not None:
            fresh.galleries.load()
        return fresh

    def replace(self, fresh: LoadedModel) -> None:
        """Serve another model from now on; the one before is closed after its last request."""
        with self._lock:
            before, self._current = self._current, fresh
            before.is_retired = True
            is_idle = not before.n_users
        if is_idle:
            _close(before)

    def close(self) -> None:
        """Close the current model."""
        self._current.close()

    def _loaded(self, embedder: FaceEmbedder) -> LoadedModel:
        return LoadedModel(embedder, self._open_galleries(embedder))


def _close(model: LoadedModel) -> None:
    """Close a model in a thread, since that waits for the threads of the model."""
    threading.Thread(target=model.close, name="visavis-close").start()
