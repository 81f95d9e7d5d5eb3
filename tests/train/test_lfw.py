"""LFW's format, with and without folds: what is read from it, and how a wrong line is told."""

from pathlib import Path

import numpy as np
import pytest

from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol, ProtocolError

VIEW_1 = ["2", "Ann\t1\t2", "Ann\t1\t3", "Ann\t1\tBo\t1", "Bo\t1\tAnn\t3"]
VIEW_2 = ["2\t1", "Ann\t1\t2", "Ann\t1\tBo\t1", "Ann\t1\t3", "Bo\t1\tAnn\t3"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name, n_photos in (("Ann", 3), ("Bo", 1), ("Mary Ann", 2)):
        (folder / name).mkdir(parents=True)
        for k in range(1, n_photos + 1):
            (folder / name / f"{name}_{k:04d}.jpg").touch()
    return folder


def read(images: Path, lines: list[str], end: str = "\n") -> Protocol:
    pairs = images.parent / "pairs.txt"
    pairs.write_bytes("".join(line + end for line in lines).encode())
    return read_lfw(pairs, images)


def listed(protocol: Protocol) -> list[tuple[str, str, bool]]:
    assert protocol.pairs is not None
    names = [photo.name for photo in protocol.photos]
    columns = (protocol.pairs.probe, protocol.pairs.reference, protocol.pairs.same)
    return [(names[i], names[j], bool(same)) for i, j, same in zip(*columns, strict=True)]


def test_view_1_lists_genuine_then_impostor_comparisons(images: Path) -> None:
    protocol = read(images, VIEW_1)
    assert listed(protocol) == [
        ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", True),
        ("Ann/Ann_0001.jpg", "Ann/Ann_0003.jpg", True),
        ("Ann/Ann_0001.jpg", "Bo/Bo_0001.jpg", False),
        ("Bo/Bo_0001.jpg", "Ann/Ann_0003.jpg", False),
    ]
    assert protocol.pairs is not None
    assert protocol.pairs.fold is None
    assert (protocol.name, protocol.face) == ("pairs.txt", "center")


def test_each_photo_is_there_once_in_the_order_of_names_with_its_person(images: Path) -> None:
    photos = read(images, VIEW_1).photos
    assert [(photo.path, photo.identity) for photo in photos] == [
        (images / "Ann/Ann_0001.jpg", "Ann"),
        (images / "Ann/Ann_0002.jpg", "Ann"),
        (images / "Ann/Ann_0003.jpg", "Ann"),
        (images / "Bo/Bo_0001.jpg", "Bo"),
    ]


def test_view_2_has_both_kinds_in_every_fold(images: Path) -> None:
    pairs = read(images, VIEW_2).pairs
    assert pairs is not None
    assert pairs.fold is not None
    assert (pairs.fold.tolist(), pairs.same.tolist()) == ([0, 0, 1, 1], [True, False, True, False])


@pytest.mark.parametrize("end", ["\r\n", "  \n", "\t\n"])
def test_line_ends_make_no_difference(images: Path, end: str) -> None:
    assert listed(read(images, VIEW_1, end)) == listed(read(images, VIEW_1))


def test_blanks_may_stand_for_tabs(images: Path) -> None:
    assert listed(read(images, [line.replace("\t", "  ") for line in VIEW_1])) == listed(read(images, VIEW_1))


@pytest.mark.parametrize("between", [" ", "\t\t", " \t ", "\t "])
def test_blanks_and_tabs_may_be_mixed(images: Path, between: str) -> None:
    mixed = [line.replace("\t", between, 1) for line in VIEW_2]
    assert listed(read(images, mixed)) == listed(read(images, VIEW_2))


def test_a_name_with_blanks_between_blanks_is_refused_with_its_line_and_the_way_out(images: Path) -> None:
    for line, number in (("Mary Ann 1 2", 2), ("Mary Ann 1 Bo 1", 3)):
        lines = ["1", "Ann\t1\t2", "Ann\t1\tBo\t1"]
        lines[number - 1] = line
        with pytest.raises(
            ProtocolError, match=rf"line {number}: .*contains blanks, separate the fields by tabs.*{line}"
        ):
            read(images, lines)


def test_between_tabs_a_name_may_hold_blanks(images: Path) -> None:
    protocol = read(images, ["1", "Mary Ann\t1\t2", "Mary Ann\t1\tBo\t1"])
    assert listed(protocol)[0] == ("Mary Ann/Mary Ann_0001.jpg", "Mary Ann/Mary Ann_0002.jpg", True)


def test_another_image_format_is_taken_where_there_is_no_jpg(images: Path) -> None:
    (images / "Bo/Bo_0001.jpg").rename(images / "Bo/Bo_0001.png")
    assert listed(read(images, VIEW_1))[2][1] == "Bo/Bo_0001.png"


@pytest.mark.parametrize(
    ("number", "line", "expected"),
    [
        (1, "", "the number of comparisons"),
        (1, "two", "the number of comparisons"),
        (1, "1 4", "10 300"),  # a single fold has no other folds to choose a threshold on
        (1, "1 2 3", "10 300"),
        (2, "Ann\t1\tBo\t1", "name i j"),
        (2, "Ann\t1", "name i j"),
        (2, "Ann\tone\t2", "name i j"),
        (2, "Ann\t1\t1", "name i j"),
        (2, "", "name i j"),
        (3, "Ann\t1\t-2", "name i j"),
        (4, "Ann\t1\t2", "name i name j"),
        (4, "Ann\t1\tAnn\t2", "name i name j"),
        (5, "Bo 1 Ann three", "name i name j"),
        (5, "Bo 1 Ann " + "3" * 5000, "name i name j"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_and_what_it_should_be(
    images: Path, number: int, line: str, expected: str
) -> None:
    lines = [*VIEW_1[: number - 1], line, *VIEW_1[number:]]
    with pytest.raises(ProtocolError, match=f"pairs.txt, line {number}: should be .*{expected}"):
        read(images, lines)


@pytest.mark.parametrize("lines", [VIEW_1[:-1], [*VIEW_1, "Bo\t1\tAnn\t2"], ["3", *VIEW_1[1:]], ["2 2", *VIEW_1[1:]]])
def test_a_count_that_disagrees_with_the_first_line_is_told(images: Path, lines: list[str]) -> None:
    with pytest.raises(ProtocolError, match=rf"announces \d comparisons.* but {len(lines) - 1} lines follow"):
        read(images, lines)


def test_an_empty_file_and_one_without_comparisons_are_told(images: Path) -> None:
    with pytest.raises(ProtocolError, match="line 1: should be"):
        read(images, [])
    with pytest.raises(ProtocolError, match="lists no comparison"):
        read(images, ["0"])


def test_missing_photos_are_counted_and_one_is_named(images: Path) -> None:
    (images / "Bo/Bo_0001.jpg").unlink()
    with pytest.raises(ProtocolError, match=r"there is no Bo/Bo_0001\.jpg in .*images .missing: 1 of 4 photos.; give"):
        read(images, VIEW_1)
    (images / "Ann/Ann_0003.jpg").unlink()
    with pytest.raises(ProtocolError, match=r"no Ann/Ann_0003\.jpg in .*missing: 2 of 4 photos"):
        read(images, VIEW_1)


def test_a_list_that_cannot_be_read_is_told(images: Path) -> None:
    with pytest.raises(ProtocolError, match="No such file"):
        read_lfw(images / "absent.txt", images)
    (images / "latin.txt").write_bytes("1\nJos\u00e9 1 2".encode("latin-1"))
    with pytest.raises(ProtocolError, match="not UTF-8 text"):
        read_lfw(images / "latin.txt", images)


@pytest.mark.parametrize(("view", "n_of_kind", "n_photos"), [("Train", 1100, 3443), ("Test", 500, 1549)])
def test_the_official_view_1_is_read_whole(data: Path, view: str, n_of_kind: int, n_photos: int) -> None:
    folder = data / "lfw-view1"
    protocol = read_lfw(folder / f"pairsDev{view}.txt", folder / "lfw")
    assert protocol.pairs is not None
    assert np.bincount(protocol.pairs.same).tolist() == [n_of_kind, n_of_kind]
    assert len(protocol.photos) == n_photos
    people = protocol.identities
    assert ((people[protocol.pairs.probe] == people[protocol.pairs.reference]) == protocol.pairs.same).all()
