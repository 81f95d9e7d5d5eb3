"""Measure which share of the time `visavis serve` holds Python's interpreter lock (GIL), at 8 and 32 clients.

    python benchmarks/interpreter_lock.py [--clients 8 --clients 32] [--seconds 20]

Another process reads, a thousand times a second, the word in the service's memory that names the thread which holds
the lock; the service itself runs unchanged. It takes Linux, the right to read a child's memory, and CPython 3.11, which
has one such word for the process. The share of the wall time, divided by the rate, is what a verification costs under
the lock, and one process can never answer more than a second divided by that. If other programs use the cores, the
share would be too large, because a thread that waits for a core may hold the lock: then it is not told.
"""

import ctypes
import os
import sys
import time
from collections import Counter
from pathlib import Path

import click
from running_service import RunningService, in_background, running_service
from workers import ClosedLoop, closed_loop

SCAN_BYTES = 4096
WORD = ctypes.sizeof(ctypes.c_void_p)
EVERY_S = 0.001
TRIES = 20
QUIET = 0.2  # cores that others may use


def holder_offset() -> int:
    """Return where the word is in the interpreter's state. Raises RuntimeError if it cannot be told.

    It is this thread while Python code runs, and nothing while a C function runs that has released the lock.
    """
    state = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    me = ctypes.pythonapi.PyThreadState_Get
    me.restype = ctypes.c_void_p
    candidates = set(range(0, SCAN_BYTES, WORD))
    for _ in range(TRIES):
        held, released = (ctypes.create_string_buffer(SCAN_BYTES) for _ in range(2))
        ctypes.PyDLL(None).memcpy(held, ctypes.c_void_p(state), SCAN_BYTES)
        ctypes.CDLL(None).memcpy(released, ctypes.c_void_p(state), SCAN_BYTES)
        candidates &= {at for at in candidates if _word(held, at) == me() and _word(released, at) == 0}
    if len(candidates) != 1:
        raise RuntimeError(f"this Python ({sys.version.split()[0]}) does not show who holds its lock; use CPython 3.11")
    return candidates.pop()


def _word(memory: "ctypes.Array[ctypes.c_char]", at: int) -> int:
    return int.from_bytes(memory.raw[at : at + WORD], sys.byteorder)


def address_in(pid: int) -> int:
    """Return the address of the word in another process of this Python."""
    own = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    start, path, offset = next(each for each in _mappings(os.getpid()) if each[0] <= own < each[0] + each[3])[:3]
    theirs = next(each[0] for each in _mappings(pid) if each[1] == path and each[2] == offset)
    return theirs + own - start + holder_offset()


def _mappings(pid: int) -> list[tuple[int, str, int, int]]:
    """Return start, path, offset in the file, and size of each part of a process's memory."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        extent, _, offset, _, _, *path = line.split(maxsplit=5)
        start, end = (int(each, 16) for each in extent.split("-"))
        found.append((start, path[0] if path else "", int(offset, 16), end - start))
    return found


def sampled(pid: int, seconds: float) -> Counter[int]:
    """Read the word again and again; returns how often each thread held the lock, 0 = none."""
    at, found, end = address_in(pid), Counter[int](), time.perf_counter() + seconds
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        while time.perf_counter() < end:
            found[int.from_bytes(os.pread(memory, WORD, at), sys.byteorder)] += 1
            time.sleep(EVERY_S)
    finally:
        os.close(memory)
    return found


def main_thread_s(pid: int) -> float:
    """Return the processor time of a process's main thread: the event loop, which computes nothing but Python."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(service: RunningService, n_clients: int, seconds: float) -> None:
    """Print a line for one number of clients."""
    pid, results = service.process.pid, list[ClosedLoop]()
    before_s = main_thread_s(pid)
    with in_background(lambda _: results.append(closed_loop(service, n_clients, seconds))):
        time.sleep(seconds / 10)
        held = sampled(pid, seconds * 0.8)
    (loop,) = results
    n, others, loop_s = len(loop.took_s), loop.others_s / loop.seconds, main_thread_s(pid) - before_s
    click.echo(
        f"{n_clients} clients: {loop.per_s:.1f} verifications/s, {1000 * loop.cpu_s / n:.1f} ms of processor time "
        f"each, {1000 * loop_s / n:.1f} of them in the event loop; others used {others:.1f} cores"
    )
    share = 1 - held[0] / held.total()
    told = f"lock held {share:.1%} of the time, {1000 * share / loop.per_s:.1f} ms of each verification"
    limit = f"so one process can answer {loop.per_s / share:.0f} a second at most ({held.total():,} samples)"
    click.echo(f"  {told}; {limit}" if others < QUIET else "  others used too much to tell how long the lock is held")


@click.command()
@click.option("--clients", "all_clients", type=int, multiple=True, default=(8, 32))
@click.option("--seconds", default=20.0)
def main(all_clients: tuple[int, ...], seconds: float) -> None:
    """Print the share for each number of clients."""
    with running_service() as service:
        closed_loop(service, max(all_clients), 1.0)
        for n_clients in all_clients:
            measure(service, n_clients, seconds)


if __name__ == "__main__":
    main()
