"""How many threads to work with: as many as this process may use cores."""

import os


def n_threads(most: int | None = None) -> int:
    """Return the number of cores that this process may use, at most `most`."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return n_cores if most is None else min(n_cores, most)
