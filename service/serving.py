"""Start the server from its settings; on Ctrl-C or SIGTERM it finishes the requests in progress and stops."""

import ctypes
import errno
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from fastapi import FastAPI

from embedder import (
    FaceEmbedder,
    Limits,
    ModelError,
    OperatingPointUnavailable,
    RuntimeOptions,
    is_built_in,
    load,
    n_cores,
    open_regular_file,
)
from gallery import GalleryError

from .access.control import HostNames, is_loopback
from .access.keys import KeyFile, KeyFileError
from .app import create_app
from .audit.chain import AuditFolderError
from .audit.log import AuditLog, check_audit_folder
from .galleries import open_gallery_store
from .http_protocol import ConnectionLimits
from .http_server import BACKLOG, SPARE_DESCRIPTORS, HttpServer, http_config, raise_descriptor_limit
from .log_handler import LogWriter, say, start_log
from .reloading import reloading_on_sighup
from .settings import Settings, SettingsError, load_settings
from .telemetry.logs import log_formatter
from .telemetry.metrics_server import metrics_served
from .worker_group import WorkerGroup, WorkerStartError
from .worker_link import WorkerLink

GRACE_S = 30.0  # for requests in progress when the server is stopped; then the process ends
LARGE_BLOCK_BYTES = 4 * 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h

Sockets: TypeAlias = tuple[socket.socket, socket.socket | None]  # that listen: for requests, and for metrics alone


class ServingError(Exception):
    """The service cannot start; the message says why and what to do."""


def run(config: str | None = None, **given: object) -> None:
    """Serve until Ctrl-C or SIGTERM; arguments go before the environment and the file `config`. Raises ServingError."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it reloads: the start itself loads what is there now
    give_back_memory()
    prevent_core_dumps()
    settings = _settings(config, given)
    writer = start_log(settings.log_level, log_formatter(settings.log_format))
    for check in START_CHECKS.values():
        check(settings)
    with listening(settings.host, settings.port) as listener, _metrics_listening(settings) as metrics_listener:
        say("visavis is loading its model ...")
        sockets = listener, metrics_listener
        if settings.workers > 1:
            status = _serve_in_workers(settings, sockets, lambda: load_settings(config, **given))
        else:
            status = _serve_here(settings, sockets, lambda: load_settings(config, **given), writer)
    writer.flush()
    if status:
        sys.exit(status)
    say("visavis has stopped.")


def _serve_here(settings: Settings, sockets: Sockets, reread: Callable[[], Settings], writer: LogWriter) -> int:
    """Serve in this process; returns the exit status."""
    listener, metrics_listener = sockets
    app = create_served_app(
        settings,
        load_to_serve(settings),
        on_ready=lambda: _announce(listener, settings),
        load_again=lambda: _load_again(settings, reread),
    )
    with (
        closing(app.state.served),
        metrics_served(app.state.metrics, HostNames.of(settings), metrics_listener),
        reloading_on_sighup(app.state.reloader.reload),
    ):
        _serve(app, settings, listener, writer)
    return 0


def _serve_in_workers(settings: Settings, sockets: Sockets, reread: Callable[[], Settings]) -> int:
    """Start workers, and watch them until the end; returns the exit status."""
    listener, metrics_listener = sockets
    with _audit_log(settings) as audit:
        group = WorkerGroup(settings, listener, audit, reread=reread, on_ready=lambda: _announce(listener, settings))
        hosts = HostNames.of(settings)
        with metrics_served(group.metrics, hosts, metrics_listener), reloading_on_sighup(group.reload):
            try:
                return group.run()
            except WorkerStartError as error:
                raise ServingError(str(error)) from None


@contextmanager
def _audit_log(settings: Settings) -> Iterator[AuditLog | None]:
    """Open the audit log for all workers; close it at the end."""
    if settings.audit is None:
        yield None
        return
    try:
        log = AuditLog(Path(settings.audit))
    except AuditFolderError as error:
        raise ServingError(str(error)) from None
    with closing(log):
        yield log


def give_back_memory() -> None:
    """Let glibc return large blocks to the system when they are freed; it keeps up to 32 MiB each by default.

    Otherwise the process keeps the memory of the largest pictures it ever held. Other C libraries have no such setting.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        mallopt(M_TRIM_THRESHOLD, 4 * LARGE_BLOCK_BYTES)


