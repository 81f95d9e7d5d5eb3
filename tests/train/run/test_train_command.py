"""`visavis train` from its file to a model that is served, as processes, on real photos."""

import json
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from embedder import BUILT_IN, load, read_bundle

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


@pytest.fixture
def run_file(tmp_path: Path, prepared_people: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(RUN.format(data=prepared_people), encoding="utf-8")
    return path


def visavis(*arguments: object, n_processes: int = 1) -> subprocess.CompletedProcess[str]:
    launched = [] if n_processes == 1 else [BIN / "torchrun", "--no-python", f"--nproc-per-node={n_processes}"]
    command = [*launched, BIN / "visavis", *arguments]
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False, timeout=300)


def train(run_file: Path, out: Path, *more: object, n_processes: int = 1) -> subprocess.CompletedProcess[str]:
    return visavis("train", run_file, "--out", out, *more, n_processes=n_processes)


def weights(run: Path) -> str:
    return sha256((run / "bundle" / "weights.safetensors").read_bytes()).hexdigest()


def test_a_run_ends_in_a_bundle_that_the_other_commands_take(run_file: Path, tmp_path: Path, examples: Path) -> None:
    done = train(run_file, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "EER" in done.stdout
    assert "visavis serve --model" in done.stdout
    bundle = tmp_path / "run" / "bundle"
    card = read_bundle(bundle).card
    assert (card.name, card.architecture.backbone, card.preprocessing.input_size_px) == ("tiny", "small", 48)
    assert card.training is not None
    assert (card.training.steps, card.training.seed, card.training.started_from) == (12, 3, None)
    assert (card.training.n_identities, card.training.n_validation_identities) == (7, 5)
    found = visavis("embed", examples / "001-neutral.jpg", "--model", bundle, "--json")
    assert json.loads(found.stdout)[0]["model"]["digest"] == card.digest
    assert "no operating points: 5 people" in done.stdout


def test_a_run_leaves_its_file_its_environment_its_course_and_its_pictures(run_file: Path, tmp_path: Path) -> None:
    assert train(run_file, tmp_path / "run").returncode == 0
    here = tmp_path / "run"
    assert json.loads((here / "run.json").read_text())["optimizer"]["kind"] == "adamw"
    assert json.loads((here / "environment.json").read_text())["precision"] == "f32"
    assert len((here / "steps.csv").read_text().splitlines()) == 1 + 12
    assert len((here / "validation.csv").read_text().splitlines()) == 1 + 2
    for picture in ("chips.png", "curves.png"):
        assert (here / picture).read_bytes().startswith(b"\x89PNG")
    assert "<html" in (here / "report" / "report.html").read_text()
    assert here.stat().st_mode & 0o077 == 0  # it shows faces


def test_a_run_killed_and_resumed_ends_in_the_very_weights_of_an_unbroken_one(run_file: Path, tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert train(run_file, unbroken).returncode == 0
    kill_after(6, run_file, broken)
    resumed = train(run_file, broken, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert weights(broken) == weights(unbroken)
    steps = [line.partition(",")[0] for line in (broken / "steps.csv").read_text().splitlines()[1:]]
    assert steps == [str(step) for step in range(1, 13)]


def kill_after(step: int, run_file: Path, out: Path) -> None:
    """Kill a run with SIGKILL when so many steps are written down."""
    command = [str(each) for each in (BIN / "visavis", "train", run_file, "--out", out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    table = out / "steps.csv"
    while process.poll() is None and (not table.exists() or len(table.read_text().splitlines()) <= step):
        time.sleep(0.01)
    assert process.poll() is None, "the run was over before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_two_processes_share_a_run(run_file: Path, tmp_path: Path) -> None:
    done = train(run_file, tmp_path / "run", "--set", "sampling.people=3", n_processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The model is in") == 1
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2


def test_the_head_alone_learns_over_features_and_the_trunk_stays_as_it_was(run_file: Path, tmp_path: Path) -> None:
    head = ("network={start = 'built-in', frozen = ['backbone']}", "optimizer.pull=1", "validation.keep=best")
    settings = [part for setting in head for part in ("--set", setting)]
    done = train(run_file, tmp_path / "run", *settings)
    assert done.returncode == 0, done.stderr
    new, old = load_file(tmp_path / "run" / "bundle" / "weights.safetensors"), read_bundle(BUILT_IN).tensors
    assert not np.array_equal(new["head.projection.weight"], old["head.projection.weight"])
    assert all(np.array_equal(new[name], tensor) for name, tensor in old.items() if not name.startswith("head."))
    assert read_bundle(tmp_path / "run" / "bundle").card.training.started_from == load().card.digest  # type: ignore[union-attr]


def test_a_student_learns_from_the_built_in_network(run_file: Path, tmp_path: Path) -> None:
    settings = ("losses=[{kind = 'distillation', teacher = 'built-in'}]", "network.unit_length=false")
    done = train(run_file, tmp_path / "run", *[part for setting in settings for part in ("--set", setting)])
    assert done.returncode == 0, done.stderr
    assert read_bundle(tmp_path / "run" / "bundle").card.architecture.unit_length is False


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("loop.stepz=3",), "loop.stepz is no key"),
        (("data.train=nowhere",), "was not made by visavis prepare"),
        (("sampling.people=30",), "lower sampling.people"),
        (("network.frozen=['stage9']",), "there is no stage stage9"),
        (("network.backbone=large",), "'large' is not known"),
        (("network.start=nowhere",), "no model bundle at that path"),
        (("network.weights=some.pt",), "inception_resnet_v1 alone"),
        (("data.held_out=0.01",), "data.held_out"),
        (("loop.precision=fp16",), "needs a GPU"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_line_and_leaves_the_folder_free(
    run_file: Path, tmp_path: Path, settings: tuple[str, ...], told: str
) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    refused = train(run_file, tmp_path / "run", *options)
    assert refused.returncode == 2
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_people_on_both_sides_are_refused_by_name(run_file: Path, tmp_path: Path, prepared_people: Path) -> None:
    refused = train(run_file, tmp_path / "run", "--set", f"data.validation={prepared_people}")
    assert refused.returncode == 2
    assert "s1" in refused.stderr
    assert "--exclude" in refused.stderr


def test_a_folder_that_holds_something_is_not_touched(run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    refused = train(run_file, tmp_path / "run")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    assert [each.name for each in (tmp_path / "run").iterdir()] == ["letter.txt"]


def test_a_run_is_not_resumed_with_other_settings_nor_without_one_nor_when_it_is_done(
    run_file: Path, tmp_path: Path
) -> None:
    assert "holds no run" in train(run_file, tmp_path / "none", "--resume").stderr
    assert train(run_file, tmp_path / "run").returncode == 0
    other = train(run_file, tmp_path / "run", "--resume", "--set", "loop.steps=20")
    assert "loop.steps was 12, is 20" in other.stderr
    assert "is a finished run" in train(run_file, tmp_path / "run", "--resume").stderr


def test_a_rate_far_too_high_is_caught_and_explained(run_file: Path, tmp_path: Path) -> None:
    settings = (
        "losses.0.miner=hard",
        "optimizer={kind = 'sgd', rate = 50.0}",
        "loop.steps=200",
        "loop.clip=1e9",
        "schedule.warm_up=0",
    )
    done = train(run_file, tmp_path / "run", *[part for setting in settings for part in ("--set", setting)])
    assert done.returncode == 2
    assert "collapsed" in done.stderr
    assert "lower" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "curves.png").exists()
