"""Start the server from its settings; on Ctrl-C or SIGTERM it finishes the requests in progress and stops."""

import errno
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import uvicorn

from embedder import FaceEmbedder, Limits, ModelError, RuntimeOptions, load

from .app import create_app
from .reloading import reloading_on_sighup
from .settings import Settings, SettingsError, load_settings
from .telemetry.logs import set_level, start_logs, tell
from .telemetry.metrics import ServiceMetrics
from .telemetry.metrics_server import metrics_served

GRACE_S = 30  # for requests in progress when the server is stopped
BACKLOG = 2048


class ServingError(Exception):
    """The service cannot start; the message says why and what to do."""


def run(config: str | None = None, **given: object) -> None:
    """Serve until Ctrl-C or SIGTERM; arguments go before the environment and the file `config`. Raises ServingError."""
    settings = _settings(config, given)
    start_logs(settings.log_level, settings.log_format)
    with _listening(settings.host, settings.port) as listener:
        tell("visavis is loading its model ...", settings.log_format)
        with _embedder(settings) as embedder:
            app = create_app(
                settings,
                embedder,
                on_ready=lambda: _announce(listener, settings),
                load_again=lambda: _load_again(settings, config, given),
            )
            server_config = uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
            )
            with (
                closing(app.state.served),  # after a reload it is another one than `embedder`
                _metrics_port(settings, app.state.metrics),
                reloading_on_sighup(app.state.reloader.reload),
            ):
                _serve(uvicorn.Server(server_config), listener)
    tell("visavis has stopped.", settings.log_format)


def _settings(config: str | None, given: Mapping[str, object]) -> Settings:
    try:
        return load_settings(config, **given)
    except SettingsError as error:
        raise ServingError(str(error)) from None


def _embedder(settings: Settings) -> FaceEmbedder:
    running = RuntimeOptions(settings.runtime, settings.device, settings.precision)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
    try:
        return load(settings.model, limits=limits, running=running)
    except (ModelError, OSError) as error:
        raise ServingError(f"the model cannot be served: {error}") from None


def _load_again(settings: Settings, config: str | None, given: Mapping[str, object]) -> FaceEmbedder:
    """Load the model that the settings name now, and apply their log level; all others stay until a restart."""
    fresh = load_settings(config, **given)
    set_level(fresh.log_level)
    return _embedder(settings.model_copy(update={"model": fresh.model}))


@contextmanager
def _metrics_port(settings: Settings, metrics: ServiceMetrics) -> Iterator[None]:
    if settings.metrics_port is None:
        yield
        return
    with _listening(settings.host, settings.metrics_port) as listener, metrics_served(metrics, listener):
        if not settings.metrics_port:
            tell(f"metrics are served on port {listener.getsockname()[1]}", settings.log_format)
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen before the model is loaded, so that a port in use is reported at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # An answer is two small writes; with Nagle's algorithm the second waits 40 ms for the first one's ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ServingError(f"cannot listen on {host} port {port} ({_reason(error)}); {_hint(error)}") from None
    with listener:
        yield listener


def _reason(error: OSError) -> str:
    is_name_error = isinstance(error, socket.gaierror)  # its numbers are not those of errno
    return os.strerror(error.errno) if error.errno and not is_name_error else str(error.strerror)


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port: stop it, or choose another port with --port"
    return "check --host and --port"


def _announce(listener: socket.socket, settings: Settings) -> None:
    port = listener.getsockname()[1]
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    tell(f"visavis is ready on http://{name}:{port} (API: http://{name}:{port}/docs)", settings.log_format)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    # After a graceful stop uvicorn raises the signal again for the previous handler; this one ignores it.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
