"""Try an exported network of unknown origin in a process of its own, with limits on memory and time.

A small ONNX file can need any amount of both, already while it is loaded: for example by a constant that is expanded to
16 GB. The built-in networks are known and are not tried.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import BundleError, printable
from ..weights.bundle import WEIGHTS_FILE
from .runtime import EmbeddingSession

MEMORY_BYTES = 2 * 2**30  # for libraries, one pass, and the network; its weights may take WEIGHTS_COPIES more
WEIGHTS_COPIES = 4
TIME_S = 60.0  # some 1 s on an idle machine
N_CHIPS = 2
START = """
import json, sys
paths, *task = json.loads(sys.argv[1])
sys.path[:] = paths
from embedder.runtime.openvino import OpenVinoRuntime
from embedder.runtime.trial import embed_grey_chips
embed_grey_chips(OpenVinoRuntime(threads=1).embedding_of_file, *task)
"""
FAILED = 3  # exit status: the reason is on stdout


@lru_cache(maxsize=16)
def require_runnable(graph: Path, digest: str, side_px: int, n_channels: int) -> None:  # noqa: ARG001 - part of the key
    """Raise BundleError unless the network, whose embeddings have that digest, embeds chips within the limits."""
    n_bytes = MEMORY_BYTES + WEIGHTS_COPIES * sum(
        path.stat().st_size for path in (graph, graph.with_name(WEIGHTS_FILE)) if path.exists()
    )
    asked = json.dumps([sys.path, str(graph.absolute()), side_px, n_channels, n_bytes])
    command = [sys.executable, "-I", "-c", START, asked]
    try:
        done = subprocess.run(  # noqa: S603 - this Python, and a file that the user named
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise _fault(graph, f"it was not loaded within {TIME_S:g} s") from None
    if done.returncode == FAILED:
        raise _fault(graph, printable(done.stdout.decode("utf-8", "replace")))
    if done.returncode:
        raise _fault(graph, f"it needs more than {n_bytes / 2**30:.1f} GiB of memory, or ended the process")


def embed_grey_chips(
    load: Callable[[Path], EmbeddingSession], graph: str, side_px: int, n_channels: int, n_bytes: int
) -> None:
    """Load a network and embed grey chips within `n_bytes` of memory; exit with the reason if that fails."""
    with suppress(ValueError, OSError):  # a lower limit may already hold; some systems have none
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
    try:
        chips = np.full((N_CHIPS, side_px, side_px, 3), 128, np.uint8)
        vectors = load(Path(graph))(chips)
    except Exception as error:  # noqa: BLE001 - whatever it is, the network cannot be used
        _exit(_line(error))
    if vectors.shape != (N_CHIPS, n_channels) or not np.isfinite(vectors).all():
        _exit(f"its output for {N_CHIPS} chips is not {N_CHIPS} x {n_channels} finite numbers")


def _line(error: Exception) -> str:
    """The last line of an error, escaped: OpenVINO's messages begin with places in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    out_of_memory = isinstance(error, MemoryError) or "bad_alloc" in str(error)
    return "it needs too much memory" if out_of_memory else printable((lines or [type(error).__name__])[-1])


def _exit(reason: str) -> None:
    sys.stdout.write(reason)
    sys.stdout.flush()
    sys.exit(FAILED)


def _fault(graph: Path, reason: str) -> BundleError:
    return BundleError(f"{graph.name} is not a network that visavis runs: {reason}")
