"""What a run tells: tables that outlive it, lines and a bar on stderr, the time left, and curves."""

import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from terminal import shown_on_a_terminal

from train.errors import TrainingError
from train.logging.csv_log import (
    CsvTable,
    RunLog,
    StepRecord,
    ValidationRecord,
    read_steps,
    read_table,
    read_validations,
)
from train.logging.curves import curves, smoothed
from train.logging.progress import RunLength, RunTimeLeft, no_live_progress
from train.run_file import LoopConfig

ROOT = Path(__file__).parents[2]
STEP = StepRecord(
    step=1,
    seconds=2.0,
    rate_faces_s=412.5,
    loss=0.25,
    parts={"triplet": 0.25},
    learning_rate=1e-3,
    gradient_norm=3.5,
    active_share=0.75,
    positive_distance=1.0,
    negative_distance=1.25,
    effective_rank=40.5,
    least_variance=1e-4,
)
LOOK = ValidationRecord(1, 2.0, 0.031, 0.125, 4000, 200_000, is_best=True)


def at(step: int) -> StepRecord:
    return replace(STEP, step=step, seconds=2.0 * step, loss=1 / step)


def run(n: int) -> list[StepRecord]:
    return [at(step) for step in range(1, n + 1)]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    bare = StepRecord(7, 14.0, 400.0, float("inf"), {}, 0.001)
    poor = replace(LOOK, step=7, fnmr_at_1_percent=None, is_best=False)
    with RunLog(tmp_path, ["triplet"]) as log:
        for record in (STEP, bare):
            log.step(record)
        for found in (LOOK, poor):
            log.validation(found)
    assert [vars_of(record) for record in read_steps(tmp_path)] == [vars_of(STEP), vars_of(bare)]
    assert read_validations(tmp_path) == (LOOK, poor)


def vars_of(record: StepRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__slots__}


def test_the_tables_are_plain_csv_with_a_header(tmp_path: Path) -> None:
    with RunLog(tmp_path, ["triplet", "arcface"]) as log:
        log.step(STEP)
        header, row = (tmp_path / "steps.csv").read_text().splitlines()  # written through while the run goes on
    assert header == (
        "step,seconds,rate_faces_s,loss,learning_rate,gradient_norm,active_share,positive_distance,negative_distance,"
        "effective_rank,least_variance,loss.triplet,loss.arcface"
    )
    assert row == "1,2,412.5,0.25,0.001,3.5,0.75,1,1.25,40.5,0.0001,0.25,"


def test_a_term_without_a_column_is_refused(tmp_path: Path) -> None:
    with RunLog(tmp_path, ["arcface"]) as log, pytest.raises(ValueError, match="no column for triplet"):
        log.step(STEP)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 80))
def test_a_resumed_log_is_that_of_an_unbroken_run_wherever_the_run_was_killed(
    tmp_path_factory: pytest.TempPathFactory, n_before: int, resumed_from: int, n_bytes_lost: int
) -> None:
    """Rows may be missing at the end, or cut short, but not those up to the checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    unbroken, broken = folder / "unbroken", folder / "broken"
    for each in (unbroken, broken):
        each.mkdir()
    resumed_from = min(resumed_from, n_before)
    written(unbroken, run(40))
    written(broken, run(n_before))
    kept = sum(map(len, (unbroken / "steps.csv").read_text().splitlines(keepends=True)[: resumed_from + 1]))
    with (broken / "steps.csv").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.truncate(max(kept, size - n_bytes_lost))
    written(broken, run(40)[resumed_from:], resumed_from)
    for name in ("steps.csv", "validation.csv"):
        assert (broken / name).read_bytes() == (unbroken / name).read_bytes()


def written(folder: Path, records: list[StepRecord], resumed_from: int | None = None) -> None:
    with RunLog(folder, ["triplet"], resumed_from) as log:
        for record in records:
            log.step(record)
            if record.step % 5 == 0:
                log.validation(replace(LOOK, step=record.step))


def test_a_new_run_does_not_go_on_with_an_old_log(tmp_path: Path) -> None:
    written(tmp_path, run(5))
    written(tmp_path, run(2))
    assert [record.step for record in read_steps(tmp_path)] == [1, 2]


def test_a_log_with_other_columns_is_refused(tmp_path: Path) -> None:
    written(tmp_path, run(3))
    with pytest.raises(TrainingError, match=r"steps.csv has other columns .* start a new run"):
        RunLog(tmp_path, ["arcface"], resumed_from=2)


def test_a_table_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot be written: No such file .* --resume"):
        CsvTable(tmp_path / "absent" / "steps.csv", ["step"])


def test_a_full_disk_is_told_when_the_row_is_written(tmp_path: Path) -> None:
    with CsvTable(tmp_path / "steps.csv", ["step"]) as table, Path("/dev/full").open("ab", buffering=0) as full:
        table._file.close()
        table._file = full
        with pytest.raises(TrainingError, match="cannot be written: No space left on device; free disk space"):
            table.add(["1"])


def test_there_is_nothing_to_read_before_anything_is_written(tmp_path: Path) -> None:
    assert read_steps(tmp_path) == ()
    assert read_table(tmp_path / "absent.csv") == []


def test_the_time_left_of_so_many_steps_follows_from_those_done_since_the_run_goes_on() -> None:
    time_left = RunTimeLeft(RunLength.of(LoopConfig(steps=1000)))
    late = replace(at(500), seconds=9000.0)  # the first part was slow
    assert time_left.left_s(late) is None
    assert time_left.left_s(replace(late, step=600, seconds=9050.0)) == pytest.approx(200.0)
    assert time_left.left_s(replace(late, step=1100, seconds=9300.0)) == 0


def test_the_time_left_of_so_many_minutes_is_known_at_once() -> None:
    length = RunLength.of(LoopConfig(minutes=20))
    assert RunTimeLeft(length).left_s(at(100)) == 1000
    assert length.share(300, 600.0) == 0.5
    assert length.share(900, 1800.0) == 1
    assert RunLength.of(LoopConfig(steps=400)).share(100, 0.0) == 0.25


WORK = """
from train.logging.progress import RunLength, live_progress
from train.logging.csv_log import StepRecord, ValidationRecord
with live_progress(RunLength(2000, None)) as live:
    for k in range(1, 11):
        live.step(StepRecord(k * 200, k * 10.0, 412.0, 0.5 / k, {}, 0.001))
        if k == 5:
            live.validation(ValidationRecord(1000, 50.0, 0.031, None, 4000, 200_000, True))
    live.say("the run is done [all of it]")
