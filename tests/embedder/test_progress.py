"""What long work shows on stderr: a bar on a terminal, lines elsewhere, the rate and the time left."""

import os
import pty
import subprocess
import sys
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from terminal import shown_on_a_terminal

from embedder import Job, TimeLeft, duration, no_progress, progress, show_progress
from embedder.progress import progress_text

ROOT = Path(__file__).parents[2]
WORK = """
from embedder import Job, show_progress
with show_progress(Job("embedding", 2000)) as advance:
    for _ in range(20):
        advance(100)
"""


def test_the_rate_is_of_this_run_and_the_time_left_of_what_remains() -> None:
    job, left = Job("embedding", 1000, n_done=400), TimeLeft(1000, 400, 0.0)
    assert str(job) == "embedding 600 photos"
    assert progress_text(job, 400, left) == "400 of 1,000 photos"
    left.update(500, 10.0)
    assert progress_text(job, 500, left) == "500 of 1,000 photos, 10.0 photos/s, 50 s left"


def test_the_rate_is_that_of_the_last_minute_or_of_all_the_time() -> None:
    of_late, of_all = TimeLeft(10_000, 0, 0.0), TimeLeft(10_000, 0, 0.0, over_s=inf)
    for second in range(10, 601, 10):  # 10 minutes at 1 photo/s, then 10 at 2
        for left in (of_late, of_all):
            left.update(second, second)
    assert of_late.rate == of_all.rate == pytest.approx(1)
    for second in range(10, 601, 10):
        for left in (of_late, of_all):
            left.update(600 + 2 * second, 600 + second)
    assert of_late.rate == pytest.approx(2)
    assert of_late.left_s == pytest.approx((10_000 - 1800) / 2)
    assert of_all.rate == pytest.approx(1.5)


@given(
    steps=st.lists(st.tuples(st.floats(0.001, 100), st.integers(0, 50)), min_size=1),
    over_s=st.sampled_from([60.0, inf]),
)
def test_the_rate_lies_between_the_slowest_and_the_quickest_step(steps: list[tuple[float, int]], over_s: float) -> None:
    now, n_done, left = 0.0, 0, TimeLeft(10**6, 0, 0.0, over_s)
    for seconds, n_more in steps:
        now, n_done = now + seconds, n_done + n_more
        left.update(n_done, now)
    rates = [n_more / seconds for seconds, n_more in steps]
    assert min(rates) * 0.999 <= left.rate <= max(rates) * 1.001


def test_however_often_it_is_updated_it_keeps_no_more_than_a_mark_a_second() -> None:
    left = TimeLeft(10**6, 0, 0.0)
    for step in range(1, 50_001):  # 250 s
        left.update(step, step / 200)
    assert left.rate == pytest.approx(200)
    assert len(left._marks) <= 62


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (3900.4, "1 h 5 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.fixture
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_terminal")
def test_where_stderr_is_no_terminal_there_is_one_line_at_first_and_stdout_stays_clean() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, check=True, cwd=ROOT, text=True)
    assert done.stdout == ""
    assert done.stderr == "embedding 2,000 photos\n"


@pytest.mark.usefixtures("_no_terminal")
def test_where_there_is_no_terminal_more_lines_come_now_and_then_and_one_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    with show_progress(Job("covering places of", 100, "faces", n_done=40)) as advance:
        advance(10)
    told = capsys.readouterr()
    first, *between, last = told.err.splitlines()
    assert first == "covering places of 60 faces"
    assert between[-1].startswith("visavis: 50 of 100 faces, ")
    assert last == "visavis: 60 faces in 0 s"
    assert told.out == ""


@pytest.mark.usefixtures("_no_terminal")
def test_of_work_that_was_finished_before_there_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(Job("embedding", 100, n_done=100)):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_that_begins_where_the_work_does_and_ends_full() -> None:
    shown = shown_on_a_terminal(WORK.replace("2000)", "2500, n_done=500)"))
    assert "500 of 2,500 photos" in shown
    assert "embedding ━━━━━━━━━━━━━━━━ 2,500 of 2,500 photos, " in shown
    assert "photos/s, 0 s left" in shown
    assert shown.rstrip("\r\n\x1b[?25h").count("\n") == 0


def test_a_terminal_that_cannot_redraw_a_line_gets_lines() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", WORK], stderr=theirs, check=True, cwd=ROOT, env=os.environ | {"TERM": "dumb"})
    os.close(theirs)
    assert os.read(ours, 100_000).decode().splitlines() == ["embedding 2,000 photos"]
    os.close(ours)


def test_without_rich_lines_show_the_progress() -> None:
    program = "import sys; sys.modules['rich'] = None; from embedder import Job, show_progress\n"
    program += "with show_progress(Job('embedding', 2)) as advance: advance(2)"
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stderr.splitlines() == ["embedding 2 photos"]


def test_no_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with no_progress(Job("embedding", 100)) as advance:
        advance(100)
    assert capsys.readouterr() == ("", "")
