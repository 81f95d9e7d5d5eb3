"""A short training of a small network, and how to run, kill and resume it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from click.testing import CliRunner, Result

from visavis.cli.main import main

BIN = Path(sys.executable).parent
RUN = """
seed = 3
[data]
train = "{data}"
held_out = 0.4
[network]
backbone = "small"
input_size_px = 48
[[losses]]
kind = "triplet"
[sampling]
people = 4
images = 3
[loop]
steps = 12
checkpoint_every = 4
ema = 0.9
precision = "f32"
[validation]
every = 6
[guard]
every = 1
[bundle]
name = "tiny"
license = "for tests alone"
trained_on = "Twelve people of the ORL faces."
"""


def write_run_file(folder: Path, data: Path) -> Path:
    path = folder / "run.toml"
    path.write_text(RUN.format(data=data), encoding="utf-8")
    return path


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def train(run_file: Path, out: Path, *settings: str, resume: bool = False) -> Result:
    options = [part for setting in settings for part in ("--set", setting)]
    return visavis("train", run_file, "--out", out, *options, *["--resume"] * resume)


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(each) for each in arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)


def kill_after(step: int, run_file: Path, out: Path, *settings: str) -> None:
    """Kill a run with SIGKILL when so many steps are written down."""
    command = [str(each) for each in (BIN / "visavis", "train", run_file, "--out", out, *settings)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    table = out / "steps.csv"
    while run.poll() is None and (not table.exists() or len(table.read_text().splitlines()) <= step):
        time.sleep(0.01)
    assert run.poll() is None, "the run was over before it could be killed"
    run.send_signal(signal.SIGKILL)
    run.wait()
