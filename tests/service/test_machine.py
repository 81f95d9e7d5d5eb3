"""The facts of the machine, and the limits of a container, from the kernel's files."""

import os
from pathlib import Path

import psutil
import pytest

from service.telemetry.machine import free_bytes, this_machine

GIB = 2**30


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_this_machine_is_as_psutil_sees_it() -> None:
    machine = this_machine()
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.n_cores == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "quota", "limit"),
    [
        ({}, None, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, None, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"}, 1.5, GIB),
        (
            {
                "proc/self/cgroup": "0::/pods/one\n",
                "sys/fs/cgroup/pods/one/cpu.max": "max 100000\n",
                "sys/fs/cgroup/pods/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/pods/one/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/pods/memory.max": f"{GIB}\n",
            },
            0.5,
            GIB,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            2.0,
            None,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None, None),
    ],
)
def test_the_strictest_limit_of_the_container_applies(
    files: dict[str, str], quota: float | None, limit: int | None, tmp_path: Path
) -> None:
    machine = this_machine(_write(tmp_path, files | {"proc/meminfo": "MemTotal:  4194304 kB\nMemAvailable: 1024 kB\n"}))
    assert (machine.cpu_quota, machine.memory_limit_bytes) == (quota, limit)
    assert machine.usable_memory_bytes == (limit or 4 * GIB)
    assert machine.available_bytes == 1024 * 1024


def test_the_features_of_a_processor_are_listed_in_one_order(tmp_path: Path) -> None:
    core = "model name\t: A Processor\nflags\t\t: fpu avx512_vnni avx2 sse\n\n"
    machine = this_machine(_write(tmp_path, {"proc/cpuinfo": core * 2}))
    assert (machine.processor, machine.features) == ("A Processor", ("avx2", "avx512_vnni"))


def test_a_machine_that_tells_nothing_is_unknown(tmp_path: Path) -> None:
    machine = this_machine(tmp_path)
    assert (machine.processor, machine.features, machine.usable_memory_bytes) == (None, (), None)


def test_what_is_free_is_that_of_the_machine_or_what_the_container_has_left(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) is None
    _write(tmp_path, {"proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n"})
    assert free_bytes(tmp_path) == 4 * GIB
    limit = {"sys/fs/cgroup/memory.max": f"{3 * GIB}\n", "proc/self/status": "Name: python\nVmRSS: 1048576 kB\n"}
    assert free_bytes(_write(tmp_path, limit)) == 2 * GIB


def test_each_of_several_processes_counts_on_its_part_of_the_memory(tmp_path: Path) -> None:
    own = {"proc/self/status": "Name: python\nVmRSS: 1048576 kB\n"}
    _write(tmp_path, own | {"proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n"})
    assert [free_bytes(tmp_path, n) for n in (1, 2, 8, 16)] == [6 * GIB, 3 * GIB, 0, 0]
    _write(tmp_path, {"sys/fs/cgroup/memory.max": f"{4 * GIB}\n"})
    assert [free_bytes(tmp_path, n) for n in (1, 2)] == [3 * GIB, GIB]
