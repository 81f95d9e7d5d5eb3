"""The machine and the versions of the libraries, for interpreting the figures."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def facts() -> dict[str, object]:
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "Python": platform.python_version(),
        "pillow, numpy": f"{version('pillow')}, {version('numpy')}",
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "not set"),
    }


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return (
        f"{named.get('model name', platform.machine())} (family {named.get('cpu family')}, model {named.get('model')})"
    )
