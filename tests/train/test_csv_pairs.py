"""Comparisons as a CSV file: photos, persons inferred from what is genuine, and how a wrong row is told."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from train.evaluation.protocols.csv_pairs import _people, _Row, read_csv
from train.evaluation.protocols.protocol import Protocol, ProtocolError

NAMES = "abcdefgh"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def read(folder: Path, *rows: str, header: str = "probe,reference,same") -> Protocol:
    table = folder / "pairs.csv"
    table.write_text("\n".join([header, *rows]))
    return read_csv(table, None)


def people(protocol: Protocol) -> dict[str, str]:
    return {photo.name[0]: photo.identity[0] for photo in protocol.photos}


def test_rows_are_read_in_their_order(images: Path) -> None:
    protocol = read(images, "b.jpg,a.jpg,1", "a.jpg,c.jpg,0")
    pairs = protocol.pairs
    assert pairs is not None
    assert (pairs.probe.tolist(), pairs.reference.tolist()) == ([1, 0], [0, 2])
    assert (pairs.same.tolist(), pairs.fold) == ([True, False], None)
    assert (protocol.name, protocol.face) == ("pairs.csv", "largest")


def test_columns_may_stand_in_any_order_and_fields_be_quoted(images: Path) -> None:
    (images / "a, b.jpg").touch()
    protocol = read(images, 'yes,"a, b.jpg", c.jpg', header="same, reference, probe")
    assert [photo.name for photo in protocol.photos] == ["a, b.jpg", "c.jpg"]


@pytest.mark.parametrize("between", [" ", "   ", "\t", " \t"])
@pytest.mark.parametrize("end", ["", "  ", "\t", "\r"])
def test_tabs_or_blanks_may_stand_for_commas(images: Path, between: str, end: str) -> None:
    rows = ["probe reference same", "b.jpg a.jpg 1", "a.jpg c.jpg 0"]
    header, *lines = [row.replace(" ", between) + end for row in rows]
    protocol = read(images, lines[0], "", lines[1], header=header)
    wanted = read(images, "b.jpg,a.jpg,1", "a.jpg,c.jpg,0")
    assert protocol.pairs is not None
    assert wanted.pairs is not None
    assert protocol.photos == wanted.photos
    assert protocol.pairs.probe.tolist() == wanted.pairs.probe.tolist()
    assert protocol.pairs.same.tolist() == wanted.pairs.same.tolist()


def test_between_tabs_and_commas_a_name_may_hold_blanks(images: Path) -> None:
    (images / "a b.jpg").touch()
    for between in ("\t", ","):
        rows = [between.join(fields) for fields in (("probe", "reference", "same"), ("a b.jpg", "c.jpg", "1"))]
        assert read(images, rows[1], header=rows[0]).photos[0].name == "a b.jpg"


def test_between_blanks_a_name_with_blanks_is_refused_with_its_line(images: Path) -> None:
    with pytest.raises(ProtocolError, match="line 3: has 4 fields, not 3; if a name contains blanks"):
        read(images, "a.jpg b.jpg 1", "a b.jpg c.jpg 1", header="probe reference same")


@pytest.mark.parametrize(("word", "same"), [("1", True), ("TRUE", True), ("Yes", True), ("0", False), ("no", False)])
def test_same_may_be_said_in_several_words(images: Path, word: str, same: bool) -> None:  # noqa: FBT001 - a case
    pairs = read(images, f"a.jpg,b.jpg,{word}").pairs
    assert pairs is not None
    assert pairs.same.tolist() == [same]


def test_photos_that_genuine_rows_join_are_one_person_and_every_other_is_its_own(images: Path) -> None:
    protocol = read(images, "c.jpg,b.jpg,1", "d.jpg,e.jpg,0", "a.jpg,b.jpg,1", "f.jpg,g.jpg,1")
    assert people(protocol) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "f", "g": "f"}


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1))
def test_persons_equal_a_plain_closure(joined: list[tuple[str, str]]) -> None:
    groups = [{name} for pair in joined for name in pair]
    for pair in joined:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if not group & set(pair)] + [set().union(*touched)]
    expected = {name: min(group) for group in groups for name in group}
    assert _people([_Row(k, *pair, same=True) for k, pair in enumerate(joined)]) == expected


def test_an_impostor_row_within_one_person_is_told(images: Path) -> None:
    with pytest.raises(
        ProtocolError, match=r"line 3: a\.jpg and c\.jpg are labelled as two persons, but as one by other lines"
    ):
        read(images, "a.jpg,b.jpg,1", "a.jpg,c.jpg,0", "b.jpg,c.jpg,1")


def test_paths_start_from_the_folder_given_or_else_from_that_of_the_file(images: Path) -> None:
    (images / "lists").mkdir()
    table = images / "lists" / "pairs.csv"
    table.write_text("probe,reference,same\na.jpg,b.jpg,1\n")
    assert [photo.path for photo in read_csv(table, images).photos] == [images / "a.jpg", images / "b.jpg"]
    with pytest.raises(ProtocolError, match=r"there is no a\.jpg in .*lists .missing: 2 of 2 photos"):
        read_csv(table, None)


def test_one_file_written_in_several_ways_is_one_photo(images: Path) -> None:
    ways = ["a.jpg", "./a.jpg", "x/../a.jpg", str(images / "a.jpg")]
    protocol = read(images, *(f"{way},b.jpg,1" for way in ways))
    assert [photo.name for photo in protocol.photos] == ["a.jpg", "b.jpg"]


def test_a_photo_elsewhere_keeps_its_whole_path_as_a_name(images: Path) -> None:
    (images / "list").mkdir()
    protocol = read(images / "list", f"../a.jpg,{images}/b.jpg,1")
    assert [photo.name for photo in protocol.photos] == [f"{images}/a.jpg", f"{images}/b.jpg"]


@pytest.mark.parametrize(
    "header", ["", "a.jpg,b.jpg,1", "probe,reference", "probe,reference,same,score", "probe;reference;same"]
)
def test_a_wrong_header_is_told(images: Path, header: str) -> None:
    with pytest.raises(ProtocolError, match="line 1: should name the columns probe,reference,same"):
        read(images, "a.jpg,b.jpg,1", header=header)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,b.jpg", "has 2 fields, not 3"),
        ("a.jpg,b.jpg,1,1", "has 4 fields, not 3"),
        ("a.jpg,,1", "should name two photos"),
        ("a.jpg,a.jpg,1", "should name two photos"),
        ("a.jpg,b.jpg,maybe", "same should be 1 or 0 .*, not 'maybe'"),
        ("a.jpg,b.jpg,", "same should be 1 or 0"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(images: Path, row: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=f"pairs.csv, line 4: {reason}"):
        read(images, "a.jpg,b.jpg,1", "", row)


def test_a_file_without_rows_or_that_is_no_csv_is_told(images: Path) -> None:
    with pytest.raises(ProtocolError, match="lists no comparison"):
        read(images)
    with pytest.raises(ProtocolError, match="is not a CSV file"):
        read(images, "a" * 200_000)


@given(st.permutations(["a.jpg,b.jpg,1", "c.jpg,b.jpg,1", "c.jpg,d.jpg,0", "e.jpg,f.jpg,1"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_rows_changes_no_person(images: Path, rows: list[str]) -> None:
    assert people(read(images, *rows)) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "e"}
