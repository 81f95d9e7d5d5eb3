"""Run a program under a guard of the kernel: it is killed by SIGSYS if it tries to connect to another machine.

    python guarded.py client PROGRAM [ARGUMENT ...]   no Internet socket of any kind
    python guarded.py server PROGRAM [ARGUMENT ...]   TCP sockets, which may listen and accept, but never connect

The guard is a seccomp filter, so it also sees what libraries in C do. It exists on Linux on x86-64 only.
"""

import ctypes
import os
import platform
import sys

IS_AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"
SET_NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER_MODE = 38, 22, 2  # of prctl
ARCHITECTURE = 0xC000003E  # x86-64
SOCKET, CONNECT = 41, 42  # system calls
INTERNET = (2, 10)  # AF_INET, AF_INET6
DATAGRAM, TYPE_MASK = 2, 0xF  # of the type of a socket
ALLOW, KILL = 0x7FFF0000, 0x80000000
NUMBER_AT, ARCHITECTURE_AT, FIRST_AT, SECOND_AT = 0, 4, 16, 24  # bytes in seccomp_data
LOAD, AND, RETURN, IF_EQUAL = 0x20, 0x54, 0x06, 0x15  # instructions of BPF


class Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("then", ctypes.c_ubyte), ("other", ctypes.c_ubyte), ("k", ctypes.c_uint))


class Program(ctypes.Structure):
    _fields_ = (("n", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))


CLIENT = [
    (LOAD, 0, 0, ARCHITECTURE_AT),
    (IF_EQUAL, 0, 6, ARCHITECTURE),
    (LOAD, 0, 0, NUMBER_AT),
    (IF_EQUAL, 0, 4, SOCKET),
    (LOAD, 0, 0, FIRST_AT),
    (IF_EQUAL, 1, 0, INTERNET[0]),
    (IF_EQUAL, 0, 1, INTERNET[1]),
    (RETURN, 0, 0, KILL),
    (RETURN, 0, 0, ALLOW),
]
SERVER = [
    (LOAD, 0, 0, ARCHITECTURE_AT),
    (IF_EQUAL, 0, 10, ARCHITECTURE),
    (LOAD, 0, 0, NUMBER_AT),
    (IF_EQUAL, 7, 0, CONNECT),
    (IF_EQUAL, 0, 7, SOCKET),
    (LOAD, 0, 0, FIRST_AT),
    (IF_EQUAL, 1, 0, INTERNET[0]),
    (IF_EQUAL, 0, 4, INTERNET[1]),
    (LOAD, 0, 0, SECOND_AT),
    (AND, 0, 0, TYPE_MASK),
    (IF_EQUAL, 0, 1, DATAGRAM),
    (RETURN, 0, 0, KILL),
    (RETURN, 0, 0, ALLOW),
]


def guard(kind: str) -> None:
    """Put this process, and those that it starts, under the guard."""
    code = [Instruction(*rule) for rule in (SERVER if kind == "server" else CLIENT)]
    program = Program(len(code), (Instruction * len(code))(*code))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (SET_SECCOMP, FILTER_MODE, ctypes.byref(program), 0, 0)):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "the guard could not be set")


if __name__ == "__main__":
    guard(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program that is tested
