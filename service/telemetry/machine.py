"""The machine that the process runs on: processor, cores and memory, and how much of them its container may use."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedder import n_cores

MIB = 2**20
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)

# Instructions that make a network faster, as Linux names them: x86 first, then ARM.
FEATURES = (
    "avx2", "fma", "avx512f", "avx512bw", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "sve", "i8mm", "bf16",
)  # fmt: skip
UNLIMITED_V1 = 2**60  # cgroup v1 states a huge number instead of "no limit"


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts of a Linux machine; what cannot be read is None."""

    processor: str | None
    features: tuple[str, ...]  # of FEATURES
    n_cores: int  # that this process may use
    cpu_quota: float | None  # cores of the container; None = no quota
    memory_bytes: int | None
    available_bytes: int | None  # now free, or easily freed
    memory_limit_bytes: int | None  # of the container; None = no limit

    @property
    def usable_memory_bytes(self) -> int | None:
        """The memory of the machine, or the container's limit if it is lower."""
        known = [each for each in (self.memory_bytes, self.memory_limit_bytes) if each is not None]
        return min(known, default=None)


def this_machine(root: Path = Path("/")) -> Machine:
    """Read the facts of this machine; `root` is where /proc and /sys are."""
    cpu = _table(root / "proc/cpuinfo")
    memory = _table(root / "proc/meminfo")
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    return Machine(
        processor=cpu.get("model name"),
        features=tuple(each for each in FEATURES if each in flags),
        n_cores=n_cores(),
        cpu_quota=_cpu_quota(root),
        memory_bytes=_kilobytes(memory.get("MemTotal")),
        available_bytes=_kilobytes(memory.get("MemAvailable")),
        memory_limit_bytes=_memory_limit(root),
    )


def free_bytes(root: Path = Path("/"), n_processes: int = 1) -> int | None:
    """Return how much memory this process may still take, about; None if that cannot be read.

    Several processes that serve the same look at the same time, so each counts on its part of the whole only.
    """
    machine, own = this_machine(root), _kilobytes(_table(root / "proc/self/status").get("VmRSS"))
    whole = machine.usable_memory_bytes
    left = None if whole is None else max(0, whole // n_processes - (own or 0))
    return min((each for each in (machine.available_bytes, left) if each is not None), default=None)


def memory_of(pid: int, root: Path = Path("/")) -> int:
    """Return the bytes of memory of a process (PSS): what it shares with others counts in part.

    0 if the process has ended, or the system does not tell.
    """
    found = PSS.search(_text(root / f"proc/{pid}/smaps_rollup") or "")
    return int(found[1]) * 1024 if found else 0


def processes_from(pid: int, root: Path = Path("/")) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for each in found:  # which grows meanwhile
        for children in (root / f"proc/{each}/task").glob("*/children"):
            with suppress(OSError):  # it has just ended
                found += map(int, children.read_text().split())
    return found


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _table(file: Path) -> dict[str, str]:
    """Return the lines `name: value`; of a name that is there for each core, the first."""
    pairs = [line.partition(":") for line in reversed((_text(file) or "").splitlines())]
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def _kilobytes(text: str | None) -> int | None:
    return None if text is None else int(text.split()[0]) * 1024


def _groups(root: Path) -> list[Path]:
    """Return the folders of this process's cgroup v2 and of those above it, whose limits apply as well."""
    top = root / "sys/fs/cgroup"
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        if line.startswith("0::"):
            own = top / line.removeprefix("0::").lstrip("/")
            return [each for each in (own, *own.parents) if each.is_relative_to(top)]
    return [top]


def _cpu_quota(root: Path) -> float | None:
    limits = [(_text(group / "cpu.max") or "").split() for group in _groups(root)]
    old = root / "sys/fs/cgroup/cpu"
    limits.append([_text(old / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")])
    quotas = [int(limit[0]) / int(limit[1]) for limit in limits if len(limit) > 1 and limit[0].strip().isdecimal()]
    return min(quotas, default=None)


def _memory_limit(root: Path) -> int | None:
    files = [group / "memory.max" for group in _groups(root)]
    files.append(root / "sys/fs/cgroup/memory/memory.limit_in_bytes")
    texts = [(_text(file) or "").strip() for file in files]
    return min((int(text) for text in texts if text.isdecimal() and int(text) < UNLIMITED_V1), default=None)
