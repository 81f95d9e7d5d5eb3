"""Batches embedded by the actors of a Ray cluster, through Ray Data: one actor on each free core, each with its model.

Ray places the actors, limits how far they work ahead, and runs the batches of a lost worker or machine again. Results
return in order to this process, which alone writes, as with processes of one machine. Needs the extra "ray".
"""

import logging
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version

import click
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset, ExecutionResources
from ray.data.exceptions import ExecutionTimeoutError, SystemException
from ray.data.extensions import ArrowPythonObjectArray
from ray.exceptions import RayError, UserCodeException

from ..loading import load
from ..runtime.runtime import n_cores as n_cores_here
from ..types import ModelIdentity
from ..weights.bundle import BUILT_IN_MODELS, bundle_folder
from .executor import Batches
from .output import BulkError, LocalFolder
from .stores import CONNECT_S
from .workers import BatchResult, Task, Worker

LOCAL = "127.0.0.1"  # a cluster for this run alone is for this machine alone
STORE_BYTES = 200 * 2**20  # of shared memory for such a cluster; names and results that wait take far less
COLUMN = "batch"
# Results that wait for an earlier one, for each core: some 30 batches. By default it would be half of the cluster's
# memory for objects, and this process holds them.
AHEAD_BYTES, MIN_CORES = 2**20, 16  # a cluster may begin small and grow
MAX_REASON = 500  # characters
TOLD_AFTER_S = 10
RAY_ERRORS = (RayError, UserCodeException, SystemException, ExecutionTimeoutError)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """What all workers of a run must have in common."""

    visavis: str
    model: ModelIdentity

    @classmethod
    def of(cls, model: ModelIdentity) -> "WorkerIdentity":
        """That of this process, with a model."""
        return cls(version("visavis"), model)

    def __str__(self) -> str:
        return f"visavis {self.visavis}, model {self.model.name} ({self.model.digest}, card {self.model.card_digest})"


@dataclass(frozen=True, slots=True)
class UnfitNode:
    """A machine whose workers cannot take part, and the reason. A value: Ray would bury an exception in a traceback."""

    address: str
    reason: str


class PhotoEmbedder:
    """An actor: a worker on one core of some machine."""

    def __init__(self, task: Task, wanted: WorkerIdentity) -> None:
        self._worker: Worker | None = None
        try:
            embedder = load(task.model, running=task.running)
        except Exception as error:  # noqa: BLE001 - a module, a file or memory may be missing there; the run's owner decides
            self._trouble = f"the model cannot be loaded: {type(error).__name__}: {error}"
            return
        if (found := WorkerIdentity.of(embedder.identity)) != wanted:
            self._trouble = f"it has {found}, but the run has {wanted}"
            return
        self._worker = Worker(task, embedder)

    def __call__(self, batches: pa.Table) -> pa.Table:
        """Embed the photos whose names are in the table."""
        return table_of([self._result(names) for names in batches[COLUMN].to_pylist()])

    def _result(self, names: Sequence[str]) -> BatchResult | UnfitNode:
        if self._worker is None:
            return UnfitNode(_address(), self._trouble)
        try:
            return self._worker(names)
        except BulkError as error:  # an object store is out of its reach
            return UnfitNode(_address(), str(error))


def _address() -> str:
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call] # no annotations
    return address


class RayCluster:
    """A cluster that runs already, or one of the cores of this machine for one run alone."""

    def __init__(self, address: str | None) -> None:
        self._address = address  # None: RAY_ADDRESS, else this machine
        self.n_cores = n_cores_here()  # of the cluster, once it is connected

    @contextmanager
    def results(self, task: Task, batches: Batches) -> Iterator[Iterator[BatchResult]]:
        """The results of the batches in their order. Raises BulkError."""
        _connect(self._address)
        try:
            _await_core()
            self.n_cores = _cluster_cores()
            # It is closed before Ray is left: what Ray Data does at its end would start a cluster anew.
            with closing(_in_order(_dataset(*from_any_folder(task, batches), self.n_cores))) as results:
                yield results
            self.n_cores = max(self.n_cores, _cluster_cores())  # it may have grown
        finally:
            ray.shutdown()


