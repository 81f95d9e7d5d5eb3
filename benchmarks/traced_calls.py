"""Stop a process at each call to the system of some kinds, to kill it there or to let the call fail. Linux, by ptrace.

Python's own functions cannot be replaced for this, as `failing_calls.py` does: databases write by code in C.
"""

import ctypes
import errno
import os
import platform
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

Mode = Literal["killed", "disk full"]

CALLS = {  # by their numbers on x86-64
    "write": 1,
    "pwrite64": 18,
    "sendto": 44,
    "sendmsg": 46,
    "fsync": 74,
    "fdatasync": 75,
    "ftruncate": 77,
    "unlink": 87,
    "unlinkat": 263,
    "fallocate": 285,
    "pwritev": 296,
}
IS_POSSIBLE = platform.system() == "Linux" and platform.machine() == "x86_64"
FILLING = {CALLS[name] for name in ("write", "pwrite64", "pwritev", "fallocate")}  # those that a full disk refuses

_TRACEME, _POKEUSER, _SYSCALL = 0, 6, 24
_SETOPTIONS, _SEIZE, _INTERRUPT, _GET_SYSCALL_INFO = 0x4200, 0x4206, 0x4207, 0x420E
_TRACESYSGOOD, _EXITKILL = 1, 0x100000
_ORIG_RAX, _RAX = 15 * 8, 10 * 8
_ENTRY, _EXIT = 1, 2
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _SyscallInfo(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("padding", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("places", ctypes.c_uint64 * 2),
        ("number", ctypes.c_uint64),  # of the call, at its entry
        ("first", ctypes.c_uint64),  # argument
        ("others", ctypes.c_uint64 * 5),
    )


def _ptrace(request: int, process: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, process, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def stop_to_be_traced() -> None:
    """Called by a child: stop until the parent's `CallTracer` goes on."""
    _ptrace(_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


class CallTracer:
    """Counts calls of a process; before number `at` it kills the process, or from that one on lets them fail."""

    def __init__(self, process: int, names: frozenset[str], at: int, mode: Mode) -> None:
        self.n_calls = 0  # before which it may be killed, or which a full disk refuses
        self.is_over = False  # nothing is disturbed any more
        self._process, self._at, self._mode = process, at, mode
        self._watched = {CALLS[name] for name in names} & (FILLING if mode == "disk full" else set(CALLS.values()))
        self._number, self._is_due = -1, False

    def start(self) -> None:
        """Begin with a child that has stopped itself."""
        os.waitpid(self._process, WALL)
        _ptrace(_SETOPTIONS, self._process, 0, _TRACESYSGOOD | _EXITKILL)
        _ptrace(_SYSCALL, self._process)

    def attach(self) -> None:
        """Begin with any process."""
        _ptrace(_SEIZE, self._process, 0, _TRACESYSGOOD)
        _ptrace(_INTERRUPT, self._process)
        os.waitpid(self._process, WALL)
        _ptrace(_SYSCALL, self._process)

    def run(self, is_ignored: Callable[[int], bool] = lambda _: False) -> None:
        """Go on until the process has ended. `is_ignored` tells by its first argument that a call does not count."""
        while self.step(os.waitpid(self._process, WALL)[1], is_ignored):
            pass

    def step(self, status: int, is_ignored: Callable[[int], bool] = lambda _: False) -> bool:
        """Handle one stop; False = the process has ended."""
        if not os.WIFSTOPPED(status):
            return False
        stop = os.WSTOPSIG(status)
        if stop == signal.SIGTRAP | 0x80:
            self._at_call(is_ignored)
        is_signal = stop not in (signal.SIGTRAP | 0x80, signal.SIGTRAP) and not status >> 16
        with suppress(ProcessLookupError):  # killed just now
            _ptrace(_SYSCALL, self._process, 0, stop if is_signal else 0)
        return True

    def _at_call(self, is_ignored: Callable[[int], bool]) -> None:
        info = _SyscallInfo()
        _ptrace(_GET_SYSCALL_INFO, self._process, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == _ENTRY:
            self._number = info.number
            self._enter(is_ignored(info.first))
        elif info.op == _EXIT and self._is_due:
            self._leave()

    def _enter(self, is_ignored: bool) -> None:  # noqa: FBT001 - private
        self._is_due = False
        if is_ignored or self._number not in self._watched:
            return
        self.n_calls += not self.is_over
        if self.is_over or self.n_calls < self._at:
            return
        if self._mode == "killed":
            os.kill(self._process, signal.SIGKILL)
        else:
            _ptrace(_POKEUSER, self._process, _ORIG_RAX, -1)  # no such call, so nothing is done
            self._is_due = True

    def _leave(self) -> None:
        _ptrace(_POKEUSER, self._process, _RAX, -errno.ENOSPC)
