"""One of several workers: a process that the parent starts, which serves the connections that the parent hands it.

Its arguments are the numbers of sockets; what it serves comes by its standard input. Only the parent starts it.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from multiprocessing.connection import Connection

from fastapi import FastAPI

from embedder import FaceEmbedder, ModelIdentity

from .errors import Stopping
from .http_server import http_config
from .log_handler import LogWriter, start_log
from .reloading import ModelReloader
from .routes.health import first_inference, load_galleries
from .served_model import ServedModel
from .serving import GRACE_S, ServingError, connection_limits, create_served_app, give_back_memory, load_to_serve
from .settings import Settings
from .telemetry.logs import log_formatter
from .telemetry.machine import MIB, memory_of, processes_from
from .telemetry.metrics import ServiceMetrics
from .telemetry.summed_metrics import families_of
from .worker_channel import (
    AUDIT,
    COUNTS,
    GROUP,
    ORDERS,
    START,
    Abort,
    AskMetrics,
    Channel,
    ChannelClosed,
    Commit,
    GroupIsReady,
    Order,
    Prepare,
    WorkerReply,
    WorkerStart,
)
from .worker_connections import WorkerServer
from .worker_link import SharedRateCounter, WorkerLink

REFUSED = 1  # the exit status of a worker that may not serve


def main() -> None:
    """Serve until the parent says that it is enough, or has ended."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of the whole group: the parent reloads
    give_back_memory()
    counts, audit, group, orders, connections = (int(each) for each in sys.argv[1:])
    start = START.validate_json(sys.stdin.buffer.read())
    settings = start.settings
    writer = start_log(settings.log_level, log_formatter(settings.log_format))
    link = WorkerLink(
        start.number,
        settings.workers,
        SharedRateCounter(Channel(COUNTS, Connection(counts))),
        Channel(AUDIT, Connection(audit)),
        Channel(GROUP, Connection(group)),
        threading.Event(),
    )
    sockets = Channel(ORDERS, Connection(orders)), socket.socket(fileno=connections)
    try:
        _serve(start, link, sockets, writer)
    except (ServingError, Stopping, ChannelClosed) as error:
        writer.flush()
        if isinstance(error, ServingError):
            link.tell_failure(str(error))
        sys.exit(REFUSED)
    writer.flush()


def _serve(
    start: WorkerStart,
    link: WorkerLink,
    sockets: tuple[Channel[Order, WorkerReply], socket.socket],
    writer: LogWriter,
) -> None:
    settings, (orders, connections) = start.settings, sockets
    app = create_served_app(
        settings,
        load_to_serve(settings),
        on_ready=lambda: _join(link, app),
        load_again=lambda: load_to_serve(settings),
        link=link,
    )
    config = http_config(app, connection_limits(settings), settings.tls_certificate, settings.tls_key)
    server = WorkerServer(config, connections, grace_s=GRACE_S, before_end=writer.flush)
    handler = OrderHandler(server, app, link, settings)
    with closing(app.state.served):
        if start.is_restart:
            _warm_up(app.state.served, link)
        threading.Thread(target=_obey, args=(orders, handler), name="visavis-orders", daemon=True).start()
        server.run()


def _warm_up(served: ServedModel, link: WorkerLink) -> None:
    """Join others that answer, before any connection is taken: this one can then answer as quickly as they."""
    with served.held() as model:
        first_inference(model.embedder)
        load_galleries(model)
        refusal = link.join(model.embedder.identity)
    if refusal is not None:
        raise ServingError(refusal)


def _join(link: WorkerLink, app: FastAPI) -> None:
    """Join the group in a thread, because a reload in progress lets it wait; stop if it must not."""

    def join() -> None:
        refusal = link.join(_identity(app))
        if refusal is not None:
            link.tell_failure(refusal)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=join, name="visavis-join", daemon=True).start()


def _identity(app: FastAPI) -> ModelIdentity:
    embedder: FaceEmbedder = app.state.served.current
    return embedder.identity


def _obey(orders: Channel[Order, WorkerReply], handler: "OrderHandler") -> None:
    orders.answer_all(handler)
    os.kill(os.getpid(), signal.SIGTERM)  # the parent has ended: finish what is in progress, then end


class OrderHandler:
    """Does what the parent asks of this worker."""

    def __init__(self, server: WorkerServer, app: FastAPI, link: WorkerLink, settings: Settings) -> None:
        self._server, self._link, self._settings = server, link, settings
        self._reloader: ModelReloader = app.state.reloader
        self._metrics: ServiceMetrics = app.state.metrics

    def __call__(self, order: Order) -> WorkerReply:
        """Do it and answer."""
        match order:
            case AskMetrics():
                return WorkerReply(metrics=families_of(self._metrics.registry), is_stuck=self._server.is_stuck)
            case Prepare():
                return self._prepared(order)
            case Commit():
                self._reloader.commit()
            case Abort():
                self._reloader.abort()
            case GroupIsReady():
                self._link.group_is_ready.set()
        return WorkerReply()

    def _prepared(self, order: Prepare) -> WorkerReply:
        outcome = self._reloader.prepare(lambda: self._loaded(order))
        return WorkerReply(model=outcome.model, refusal=outcome.reason)

    def _loaded(self, order: Prepare) -> FaceEmbedder:
        logging.root.setLevel(order.log_level.upper())
        return load_to_serve(self._settings.model_copy(update={"model": order.model}))


def idle_worker_mib() -> int:
    """Return the memory of a process with the built-in model after one inference, and of those that decode for it."""
    command = [sys.executable, "-c", "from service.worker_process import print_idle_mib; print_idle_mib()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout)  # noqa: S603 - this Python


def print_idle_mib() -> None:
    """Print what `idle_worker_mib` returns, for this process."""
    with load_to_serve(Settings.model_construct()) as embedder:
        first_inference(embedder)
        print(sum(map(memory_of, processes_from(os.getpid()))) // MIB)  # noqa: T201 - it is read