def _connect(address: str | None) -> None:
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    if "://" in wanted:
        raise BulkError(
            f"{wanted} is for clients outside of the cluster; run the command on one of its machines with --address "
            "HOST:PORT, or by ray job submit"
        )
    _require_reachable(wanted)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a cluster that this process starts sends nothing
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # lower levels go to stderr too
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # progress and errors are shown by visavis
    ours = wanted == "local"
    try:
        ray.init(
            wanted,
            num_cpus=n_cores_here() if ours else None,
            object_store_memory=STORE_BYTES if ours else None,
            include_dashboard=False if ours else None,
            _node_ip_address=LOCAL if ours else None,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise BulkError(f"Ray: {_reason(error)}; start a cluster there, or give another --address") from error


def _require_reachable(wanted: str) -> None:
    """Raise BulkError if nothing listens at HOST:PORT; Ray itself tries for minutes."""
    host, _, port = wanted.rpartition(":")
    if not (host and port.isdecimal()):  # local or auto
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise BulkError(f"no Ray cluster at {wanted}: {error}; start one there, or give another --address") from error


def _cluster_cores() -> int:
    return int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call] # no annotations


def _await_core() -> None:
    """Wait until a core of the cluster is free, and say so if that takes long: Ray says nothing. Raises BulkError."""
    try:
        probe = ray.remote(num_cpus=1)(lambda: None).remote()
        if not ray.wait([probe], timeout=TOLD_AFTER_S)[0]:
            has = f"it has {_cluster_cores():,}"
            click.echo(f"visavis: waiting for a free core of the Ray cluster ({has}); Ctrl-C stops", err=True)
        ray.get(probe)
    except RAY_ERRORS as error:
        raise BulkError(f"Ray: {_reason(error)}; run it again: completed work is kept") from error


def from_any_folder(task: Task, batches: Batches) -> tuple[Task, Batches]:
    """With absolute paths, because Ray's processes have another working folder and environment."""
    is_built_in = task.model is None or task.model in BUILT_IN_MODELS
    model = task.model if is_built_in else str(bundle_folder(task.model).absolute())
    out = LocalFolder(batches.out.path.absolute()) if isinstance(batches.out, LocalFolder) else batches.out
    return replace(task, model=model), replace(batches, out=out)


def _dataset(task: Task, batches: Batches, n_cores: int) -> Dataset:
    """A dataset of the results; it is computed while it is iterated over."""
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # which has the list of photos

    def names(_: pa.Table) -> Iterator[pa.Table]:
        return (table_of([batch]) for batch in batches)

    actors = ActorPoolStrategy(min_size=1, initial_size=max(1, min(n_cores, len(batches))))
    wanted = WorkerIdentity.of(task.identity)
    listed = ray.data.from_items([0]).map_batches(names, batch_format="pyarrow", num_cpus=0, label_selector=here)
    results = listed.map_batches(
        PhotoEmbedder,
        fn_constructor_args=(task, wanted),
        batch_format="pyarrow",
        compute=actors,
        num_cpus=1,
    )
    context = results.context
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources.for_limits(
        object_store_memory=max(n_cores, MIN_CORES) * AHEAD_BYTES
    )
    context.target_max_block_size = 1  # byte: a block for each batch of photos
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return results


def _in_order(results: Dataset) -> Generator[BatchResult, None, None]:
    try:
        for row in results.iter_rows():
            result = row[COLUMN]
            if isinstance(result, UnfitNode):
                raise BulkError(f"the machine {result.address} cannot take part: {result.reason}")
            yield result
    except RAY_ERRORS as error:
        raise BulkError(f"Ray: {_reason(error)}; run it again: completed work is kept") from error


def table_of(objects: Sequence[object]) -> pa.Table:
    """A block of Ray Data: a row for each object."""
    return pa.table({COLUMN: ArrowPythonObjectArray.from_objects(objects)})


def _reason(error: BaseException) -> str:
    """What Ray says, in one line; of a traceback its last one."""
    lines = str(error).strip().split("\n")
    told = " ".join(" ".join(lines[-1:] if "Traceback" in str(error) else lines).split())
    return told[:MAX_REASON] or type(error).__name__