def prevent_core_dumps() -> None:
    """Let a crash write no memory, in which photos, embeddings and keys lie; child processes inherit it.

    One byte is too few for a file and, unlike zero, also keeps Linux from passing the dump to a program.
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    least = 1 if hard == resource.RLIM_INFINITY else min(1, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (least, least))


def _settings(config: str | None, given: Mapping[str, object]) -> Settings:
    try:
        return load_settings(config, **given)
    except SettingsError as error:
        raise ServingError(str(error)) from None


def check_descriptors(settings: Settings) -> None:
    """Raise ServingError if the process may not have the file descriptors of its connections."""
    max_connections = settings.max_connections
    allowed = raise_descriptor_limit(max_connections)
    if allowed is not None:
        raise ServingError(
            f"VISAVIS_MAX_CONNECTIONS={max_connections} needs {max_connections + SPARE_DESCRIPTORS} file descriptors, "
            f"and this process may have {allowed}; raise the limit (ulimit -n), or set fewer connections"
        )


WARNING = """visavis: WARNING: everyone who reaches this address may use the service, without a key.
  Make keys: visavis keys create NAME --scope verify --file keys.json, and serve with --keys keys.json."""


def check_access(settings: Settings) -> None:
    """Refuse keys that cannot be used, and to serve others without keys unless told to. Raises ServingError."""
    if settings.keys is not None:
        try:
            KeyFile(Path(settings.keys)).read()
        except KeyFileError as error:
            raise ServingError(f"VISAVIS_KEYS: {error}") from None
    elif not _is_local(settings.host):
        if not settings.insecure:
            raise ServingError(
                f"without keys the service listens on this machine only, not on {settings.host}. Make a key: visavis "
                "keys create NAME --scope verify --file keys.json, and serve with --keys keys.json (VISAVIS_KEYS); or "
                "let everyone in who reaches the address: --insecure (VISAVIS_INSECURE=true)"
            )
        say(WARNING)


def _is_local(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name that is none is told when it is listened on."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    return all(is_loopback(str(address[0])) for *_, address in found)


def check_tls(settings: Settings) -> None:
    """Read certificate and key before the model is loaded. Raises ServingError if they do not fit."""
    if settings.tls_certificate is None and settings.tls_key is None:
        return
    if settings.tls_certificate is None or settings.tls_key is None:
        raise ServingError("VISAVIS_TLS_CERTIFICATE and VISAVIS_TLS_KEY are needed together; one of them is not set")
    try:
        for path in (settings.tls_certificate, settings.tls_key):
            open_regular_file(path).close()  # OpenSSL would wait for the writer of a pipe
        # The password is for a key with a passphrase: without it OpenSSL would ask on the terminal, and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_certificate, settings.tls_key, password=lambda: ""
        )
    except OSError as error:  # also ssl.SSLError
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise ServingError(
            f"VISAVIS_TLS_CERTIFICATE and VISAVIS_TLS_KEY cannot be used ({reason or 'no PEM'}); they are the paths of "
            "a certificate and its key, both as PEM, the key without passphrase"
        ) from None


def check_audit(settings: Settings) -> None:
    """Check the audit folder before the model is loaded. Raises ServingError."""
    try:
        if settings.audit is not None:
            check_audit_folder(Path(settings.audit))
    except AuditFolderError as error:
        raise ServingError(str(error)) from None


def check_workers(settings: Settings) -> None:
    """Refuse more workers than the limits can be divided among. Raises ServingError."""
    n = settings.workers
    if n == 1:
        return
    if sys.platform != "linux":
        raise ServingError(f"VISAVIS_WORKERS={n} needs Linux; elsewhere one process serves")
    if settings.memory_bytes // n < settings.least_memory_bytes:
        raise ServingError(
            f"VISAVIS_MEMORY_BYTES={settings.memory_bytes} is too little for {n} workers, which divide it: each needs "
            f"{settings.least_memory_bytes}. Set at least {n * settings.least_memory_bytes}, or a smaller "
            "VISAVIS_MAX_PIXELS, or fewer workers"
        )


def check_gallery(settings: Settings) -> None:
    """Open the store of galleries before the model is loaded. Raises ServingError."""
    try:
        store = open_gallery_store(settings)
    except GalleryError as error:
        raise ServingError(f"VISAVIS_GALLERY cannot be used: {error}") from None
    except ModuleNotFoundError as error:
        raise ServingError(
            f"VISAVIS_GALLERY needs {error.name}, which is not installed; run: pip install 'visavis[postgres]'"
        ) from None
    if store is not None:
        store.close()


# What is tried before the model is loaded, by subject.
START_CHECKS: Mapping[str, Callable[[Settings], None]] = {
    "access": check_access,
    "tls": check_tls,
    "audit": check_audit,
    "gallery": check_gallery,
    "files": check_descriptors,
    "workers": check_workers,
}


def load_model(settings: Settings, *, decoding_processes: int = 0) -> FaceEmbedder:
    """Load the model that the settings name. Raises ServingError."""
    threads = None if settings.workers == 1 else threads_of_worker(settings)
    running = RuntimeOptions(settings.runtime, settings.device, settings.precision, threads)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
    try:
        embedder = load(settings.model, limits=limits, running=running, decoding_processes=decoding_processes)
    except (ModelError, OSError) as error:
        raise ServingError(f"the model cannot be served: {error}") from None
    except (MemoryError, RuntimeError) as error:  # OpenVINO's errors, and threads that cannot start
        raise ServingError(
            f"the model cannot be loaded ({type(error).__name__}), probably because the memory is too small; let the "
            "process have at least 1 GB (ulimit -v, the container's limit)"
        ) from None
    if embedder.card.must_be_calibrated:
        embedder.close()
        raise ServingError(
            f"the model cannot be served: {embedder.card.name} was imported and is not measured; run visavis calibrate "
            "on your photos and serve the bundle that it writes"
        )
    return embedder


def threads_of_worker(settings: Settings) -> int:
    """Return how many threads run the network of one worker, so that all have as many as there are cores."""
    return max(1, n_cores() // settings.workers)


def load_to_serve(settings: Settings) -> FaceEmbedder:
    """Load the model with processes that decode; say so if it is not built in. Raises ServingError."""
    # As many as photos are prepared at the same time. It takes Linux; elsewhere this process decodes.
    n_processes = settings.max_concurrent + n_cores() - 1 if sys.platform == "linux" else 0
    embedder = load_model(settings, decoding_processes=n_processes)
    card = embedder.card
    if not is_built_in(card):
        say(f"model: {card.name} (not built in), card digest {card.card_digest}")
    return embedder


def _load_again(settings: Settings, reread: Callable[[], Settings]) -> FaceEmbedder:
    """Load the model that the settings name now, and apply their log level; all others stay until a restart."""
    fresh = reread()
    logging.root.setLevel(fresh.log_level.upper())
    return load_to_serve(settings.model_copy(update={"model": fresh.model}))


def create_served_app(
    settings: Settings,
    embedder: FaceEmbedder,
    *,
    on_ready: Callable[[], None],
    load_again: Callable[[], FaceEmbedder],
    link: WorkerLink | None = None,
) -> FastAPI:
    """Build the app. It owns the model: nothing else may keep the one that a reload replaces. Raises ServingError."""
    try:
        return create_app(settings, embedder, on_ready=on_ready, load_again=load_again, link=link)
    except (
        AuditFolderError,
        GalleryError,
        KeyFileError,
        OperatingPointUnavailable,
    ) as error:  # their files have changed since they were checked
        embedder.close()
        raise ServingError(str(error)) from None


@contextmanager
def _metrics_listening(settings: Settings) -> Iterator[socket.socket | None]:
    if settings.metrics_port is None:
        yield None
        return
    with listening(settings.host, settings.metrics_port) as listener:
        say(f"metrics are on port {listener.getsockname()[1]}")
        yield listener


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
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
    port, host = listener.getsockname()[1], settings.host
    name = f"[{host}]" if ":" in host else host
    url = f"{'http' if settings.tls_key is None else 'https'}://{name}:{port}"
    say(f"visavis is ready on {url} (API: {url}/docs)")


def _serve(app: FastAPI, settings: Settings, listener: socket.socket, writer: LogWriter) -> None:
    config = http_config(app, connection_limits(settings), settings.tls_certificate, settings.tls_key)
    HttpServer(config, grace_s=GRACE_S, before_end=writer.flush).run(sockets=[listener])


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the limits of connections among the settings."""
    return ConnectionLimits(
        settings.max_connections, settings.header_timeout_s, settings.idle_timeout_s, settings.min_body_rate
    )
