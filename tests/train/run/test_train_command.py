"""`visavis train` from its file to a model, on real photos; as processes where it is about processes."""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import guarded
import numpy as np
import pytest
from safetensors.numpy import load_file
from training_runs import BIN, kill_after, process, train, visavis, write_run_file

from embedder import BUILT_IN, load, read_bundle
from train.evaluation.results import Estimate
from train.run.finish import ValidatedEers, failure_of


@dataclass(frozen=True)
class Finished:
    """A run that came to its end."""

    folder: Path
    file: Path
    printed: str


@pytest.fixture
def run_file(tmp_path: Path, prepared_people: Path) -> Path:
    return write_run_file(tmp_path, prepared_people)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, prepared_people: Path) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    file = write_run_file(folder, prepared_people)
    done = train(file, folder / "run")
    assert done.exit_code == 0, done.stderr
    return Finished(folder / "run", file, done.stdout)


def weights(run: Path) -> str:
    return sha256((run / "bundle" / "weights.safetensors").read_bytes()).hexdigest()


@pytest.mark.skipif(not guarded.IS_AVAILABLE, reason="the guard knows Linux on x86-64 only")
def test_a_training_connects_to_nothing(run_file: Path, tmp_path: Path) -> None:
    # The tests' own boto3 is hidden: accelerate would import it, and it tries a socket for IPv6.
    hidden = "import sys; sys.modules['boto3'] = None; sys.argv[0] = 'visavis'"
    program = f"{hidden}; from visavis.cli.main import main; main()"
    command = (sys.executable, "-c", program, "train", run_file, "--out", tmp_path / "run")
    process(sys.executable, guarded.__file__, "client", *command)


def test_a_run_ends_in_a_bundle_that_the_other_commands_take(finished: Finished, examples: Path) -> None:
    assert "EER" in finished.printed
    assert "visavis serve --model" in finished.printed
    bundle = finished.folder / "bundle"
    card = read_bundle(bundle).card
    assert (card.name, card.architecture.backbone, card.preprocessing.input_size_px) == ("tiny", "small", 48)
    assert card.training is not None
    assert (card.training.steps, card.training.seed, card.training.started_from) == (12, 3, None)
    assert (card.training.n_identities, card.training.n_validation_identities) == (7, 5)
    found = visavis("embed", examples / "001-neutral.jpg", "--model", bundle, "--json")
    assert json.loads(found.stdout)[0]["model"]["digest"] == card.digest


def test_the_card_tells_how_its_weights_were_learnt(finished: Finished) -> None:
    told = visavis("model", "--model", finished.folder / "bundle").stdout
    assert "training     12 steps" in told
    assert "seed 3, from scratch" in told
    assert "data       35 images of 7 people" in told
    assert "loss       triplet: " in told


def test_what_could_not_be_measured_is_told(finished: Finished) -> None:
    assert "no operating points: " in finished.printed
    assert "no penalty for poor photos: " in finished.printed


def test_a_run_leaves_its_file_its_environment_its_course_and_its_pictures(finished: Finished) -> None:
    here = finished.folder
    assert json.loads((here / "run.json").read_text())["optimizer"]["kind"] == "adamw"
    assert json.loads((here / "environment.json").read_text())["precision"] == "f32"
    assert len((here / "steps.csv").read_text().splitlines()) == 1 + 12
    assert len((here / "validation.csv").read_text().splitlines()) == 1 + 3
    for picture in ("chips.png", "curves.png"):
        assert (here / picture).read_bytes().startswith(b"\x89PNG")
    assert "<html" in (here / "report" / "report.html").read_text()
    assert not (here / "uncalibrated").exists()
    assert here.stat().st_mode & 0o077 == 0  # it shows faces


BEGUN = 'start = "sface-128"'  # which tells the held-out people apart without an error


def test_a_model_that_was_ruined_is_told_last_and_by_exit_status_3(run_file: Path, tmp_path: Path) -> None:
    text = run_file.read_text().replace('backbone = "small"\ninput_size_px = 48', BEGUN)
    run_file.write_text(text.replace('kind = "triplet"', 'kind = "contrastive"\nnegative_margin = 2'))
    ruin = ("optimizer.rate=1", "guard.is_on=false", "loop.steps=2", "loop.ema=0")
    done = train(run_file, tmp_path / "run", *ruin)
    assert done.exit_code == 3, done.output
    assert done.stdout.splitlines()[-1].startswith(f"The model is in {tmp_path}/run/bundle, but it is ")
    eers = [float(line.split(",")[2]) for line in (tmp_path / "run/validation.csv").read_text().splitlines()[1:]]
    assert eers[-1] > eers[0] == 0
    assert (tmp_path / "run/bundle/card.json").exists()


