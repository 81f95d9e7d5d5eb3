"""Memory that a step gives back is kept for the next one: each takes and gives back the same gigabyte."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # as malloc.h of glibc numbers them
_LARGEST_KEPT, _MOST_KEPT, _AHEAD = 32 * 2**20, 2**31 - 1, 256 * 2**20  # bytes


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, where it is one that can be told so (glibc).

    Otherwise it hands large arrays back to the system, which clears them before it gives them out again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((_MMAP_THRESHOLD, _LARGEST_KEPT), (_TRIM_THRESHOLD, _MOST_KEPT), (_TOP_PAD, _AHEAD)):
            mallopt(parameter, value)
