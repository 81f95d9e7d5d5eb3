"""Start the server from its settings; on Ctrl-C or SIGTERM it finishes the requests in progress and stops."""

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click
import uvicorn
from fastapi import FastAPI

from embedder import FaceEmbedder, Limits, ModelError, RuntimeOptions, load

from .app import create_app
from .audit.chain import AuditFolderError
from .settings import Settings, SettingsError, load_settings

GRACE_S = 30  # for requests in progress when the server is stopped
BACKLOG = 2048


class ServingError(Exception):
    """The service cannot start; the message says why and what to do."""


def run(**given: object) -> None:
    """Serve until Ctrl-C or SIGTERM; arguments override the environment. Raises ServingError."""
    settings = _settings(given)
    _start_logs(settings.log_level)
    with _listening(settings.host, settings.port) as listener:
        click.echo("visavis is loading its model ...", err=True)
        with _embedder(settings) as embedder:
            app = _app(settings, embedder, lambda: _announce(listener, settings.host))
            config = uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
            )
            _serve(uvicorn.Server(config), listener)
    click.echo("visavis has stopped.", err=True)


def _settings(given: Mapping[str, object]) -> Settings:
    try:
        return load_settings(**given)
    except SettingsError as error:
        raise ServingError(str(error)) from None


def _start_logs(level: str) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=level.upper())
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.root.level))  # visavis prints its own start


def _embedder(settings: Settings) -> FaceEmbedder:
    running = RuntimeOptions(settings.runtime, settings.device, settings.precision)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
    try:
        return load(settings.model, limits=limits, running=running)
    except (ModelError, OSError) as error:
        raise ServingError(f"the model cannot be served: {error}") from None


def _app(settings: Settings, embedder: FaceEmbedder, on_ready: Callable[[], None]) -> FastAPI:
    try:
        return create_app(settings, embedder, on_ready=on_ready)
    except AuditFolderError as error:
        raise ServingError(str(error)) from None


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


def _announce(listener: socket.socket, host: str) -> None:
    port = listener.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    click.echo(f"visavis is ready on http://{name}:{port} (API: http://{name}:{port}/docs)", err=True)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    # After a graceful stop uvicorn raises the signal again for the previous handler; this one ignores it.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
