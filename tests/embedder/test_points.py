"""Which operating point is meant: by name, by rate, or by default; and what is said where there is none."""

import pytest
from hypothesis import given, strategies as st

from embedder import ModelCard, OperatingPoint, OperatingPointUnavailable
from embedder.weights.bundle import BUILT_IN, read_bundle
from embedder.weights.card import chosen_point

CARD = read_bundle(BUILT_IN).card
RATES = st.none() | st.floats(0, 1) | st.sampled_from([1e-2, 1e-3, 1e-4])


def card_of(*rates: float | None) -> ModelCard:
    """A card with a point of each false match rate; looser from point to point."""
    points = tuple(
        OperatingPoint(name=f"point-{place}", threshold=0.1 + place / 10, fmr=rate, fnmr=None, note="")
        for place, rate in enumerate(rates)
    )
    facts = {"operating_points": points, "default_point": points[0].name if points else None}
    return CARD.model_copy(update=facts)


def test_without_a_word_the_default_decides() -> None:
    assert chosen_point(CARD, None).name == CARD.default_point


@pytest.mark.parametrize("point", CARD.operating_points, ids=lambda point: point.name)
def test_every_point_is_found_by_its_name_and_by_its_own_rate(point: OperatingPoint) -> None:
    assert chosen_point(CARD, point.name) is point
    assert chosen_point(CARD, f"fmr={point.fmr}") is point


def test_a_point_that_was_not_measured_is_found_by_its_name_only() -> None:
    card = card_of(None)
    assert chosen_point(card, "point-0").fmr is None
    with pytest.raises(OperatingPointUnavailable):
        chosen_point(card, "fmr=1")


@given(st.lists(RATES, min_size=1, max_size=6), st.floats(0, 1, exclude_min=True))
def test_a_rate_gets_the_loosest_point_that_is_at_least_as_strict(rates: list[float | None], asked: float) -> None:
    card = card_of(*rates)
    fitting = [point for point in card.operating_points if point.fmr is not None and point.fmr <= asked]
    if not fitting:
        with pytest.raises(OperatingPointUnavailable):
            chosen_point(card, f"fmr={asked!r}")
        return
    found = chosen_point(card, f"fmr={asked!r}")
    assert found in fitting
    assert all(point.threshold <= found.threshold for point in fitting)


@pytest.mark.parametrize(
    "asked",
    [
        "strict",
        "",
        "fmr-1e-9",
        "fmr=1e-9",
        "fmr=",
        "fmr=abc",
        "fmr=nan",
        "fmr=0",
        "fmr=-1",
        "fmr=2",
        "fmr=inf",
        "FMR=1",
    ],
)
def test_what_there_is_not_is_refused_with_the_list_of_what_there_is(asked: str) -> None:
    with pytest.raises(OperatingPointUnavailable, match="name one, or use fmr=X") as caught:
        chosen_point(CARD, asked)
    assert caught.value.asked == asked
    assert caught.value.available == tuple(point.name for point in CARD.operating_points)
    assert f"'{asked}'" in str(caught.value)
    assert all(f"{point.name} (FMR {point.fmr:.3g})" in str(caught.value) for point in CARD.operating_points)


def test_a_rate_of_exactly_zero_is_no_question_even_where_no_false_match_was_seen() -> None:
    with pytest.raises(OperatingPointUnavailable):
        chosen_point(card_of(0.0), "fmr=0")


def test_odd_letters_of_a_long_name_are_told_escaped_and_cut_short() -> None:
    with pytest.raises(OperatingPointUnavailable) as caught:
        chosen_point(CARD, "\u202e" + "x" * 1000)
    assert "\\u202e" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("asked", [None, "fmr-1e-3", "fmr=1e-3"])
def test_a_card_without_points_says_how_to_get_some(asked: str | None) -> None:
    with pytest.raises(
        OperatingPointUnavailable, match="run visavis calibrate on your own photos, or set a threshold"
    ) as caught:
        chosen_point(card_of(), asked)
    assert (caught.value.asked, caught.value.available) == (asked, ())


def test_a_stricter_point_of_the_built_in_card_has_a_lower_threshold() -> None:
    points = sorted(CARD.operating_points, key=lambda point: point.fmr or 0)
    assert [point.threshold for point in points] == sorted({point.threshold for point in points})
