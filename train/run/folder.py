"""A run's folder: what lies where in it, and when it may be used."""

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

# How many times the weights: a checkpoint holds four (two numbers of the optimizer's for each, and the average), and is
# there twice while it is replaced; then the best, the bundle twice, and pictures.
ROOM = 12


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths in a run's folder."""

    path: Path

    @property
    def run_file(self) -> Path:
        """The run file in full, every default written out."""
        return self.path / "run.json"

    @property
    def environment(self) -> Path:
        """What it runs on: versions, processor, threads."""
        return self.path / "environment.json"

    @property
    def checkpoint(self) -> Path:
        """All that it takes to go on."""
        return self.path / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        """The weights with the lowest error rate on people held out."""
        return self.path / "best.safetensors"

    @property
    def chips(self) -> Path:
        """64 augmented chips: what the network sees."""
        return self.path / "chips.png"

    @property
    def curves(self) -> Path:
        """Loss and error rate over the run."""
        return self.path / "curves.png"

    @property
    def report(self) -> Path:
        """The evaluation's page and pictures."""
        return self.path / "report"

    @property
    def bundle(self) -> Path:
        """The model that was learnt."""
        return self.path / "bundle"

    def begin(self, run: RunFile) -> None:
        """Make it for a new run. Raises TrainingError where there is something in it already."""
        try:
            self.path.mkdir(0o700, parents=True, exist_ok=True)  # chips and the report show faces
            if self._holds_something():
                raise TrainingError(
                    f"{self.path}: holds something already; go on with that run by --resume, or give another --out"
                )
            replace_file(self.run_file, to_json(run).encode())
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written: {error.strerror}; give another --out") from error

    def _holds_something(self) -> bool:
        """Is there more than what a run leaves that was stopped before its first checkpoint?"""
        early = {self.run_file, self.environment, self.chips, self.path / STEPS, self.path / VALIDATION, self.curves}
        return bool(set(self.path.iterdir()) - early - set(map(unfinished, early)))

    def resume(self, run: RunFile) -> None:
        """Check that it holds that very run. Raises TrainingError."""
        if not self.run_file.exists():
            raise TrainingError(f"{self.path}: holds no run to go on with; leave out --resume")
        differences = list(_differences(read_json(self.run_file).model_dump(mode="json"), run.model_dump(mode="json")))
        if differences:
            raise TrainingError(
                f"{self.path}: was begun with other settings ({'; '.join(differences[:3])}); "
                "give these again, or another --out"
            )
        if self.bundle.exists():
            raise TrainingError(f"{self.path}: is a finished run, its model is in {self.bundle}; give another --out")

    def write(self, path: Path, content: bytes) -> None:
        """Write a file in it. Raises TrainingError."""
        try:
            replace_file(path, content)
        except OSError as error:
            raise TrainingError(f"{path}: cannot be written: {error.strerror}; make room and begin again") from error

    def require_room(self, n_bytes: int) -> None:
        """Raise TrainingError where the disk has no room for what a run of a network of that size writes."""
        free = shutil.disk_usage(self.path).free
        if free < ROOM * n_bytes:
            raise TrainingError(
                f"{self.path}: the disk has {free / 2**20:,.0f} MiB free, and the run takes about "
                f"{ROOM * n_bytes / 2**20:,.0f}; "
                "make room, or give another --out"
            )


def _differences(before: object, now: object, key: str = "") -> Iterator[str]:
    """Keys whose values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
    elif before != now:
        yield f"{key} was {json.dumps(before)}, is {json.dumps(now)}"
