"""What this machine's processor says that it has."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is ARM's


def flags() -> set[str]:
    """Return the flags of the first core, as Linux names them."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    named = (line.partition(":") for line in lines)
    return next((set(value.split()) for name, _, value in named if name.strip() in ("flags", "Features")), set())


HAS_BF16 = bool(BF16_FLAGS & flags())
