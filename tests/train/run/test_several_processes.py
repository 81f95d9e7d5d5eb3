"""A run of several processes, on one machine or on several, learns what one process would."""

import csv
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from training_runs import BIN, kill_after, process, train, write_run_file

LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
LOSSES_APART, WEIGHTS_APART = 5e-3, 2e-2  # relative; differences by rounding grow from step to step
SGD = """
[optimizer]
kind = "sgd"
rate = 0.01
"""  # Adam turns the rounding of a gradient near 0 into a whole step
ALL_PAIRS = 'kind = "contrastive"\nnegative_margin = 3'  # and miners turn that of a distance into another triplet


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory, prepared_people: Path) -> Path:
    path = write_run_file(tmp_path_factory.mktemp("run"), prepared_people)
    path.write_text(path.read_text().replace('kind = "triplet"', ALL_PAIRS) + SGD)
    return path


@pytest.fixture(scope="module")
def alone(run_file: Path) -> Path:
    """The folder of a run of one process."""
    out = run_file.parent / "alone"
    assert train(run_file, out).exit_code == 0
    return out


def losses(run: Path) -> list[float]:
    with (run / "steps.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def require_equal_runs(run: Path, other: Path) -> None:
    assert losses(run) == pytest.approx(losses(other), rel=LOSSES_APART)
    one, two = (load_file(each / "bundle" / "weights.safetensors") for each in (run, other))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert np.abs(tensor - two[name]).max() <= WEIGHTS_APART * max(1, np.abs(tensor).max()), name


COUNTING = """
import sys
from visavis.cli.main import main
from train.learning import distributed

def counted(shared, broadcast=distributed.broadcast_object_list):
    global n_broadcasts
    n_broadcasts += 1
    broadcast(shared)

n_broadcasts, distributed.broadcast_object_list = 0, counted
main(standalone_mode=False)
print(f"{n_broadcasts} broadcasts")
"""


@pytest.mark.parametrize("length", ["steps", "minutes"])
def test_two_processes_share_a_run(run_file: Path, alone: Path, tmp_path: Path, length: str) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    setting = "loop={minutes = 0.02, precision = 'f32'}" if length == "minutes" else "loop.steps=12"
    launcher = (BIN / "torchrun", "--nproc-per-node=2", tmp_path / "counting.py")
    out = tmp_path / "run"
    done = process(*launcher, "train", run_file, "--out", out, "--set", setting)
    assert done.stdout.count("The model is in") == 1
    assert json.loads((out / "environment.json").read_text())["processes"] == 2
    n_looks, n_steps = (n_rows(out / name) for name in ("validation.csv", "steps.csv"))
    n_shares = n_steps + 1 if length == "minutes" else 0
    assert done.stdout.count(f"{1 + n_looks + n_shares} broadcasts") == 2
    if length == "steps":
        require_equal_runs(out, alone)


def n_rows(table: Path) -> int:
    return len(table.read_text().splitlines()) - 1


def nodes(*trainings: Sequence[object]) -> list[subprocess.CompletedProcess[str]]:
    """Run a training of one process on each of several nodes, which have addresses of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank, words in enumerate(trainings):
        node = (f"--nnodes={len(trainings)}", f"--node-rank={rank}", f"--local-addr=127.0.0.{rank + 1}")
        command = (BIN / "torchrun", "--no-python", *node, "--master-addr=127.0.0.1", f"--master-port={port}")
        started.append(
            subprocess.Popen(
                [*map(str, command), str(BIN / "visavis"), "train", *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | LOOPBACK,
            )
        )
    outputs = [each.communicate(timeout=120) for each in started]
    return [
        subprocess.CompletedProcess(each.args, each.returncode, *output)
        for each, output in zip(started, outputs, strict=True)
    ]


def test_a_run_of_one_process_goes_on_with_two_machines_without_a_common_folder(
    run_file: Path, alone: Path, tmp_path: Path
) -> None:
    kill_after(6, run_file, tmp_path / "run")
    done = nodes(*([run_file, "--out", tmp_path / out, "--resume"] for out in ("run", "elsewhere")))
    assert [each.returncode for each in done] == [0, 0], done[0].stderr + done[1].stderr
    assert "The model is in" in done[0].stdout
    assert done[1].stdout == ""
    assert not (tmp_path / "elsewhere").exists()
    require_equal_runs(tmp_path / "run", alone)


def test_a_machine_with_other_settings_is_named_in_a_line_by_all(run_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(run_file.read_text().replace("seed = 3", "seed = 4"))
    for node in nodes(*([each, "--out", tmp_path / "run"] for each in (run_file, other))):
        lines = [line for line in node.stderr.splitlines() if line.startswith("visavis: ")]
        assert len(lines) == 1, node.stderr
        assert f"process 1 on {socket.gethostname()} differs from the first process" in lines[0]
        assert "run file.seed is 4 there, 3 here" in lines[0]


def test_a_machine_without_the_data_stops_all(run_file: Path, tmp_path: Path) -> None:
    missing = ("--set", f"data.train={tmp_path}")
    first, second = nodes([run_file, "--out", tmp_path / "run"], [run_file, "--out", tmp_path / "run", *missing])
    assert "was not made by visavis prepare" in second.stderr
    assert f"visavis: another process cannot start: process 1 on {socket.gethostname()}: " in first.stderr
