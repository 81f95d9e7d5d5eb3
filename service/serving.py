"""From settings to a listening server, and its end: on Ctrl-C or SIGTERM it finishes what it has begun."""

import errno
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
import uvicorn

from embedder import FaceEmbedder, Limits, ModelError, RuntimeOptions, load

from .app import create_app
from .settings import Settings, SettingsError, load_settings

GRACE_S = 30  # for requests under way when the server is told to stop
BACKLOG = 2048


class ServingError(Exception):
    """The service cannot be started; the message says why and what to do."""


def run(**given: object) -> None:
    """Serve until told to stop; what is given goes before the environment. Raises ServingError."""
    settings = _settings(given)
    _start_logs(settings.log_level)
    with _listening(settings.host, settings.port) as listener:
        click.echo("visavis is loading its model ...", err=True)
        with _embedder(settings) as embedder:
            app = create_app(settings, embedder, on_ready=lambda: _announce(listener, settings.host))
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
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.root.level))  # it tells the start; so do we


def _embedder(settings: Settings) -> FaceEmbedder:
    running = RuntimeOptions(settings.runtime, settings.device, settings.precision)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
    try:
        return load(settings.model, limits=limits, running=running)
    except (ModelError, OSError) as error:
        raise ServingError(f"the model cannot be served: {error}") from None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen before the model is loaded, so that a taken port is told at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # An answer is two small writes: without this the second waits 40 ms for the client to acknowledge the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ServingError(f"cannot listen on {host} port {port} ({_reason(error)}); {_hint(error)}") from None
    with listener:
        yield listener


def _reason(error: OSError) -> str:
    is_of_a_name = isinstance(error, socket.gaierror)  # whose numbers are not the system's
    return os.strerror(error.errno) if error.errno and not is_of_a_name else str(error.strerror)


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there: stop it, or choose another port with --port"
    return "check --host and --port"


def _announce(listener: socket.socket, host: str) -> None:
    port = listener.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    click.echo(f"visavis is ready on http://{name}:{port} (what can be asked: http://{name}:{port}/docs)", err=True)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    # uvicorn stops in order, then raises the signal again for whoever was there before: that is this function, content.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