def test_a_run_that_kept_the_weights_it_began_with_says_so(run_file: Path, tmp_path: Path) -> None:
    begun = f'{BEGUN}\nfrozen = ["backbone"]'
    run_file.write_text(run_file.read_text().replace('backbone = "small"\ninput_size_px = 48', begun))
    still = ("augmentation.mirror.probability=0", "loop.steps=1", "loop.ema=0", "validation.keep=best")
    done = train(run_file, tmp_path / "run", *still)
    assert done.exit_code == 0, done.output
    assert "training has not improved the model: its weights are those before the first step" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"serve it with: visavis serve --model {tmp_path}/run/bundle")


def test_a_run_whose_weights_are_no_longer_numbers_ends_in_no_model(run_file: Path, tmp_path: Path) -> None:
    done = train(run_file, tmp_path / "run", "optimizer.rate=1e30", "guard.is_on=false", "loop.steps=3", "loop.ema=0")
    assert done.exit_code == 2
    assert "the network's weights are not finite numbers any more; lower optimizer.rate" in done.stderr
    assert not (tmp_path / "run/bundle").exists()


@pytest.mark.parametrize(
    ("eers", "found", "told"),
    [
        ((0.02, 0.03), Estimate(0.03, (0.02, 0.05)), "worse than it began: in validation, .* rose from 2% to 3%"),
        ((0.02, 0.02), Estimate(0.02, (0.01, 0.03)), None),
        ((0.4, 0.02), Estimate(0.02, (0.01, 0.03)), None),
        ((None, 0.02), Estimate(0.02, None), None),
        ((0.02, 0.0), Estimate(0.0, (0.0, 0.52)), None),
        ((0.6, 0.5), Estimate(None, None), "no better than chance: .* not measured"),
        ((0.6, 0.45), Estimate(0.45, (0.38, 0.52)), r"no better than chance: .* 45% \[38% to 52%\]"),
    ],
)
def test_a_model_is_judged_by_its_eer_at_the_start_at_the_end_and_of_chance(
    eers: tuple[float | None, float], found: Estimate, told: str | None
) -> None:
    failure = failure_of(ValidatedEers(*eers, kept_step=12), found)
    assert failure is None if told is None else re.search(told, failure or "")


def test_a_finished_run_is_not_resumed_nor_written_over(finished: Finished) -> None:
    for resume, told in ((True, "this run is finished"), (False, "resume that run with --resume")):
        refused = train(finished.file, finished.folder, resume=resume)
        assert refused.exit_code == 2
        assert told in refused.stderr


def test_a_run_is_not_resumed_with_other_settings_or_where_there_is_none(finished: Finished, tmp_path: Path) -> None:
    other = train(finished.file, finished.folder, "loop.steps=20", resume=True)
    assert "loop.steps was 12, is 20" in other.stderr
    assert "contains no run to resume" in train(finished.file, tmp_path / "none", resume=True).stderr


