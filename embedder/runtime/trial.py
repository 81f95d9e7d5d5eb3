"""Try an exported network of unknown origin in a process of its own, with limits on memory and time.

A small ONNX file can need any amount of both, already while it is loaded: for example by a constant that is expanded to
16 GB. The built-in networks are known and are not tried.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ..errors import printable
from ..weights.bundle import WEIGHTS_FILE
from ..weights.graph_check import not_runnable

MEMORY_BYTES = 2 * 2**30  # for libraries, one pass, and the network; its weights may take WEIGHTS_COPIES more
WEIGHTS_COPIES = 4
TIME_S = 60.0  # some 1 s on an idle machine
MAX_REASON = 4000  # characters
START = """
import json, sys
paths, task, arguments, n_bytes = json.loads(sys.argv[1])
sys.path[:] = paths
from importlib import import_module
module, _, function = task.partition(":")
from embedder.runtime.trial import run_within
run_within(n_bytes, getattr(import_module(module), function), arguments)
"""
FAILED = 3  # exit status: the reason is on stdout
EMBED = "embedder.runtime.openvino:embed_grey_chips"


@lru_cache(maxsize=16)
def require_runnable(graph: Path, digest: str, side_px: int, n_channels: int) -> None:  # noqa: ARG001 - part of the key
    """Raise BundleError unless the network, whose embeddings have that digest, embeds chips within the limits."""
    reason = why_it_fails(EMBED, [str(graph.absolute()), side_px, n_channels], [graph, graph.with_name(WEIGHTS_FILE)])
    if reason:
        raise not_runnable(graph.name, printable(reason.splitlines()[-1]))


def why_it_fails(task: str, arguments: Sequence[object], files: Sequence[Path], time_s: float = TIME_S) -> str:
    """Call a function, `module:name`, with JSON's values in a process of its own; return why it failed, or "".

    Its memory is bounded by what it takes to run the network in `files`. The last line of the reason is the gist.
    """
    n_bytes = MEMORY_BYTES + WEIGHTS_COPIES * sum(path.stat().st_size for path in files if path.exists())
    command = [sys.executable, "-I", "-c", START, json.dumps([sys.path, task, arguments, n_bytes])]
    try:
        done = subprocess.run(  # noqa: S603 - this Python, and a file that the user named
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=time_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not run within {time_s:g} s"
    if done.returncode == FAILED:
        return done.stdout.decode("utf-8", "replace")[-MAX_REASON:]
    return f"it needs more than {n_bytes / 2**30:.1f} GiB of memory, or ended the process" if done.returncode else ""


def run_within(n_bytes: int, work: Callable[..., None], arguments: Sequence[object]) -> None:
    """Call a function within `n_bytes` of memory; exit with the reason if that fails."""
    with suppress(ValueError, OSError):  # a lower limit may already hold; some systems have none
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
    try:
        work(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the network cannot be used
        sys.stdout.write(_reason(error))
        sys.stdout.flush()
        sys.exit(FAILED)


def _reason(error: Exception) -> str:
    """The lines of an error: OpenVINO's messages begin with places in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    out_of_memory = isinstance(error, MemoryError) or "bad_alloc" in str(error)
    return "it needs too much memory" if out_of_memory else "\n".join(lines or [type(error).__name__])
