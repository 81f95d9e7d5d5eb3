"""What a bulk run is asked for."""

from dataclasses import dataclass
from pathlib import Path

from ..runtime.choice import RuntimeOptions
from ..types import FaceChoice


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What is to be embedded, how, and where to."""

    given: tuple[Path, ...]  # folders and files
    out: Path
    face: FaceChoice
    model: str | None  # a bundle; None: the built-in one
    running: RuntimeOptions
