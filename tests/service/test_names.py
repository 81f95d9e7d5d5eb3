"""A name that no route knows is answered with the one that was probably meant."""

import pytest

from service.request_parsing import meant_by, shown, unknown_name

PAIR = ("probe", "reference", "face", "threshold", "operating_point", "prior", "quality")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("img1", "probe"),
        ("IMG2", "reference"),
        ("target_image", "reference"),
        ("refernce", "reference"),
        ("treshold", "threshold"),
        ("operating-point", "operating_point"),
        ("fmr", "operating_point"),
        ("references", "reference"),
        ("image", "probe"),
        ("enforce_quality", "quality"),
        ("QualityFilter", "quality"),
        ("xyz", None),
    ],
)
def test_the_names_of_others_and_slips_are_understood(name: str, meant: str | None) -> None:
    assert meant_by(name, PAIR) == meant


def test_what_is_meant_depends_on_the_route() -> None:
    assert meant_by("probe", ("image",)) == "image"
    assert meant_by("img1", ("image", "face")) == "image"


def test_an_unknown_name_is_shown_short_and_escaped() -> None:
    assert shown("x" * 1000) == "'" + "x" * 40 + "...'"
    assert "\n" not in unknown_name("part", "a\nb\u202e", PAIR)
    assert "probe, reference, face, threshold, operating_point, prior, quality" in unknown_name("part", "a", PAIR)
