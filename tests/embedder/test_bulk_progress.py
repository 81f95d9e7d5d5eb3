"""How far a bulk run says it is."""

import pytest
from hypothesis import given, strategies as st

from embedder.bulk import progress
from embedder.bulk.progress import Pace, duration, told_on_stderr


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_of_this_run_and_the_time_left_of_what_remains() -> None:
    clock = Clock()
    pace = Pace(1000, 400, clock)
    assert str(pace) == "400 of 1,000 photos"
    clock.now = 10.0
    pace.advance(100)
    assert str(pace) == "500 of 1,000 photos, 10.0 photos/s, 50 s left"


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock = Clock()
    pace = Pace(10_000, 0, clock)
    for _ in range(60):  # 10 minutes at 1 photo/s, then 10 at 2
        clock.now += 10
        pace.advance(10)
    assert pace.photos_s == pytest.approx(1)
    for _ in range(60):
        clock.now += 10
        pace.advance(20)
    assert pace.photos_s == pytest.approx(2)


@given(steps=st.lists(st.tuples(st.floats(0.001, 100), st.integers(0, 50)), min_size=1))
def test_the_rate_lies_between_the_slowest_and_the_quickest_step(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(10**6, 0, clock)
    for seconds, n_more in steps:
        clock.now += seconds
        pace.advance(n_more)
    rates = [n_more / seconds for seconds, n_more in steps]
    assert min(rates) * 0.999 <= pace.photos_s <= max(rates) * 1.001


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (200_000, "2 d 7 h")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_terminal_shows_a_bar_that_ends_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with told_on_stderr(100, 40) as advance:
        advance(60)
    told = capsys.readouterr()
    assert told.out == ""
    assert "40 of 100 photos" in told.err
    assert "100 of 100 photos" in told.err
    assert "photos/s" in told.err


def test_where_there_is_no_terminal_lines_come_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with told_on_stderr(100, 0) as advance:
        advance(10)
    assert capsys.readouterr().err == ""  # it is too soon for one
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    with told_on_stderr(100, 0) as advance:
        advance(10)
    assert capsys.readouterr().err.startswith("visavis: 10 of 100 photos, ")
