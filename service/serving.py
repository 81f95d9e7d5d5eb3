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
from .audit.log import check_audit_folder
from .galleries import open_gallery_store
from .http_protocol import ConnectionLimits
from .http_server import BACKLOG, SPARE_DESCRIPTORS, HttpServer, http_config, raise_descriptor_limit
from .log_handler import LogWriter, say, start_log
from .reloading import reloading_on_sighup
from .settings import Settings, SettingsError, load_settings
from .telemetry.logs import log_formatter
from .telemetry.metrics_server import metrics_served

GRACE_S = 30.0  # for requests in progress when the server is stopped; then the process ends
LARGE_BLOCK_BYTES = 4 * 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


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
        app = _app(
            settings,
            on_ready=lambda: _announce(listener, settings),
            load_again=lambda: _load_again(settings, config, given),
        )
        with (
            closing(app.state.served),
            metrics_served(app.state.metrics, HostNames.of(settings), metrics_listener),
            reloading_on_sighup(app.state.reloader.reload),
        ):
            _serve(app, settings, listener, writer)
    writer.flush()
    say("visavis has stopped.")


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
}


def load_model(settings: Settings, *, decoding_processes: int = 0) -> FaceEmbedder:
    """Load the model that the settings name. Raises ServingError."""
    running = RuntimeOptions(settings.runtime, settings.device, settings.precision)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
    try:
        return load(settings.model, limits=limits, running=running, decoding_processes=decoding_processes)
    except (ModelError, OSError) as error:
        raise ServingError(f"the model cannot be served: {error}") from None
    except (MemoryError, RuntimeError) as error:  # OpenVINO's errors, and threads that cannot start
        raise ServingError(
            f"the model cannot be loaded ({type(error).__name__}), probably because the memory is too small; let the "
            "process have at least 1 GB (ulimit -v, the container's limit)"
        ) from None


def _embedder(settings: Settings) -> FaceEmbedder:
    """Load the model with processes that decode; say so if it is not built in."""
    # As many as photos are prepared at the same time. It takes Linux; elsewhere this process decodes.
    n_processes = settings.max_concurrent + n_cores() - 1 if sys.platform == "linux" else 0
    embedder = load_model(settings, decoding_processes=n_processes)
    card = embedder.card
    if not is_built_in(card):
        say(f"model: {card.name} (not built in), card digest {card.card_digest}")
    return embedder


def _load_again(settings: Settings, config: str | None, given: Mapping[str, object]) -> FaceEmbedder:
    """Load the model that the settings name now, and apply their log level; all others stay until a restart."""
    fresh = load_settings(config, **given)
    logging.root.setLevel(fresh.log_level.upper())
    return _embedder(settings.model_copy(update={"model": fresh.model}))


def _app(settings: Settings, *, on_ready: Callable[[], None], load_again: Callable[[], FaceEmbedder]) -> FastAPI:
    """Load the model and build the app, which owns it: nothing else may keep the one that a reload replaces."""
    embedder = _embedder(settings)
    try:
        return create_app(settings, embedder, on_ready=on_ready, load_again=load_again)
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
