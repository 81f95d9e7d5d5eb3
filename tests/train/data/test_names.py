"""When two names mean one person, and how a name is shown."""

import pytest
from hypothesis import given, strategies as st

from train.data.photos import same_name, shown

ANY_NAME = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: bytes that are no UTF-8


@pytest.mark.parametrize("name", ["Ann_Lee", "ann-lee", " ANN  lee", "Ann__Lee", "ann - lee_"])
def test_case_and_separators_make_no_other_person(name: str) -> None:
    assert same_name(name) == "ann lee"


@pytest.mark.parametrize(("one", "other"), [("Zoe\u0301", "ZO\u00c9"), ("Strasse", "Stra\u00dfe")])
def test_ways_of_writing_a_letter_make_no_other_person(one: str, other: str) -> None:
    assert same_name(one) == same_name(other)


def test_letters_make_another_person() -> None:
    assert len({same_name(name) for name in ("AnnLee", "Ann_Lee", "Ann", "Anne_Lee", "\udcff", "\udcfe")}) == 6


@given(ANY_NAME)
def test_any_name_can_be_shown_and_a_plain_one_is_shown_as_it_is(name: str) -> None:
    assert shown(name).isprintable()
    assert shown(name).encode().decode() == shown(name)
    if name.isprintable():
        assert shown(name) == name


def test_bytes_that_are_no_utf_8_are_shown_as_escapes() -> None:
    assert shown("Jos\udce9\n") == "Jos\\udce9\\n"
