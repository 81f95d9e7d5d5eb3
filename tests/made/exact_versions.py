"""A mark for tests that make a file again, byte for byte, which takes the versions of constraints.txt."""

from importlib.metadata import version
from pathlib import Path

import pytest

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
WRITERS = ("onnx", "onnxscript", "torch")  # of exported networks, which name the version of torch


def _is_pinned(package: str) -> bool:
    pinned = f"{package}=={version(package).partition('+')[0]}"
    return any(
        line.partition(";")[0].strip() == pinned for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    )


needs_exact_versions = pytest.mark.skipif(
    not all(map(_is_pinned, WRITERS)), reason=f"{', '.join(WRITERS)} are not those of constraints.txt"
)