def test_a_run_killed_and_resumed_ends_in_the_very_weights_of_an_unbroken_one(run_file: Path, tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    process(BIN / "visavis", "train", run_file, "--out", unbroken)
    kill_after(6, run_file, broken)
    process(BIN / "visavis", "train", run_file, "--out", broken, "--resume")
    assert weights(broken) == weights(unbroken)
    steps = [line.partition(",")[0] for line in (broken / "steps.csv").read_text().splitlines()[1:]]
    assert steps == [str(step) for step in range(1, 13)]


def test_a_run_resumed_from_its_start_looks_at_it_once_and_loses_no_patience(run_file: Path, tmp_path: Path) -> None:
    settings = ("--set", "loop.checkpoint_every=100", "--set", "validation.patience=1")
    kill_after(1, run_file, tmp_path / "run", *settings)
    process(BIN / "visavis", "train", run_file, "--out", tmp_path / "run", "--resume", *settings)
    looks = [line.partition(",")[0] for line in (tmp_path / "run" / "validation.csv").read_text().splitlines()[1:]]
    assert looks[:2] == ["0", "6"]


def test_the_head_alone_learns_over_features_and_the_trunk_stays_as_it_was(run_file: Path, tmp_path: Path) -> None:
    settings = ("network={start = 'built-in', frozen = ['backbone']}", "optimizer.pull=1")
    done = train(run_file, tmp_path / "run", *settings, "losses.0.miner=hard", "losses.0.soft=true")
    assert done.exit_code == 0, done.stderr
    new, old = load_file(tmp_path / "run" / "bundle" / "weights.safetensors"), read_bundle(BUILT_IN).tensors
    assert not np.array_equal(new["head.projection.weight"], old["head.projection.weight"])
    assert all(np.array_equal(new[name], tensor) for name, tensor in old.items() if not name.startswith("head."))
    training = read_bundle(tmp_path / "run" / "bundle").card.training
    assert training is not None
    assert training.started_from == load().card.digest


def test_of_a_run_whose_best_was_its_start_the_start_is_kept(run_file: Path, tmp_path: Path) -> None:
    settings = ("network={start = 'built-in', frozen = ['backbone']}", "optimizer.rate=10", "validation.keep=best")
    done = train(run_file, tmp_path / "run", *settings, "guard.is_on=false", "loop.ema=0")
    assert done.exit_code == 0, done.stderr
    new, old = load_file(tmp_path / "run" / "bundle" / "weights.safetensors"), read_bundle(BUILT_IN).tensors
    assert np.array_equal(new["head.projection.weight"], old["head.projection.weight"])


def test_a_student_learns_from_the_built_in_network(run_file: Path, tmp_path: Path) -> None:
    losses = "losses=[{kind = 'distillation', teacher = 'built-in'}]"
    done = train(run_file, tmp_path / "run", losses, "network.unit_length=false")
    assert done.exit_code == 0, done.stderr
    card = read_bundle(tmp_path / "run" / "bundle").card
    assert card.architecture.unit_length is False
    assert card.training is not None
    assert f"teacher {load().card.digest}" in card.training.losses[0]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("loop.stepz=3", "loop.stepz is not a key"),
        ("data.train=nowhere", "was not made by visavis prepare"),
        ("sampling.people=30", "lower sampling.people"),
        ("network.frozen=['stage9']", "there is no stage stage9"),
        ("network.backbone=large", "unknown backbone 'large'"),
        ("network.start=nowhere", "no model bundle at that path"),
        ("network.weights=some.pt", "only with backbone inception_resnet_v1"),
        ("data.held_out=0.01", "data.held_out"),
        ("loop.precision=fp16", "needs a GPU"),
        ("losses=[{kind='distillation', teacher='dlib-resnet29-128'}]", "set network.unit_length to false"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_line_and_the_folder_may_be_used_again(
    run_file: Path, tmp_path: Path, setting: str, told: str
) -> None:
    refused = train(run_file, tmp_path / "run", setting)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    again = train(run_file, tmp_path / "run", "sampling.people=31")
    assert "31 people in a batch" in again.stderr


def test_a_memory_too_small_for_a_batch_is_refused_before_anything_is_learnt(run_file: Path, tmp_path: Path) -> None:
    assert "raise losses.memory" in train(run_file, tmp_path / "run", "losses.0.memory=5").stderr


def test_a_run_does_not_go_on_with_other_chips_than_it_began_with(
    run_file: Path, tmp_path: Path, prepared_people: Path, data: Path
) -> None:
    chips = tmp_path / "chips"
    shutil.copytree(prepared_people, chips)
    setting = f"data.train={chips}"
    assert train(run_file, tmp_path / "run", setting).exit_code == 0
    shutil.rmtree(tmp_path / "run" / "bundle")  # as if it had been stopped before its end
    shutil.rmtree(chips)
    photos = tmp_path / "others"
    for k in range(20, 32):
        (photos / f"s{k}").mkdir(parents=True)
        for each in sorted((data / "orl" / f"s{k}").iterdir())[:3]:
            (photos / f"s{k}" / each.name).symlink_to(each.resolve())
    assert visavis("prepare", photos, "--out", chips).exit_code == 0
    refused = train(run_file, tmp_path / "run", setting, resume=True)
    assert refused.exit_code == 2
    assert "the chips to learn from" in refused.stderr
    assert "restore the original" in refused.stderr


def test_a_run_stopped_before_its_first_checkpoint_may_be_begun_again(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in ("run.json", "environment.json", "chips.png", "steps.csv", "validation.csv"):
        shutil.copy(finished.folder / name, out / name)
    assert "start a new run, without --resume" in train(finished.file, out, resume=True).stderr
    assert train(finished.file, out).exit_code == 0


def test_people_on_both_sides_are_refused_by_name(run_file: Path, tmp_path: Path, prepared_people: Path) -> None:
    refused = train(run_file, tmp_path / "run", f"data.validation={prepared_people}")
    assert refused.exit_code == 2
    assert "s1" in refused.stderr
    assert "--exclude" in refused.stderr


def test_a_folder_that_holds_something_else_is_not_touched(run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    refused = train(run_file, tmp_path / "run")
    assert refused.exit_code == 2
    assert [each.name for each in (tmp_path / "run").iterdir()] == ["letter.txt"]


def test_a_rate_far_too_high_is_caught_and_explained(run_file: Path, tmp_path: Path, prepared_for_dlib: Path) -> None:
    network = (
        "network={start = 'dlib-resnet29-128'}"  # others get up again: what ends in a normalisation cannot collapse
    )
    given = (f"data.train={prepared_for_dlib}", network, "optimizer={kind = 'sgd', rate = 1.0}")
    done = train(run_file, tmp_path / "run", *given, "losses.0.miner=hard", "loop.steps=200")
    assert done.exit_code == 2
    assert "the run has collapsed" in done.stderr
    assert "Lower optimizer.rate" in done.stderr
    assert (tmp_path / "run" / "curves.png").exists()
