"""How fast a run learns, and how far it is."""

import math

import pytest
from hypothesis import given, strategies as st

from train.learning.optimizer import factor
from train.run_file import ScheduleConfig

SHARES = st.floats(0, 1)
SCHEDULES = st.builds(
    ScheduleConfig,
    kind=st.sampled_from(["cosine", "poly", "constant"]),
    power=st.floats(0.5, 4),
    warm_up=st.floats(0, 0.9),
    last=st.floats(0, 1),
)


@given(SCHEDULES, SHARES)
def test_the_rate_is_never_more_than_full_and_never_nothing_before_the_end(
    schedule: ScheduleConfig, share: float
) -> None:
    assert 0 <= factor(schedule, share) <= 1
    assert factor(schedule, 0.0) > 0


@given(SCHEDULES, SHARES, SHARES)
def test_the_rate_never_rises_after_the_warm_up(schedule: ScheduleConfig, one: float, other: float) -> None:
    early, late = sorted(max(share, schedule.warm_up) for share in (one, other))
    assert factor(schedule, late) <= factor(schedule, early) + 1e-12


@given(SCHEDULES)
def test_the_warm_up_ends_at_the_full_rate_and_the_run_at_the_last(schedule: ScheduleConfig) -> None:
    assert factor(schedule, schedule.warm_up) == pytest.approx(1)
    assert factor(schedule, 1.0) == pytest.approx(1 if schedule.kind == "constant" else schedule.last)


def test_half_way_the_cosine_is_at_half_and_the_square_at_a_quarter() -> None:
    assert factor(ScheduleConfig(kind="cosine", warm_up=0, last=0), 0.5) == pytest.approx(0.5)
    assert factor(ScheduleConfig(kind="poly", power=2, warm_up=0, last=0), 0.5) == pytest.approx(0.25)
    assert factor(ScheduleConfig(kind="cosine", warm_up=0, last=0), 0.25) == pytest.approx(
        (1 + math.cos(math.pi / 4)) / 2
    )


def test_the_warm_up_rises_in_a_straight_line() -> None:
    schedule = ScheduleConfig(warm_up=0.2)
    assert [factor(schedule, share) for share in (0.05, 0.1, 0.15)] == pytest.approx([0.25, 0.5, 0.75])