"""


def test_where_stderr_is_no_terminal_there_is_a_line_every_30_s_and_stdout_stays_clean() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, check=True, cwd=ROOT, text=True)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "step 200 of 2,000, 10 s: loss 0.5, 412 faces/s",
        "step 800 of 2,000, 40 s: loss 0.125, 412 faces/s, 1 min left",
        "step 1,000, people held out: EER 3.1% of 4,000 genuine and 200,000 impostor comparisons, the lowest so far",
        "step 1,400 of 2,000, 1 min 10 s: loss 0.07143, 412 faces/s, 30 s left",
        "step 2,000 of 2,000, 1 min 40 s: loss 0.05, 412 faces/s, 0 s left",
        "the run is done [all of it]",
    ]


def test_on_a_terminal_there_is_a_bar_that_ends_full_with_lines_above_it() -> None:
    shown = shown_on_a_terminal(WORK)
    assert "the lowest so far" in shown
    assert "the run is done [all of it]" in shown
    assert "step 2,000 of 2,000 ━━━━━━━━━━━━━━━━ loss 0.05, 412 faces/s, 0 s left, EER 3.1%" in shown


def test_all_but_the_first_process_are_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with no_live_progress() as live:
        live.step(STEP)
        live.validation(LOOK)
        live.say("anything")
    assert capfd.readouterr() == ("", "")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("n_steps", [1, 12, 400])
def test_curves_show_short_runs_and_long_ones(n_steps: int) -> None:
    looks = [replace(LOOK, step=step, eer=0.3 / step) for step in range(1, n_steps + 1, 5)]
    found = curves(run(n_steps), looks)
    assert found is not None
    drawn = pixels(found.png)
    assert drawn.shape == (1180, 1160, 3)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (drawn == colour).all(axis=2).sum() > 50
    assert "EER of people held out" in found.alt


def test_what_was_not_measured_has_no_panel() -> None:
    bare = [StepRecord(step, 2.0 * step, 400.0, 1 / step, {}, 0.001) for step in range(1, 9)]
    found = curves(bare, [])
    assert found is not None
    assert found.alt == "Training curves: loss, learning rate"
    assert pixels(found.png).shape == (420, 1160, 3)


def test_a_run_that_breaks_is_drawn_up_to_there() -> None:
    broken = [*run(8), replace(at(9), loss=float("nan")), replace(at(10), loss=float("inf"))]
    assert curves(broken, []) is not None
    assert curves([], []) is None


def test_several_terms_are_drawn_beside_their_sum() -> None:
    both = [replace(record, parts={"triplet": record.loss / 3, "arcface": 2 * record.loss / 3}) for record in run(9)]
    one, again, two = curves(run(9), []), curves(run(9), []), curves(both, [])
    assert one is not None
    assert again is not None
    assert two is not None
    assert one.png == again.png
    assert one.png != two.png


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(0, 20))
def test_a_smoothed_value_is_the_mean_of_its_neighbours(values: list[float], reach: int) -> None:
    expected = [np.mean(values[max(0, k - reach) : k + reach + 1]) for k in range(len(values))]
    assert smoothed(np.array(values), reach) == pytest.approx(expected, rel=1e-6, abs=1e-6)
