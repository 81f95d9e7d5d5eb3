"""A run's folder: its layout, and checks before a run starts or resumes in it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedder import replace_file, unfinished

from ..errors import TrainingError
from ..logging.csv_log import STEPS, VALIDATION
from ..run_file import RunFile
from ..run_file_reading import read_json, to_json

# Disk space, as a multiple of the weights' size: a checkpoint has four times that (weights, moving average and two
# optimizer values per weight) and exists twice while it is replaced; plus the best weights, two bundles and images.
ROOM = 12


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths in a run's folder."""

    path: Path

    @property
    def run_file(self) -> Path:
        """The complete run file, with all defaults."""
        return self.path / "run.json"

    @property
    def environment(self) -> Path:
        """Versions, processor and threads of the run."""
        return self.path / "environment.json"

    @property
    def checkpoint(self) -> Path:
        """The state needed to resume the run."""
        return self.path / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        """The weights with the lowest error rate on people held out."""
        return self.path / "best.safetensors"

    @property
    def chips(self) -> Path:
        """64 augmented chips, as the network sees them."""
        return self.path / "chips.png"

    @property
    def curves(self) -> Path:
        """Loss and error rate over the run."""
        return self.path / "curves.png"

    @property
    def report(self) -> Path:
        """The report of the evaluation: a page and its images."""
        return self.path / "report"

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.path / "bundle"

    def begin(self, run: RunFile) -> None:
        """Create the folder for a new run. Raises TrainingError if it is not empty."""
        try:
            self.path.mkdir(0o700, parents=True, exist_ok=True)  # chips and the report show faces
            if self._holds_something():
                raise TrainingError(f"{self.path}: is not empty; resume that run with --resume, or give another --out")
            replace_file(self.run_file, to_json(run).encode())
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written: {error.strerror}; give another --out") from error

    def _holds_something(self) -> bool:
        """Check for files other than those of a run that stopped before its first checkpoint."""
        early = {self.run_file, self.environment, self.chips, self.path / STEPS, self.path / VALIDATION, self.curves}
        return bool(set(self.path.iterdir()) - early - set(map(unfinished, early)))

    def resume(self, run: RunFile) -> None:
        """Check that the folder holds this run, unfinished. Raises TrainingError."""
        if not self.run_file.exists():
            raise TrainingError(f"{self.path}: contains no run to resume; leave out --resume")
        before, now = (each.model_dump(mode="json") for each in (read_json(self.run_file), run))
        changed = [f"{key} was {then}, is {value}" for key, then, value in differences(before, now)]
        if changed:
            raise TrainingError(
                f"{self.path}: was started with other settings ({'; '.join(changed[:3])}); "
                "use the same settings, or give another --out"
            )
        if self.bundle.exists():
            raise TrainingError(
                f"{self.path}: this run is finished and its model is in {self.bundle}; give another --out"
            )

    def write(self, path: Path, content: bytes) -> None:
        """Write a file of the run. Raises TrainingError."""
        try:
            replace_file(path, content)
        except OSError as error:
            raise TrainingError(
                f"{path}: cannot be written: {error.strerror}; free disk space and start the run again"
            ) from error

    def require_room(self, n_bytes: int) -> None:
        """Raise TrainingError if the disk has too little space for a run with `n_bytes` of weights."""
        free = shutil.disk_usage(self.path).free
        if free < ROOM * n_bytes:
            raise TrainingError(
                f"{self.path}: the disk has {free / 2**20:,.0f} MiB free, and the run needs about "
                f"{ROOM * n_bytes / 2**20:,.0f} MiB; "
                "free disk space, or give another --out"
            )


def differences(one: object, other: object, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each key whose values differ, with both values as JSON."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from differences(one.get(name), other.get(name), f"{key}.{name}".lstrip("."))
    elif one != other:
        yield key, json.dumps(one), json.dumps(other)
