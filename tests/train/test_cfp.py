"""CFP's lists of frontal and profile photos, on a small tree of the same shape."""

import shutil
from pathlib import Path

import pytest

from train.evaluation.protocols.cfp import CfpKind, read_cfp
from train.evaluation.protocols.protocol import Protocol, ProtocolError

PEOPLE = {"001": "001", "002": "005"}  # identity in the tree -> example


@pytest.fixture
def folder(tmp_path: Path, examples: Path) -> Path:
    """Two people; photo 1 and 2 frontal of the first, 3 and 4 of the second; profiles 1 and 2, one of each."""
    paths: dict[str, list[str]] = {"F": [], "P": []}
    for identity, example in PEOPLE.items():
        for kind, name, look in (
            ("frontal", "01", "neutral"),
            ("frontal", "02", "smiling"),
            ("profile", "01", "neutral"),
        ):
            target = tmp_path / "Data/Images" / identity / kind / f"{name}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(examples / f"{example}-{look}.jpg", target)
            paths[kind[0].upper()].append(f"../Data/Images/{identity}/{kind}/{name}.jpg")
    for letter, listed in paths.items():
        write(tmp_path / f"Protocol/Pair_list_{letter}.txt", [f"{k} {path}" for k, path in enumerate(listed, start=1)])
    for fold in range(1, 11):
        write(tmp_path / f"Protocol/Split/FF/{fold:02d}/same.txt", ["1,2"])
        write(tmp_path / f"Protocol/Split/FF/{fold:02d}/diff.txt", ["1,3", "4,2"])
        write(tmp_path / f"Protocol/Split/FP/{fold:02d}/same.txt", ["4,2"])
        write(tmp_path / f"Protocol/Split/FP/{fold:02d}/diff.txt", ["1,2"])
    return tmp_path


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())


def first_fold(protocol: Protocol) -> list[tuple[str, str, bool]]:
    pairs = protocol.pairs
    assert pairs is not None
    assert pairs.fold is not None
    names = [photo.name.removeprefix("Data/Images/") for photo in protocol.photos]
    chosen = [k for k in range(len(pairs.same)) if pairs.fold[k] == 0]
    return [(names[pairs.probe[k]], names[pairs.reference[k]], bool(pairs.same[k])) for k in chosen]


def test_frontal_photos_are_compared_with_frontal_ones(folder: Path) -> None:
    protocol = read_cfp("cfp-ff", folder)
    assert first_fold(protocol) == [
        ("001/frontal/01.jpg", "001/frontal/02.jpg", True),
        ("001/frontal/01.jpg", "002/frontal/01.jpg", False),
        ("002/frontal/02.jpg", "001/frontal/02.jpg", False),
    ]
    assert (protocol.name, protocol.face) == ("cfp-ff", "largest")


def test_frontal_photos_are_compared_with_profiles(folder: Path) -> None:
    assert first_fold(read_cfp("cfp-fp", folder)) == [
        ("002/frontal/02.jpg", "002/profile/01.jpg", True),
        ("001/frontal/01.jpg", "002/profile/01.jpg", False),
    ]


def test_there_are_ten_folds(folder: Path) -> None:
    pairs = read_cfp("cfp-ff", folder).pairs
    assert pairs is not None
    assert pairs.fold is not None
    assert pairs.fold.tolist() == [fold for fold in range(10) for _ in range(3)]


def test_the_person_is_the_folder_of_the_photo(folder: Path) -> None:
    assert [(photo.identity, photo.path) for photo in read_cfp("cfp-fp", folder).photos] == [
        ("001", folder / "Data/Images/001/frontal/01.jpg"),
        ("002", folder / "Data/Images/002/frontal/02.jpg"),
        ("002", folder / "Data/Images/002/profile/01.jpg"),
    ]


@pytest.mark.parametrize("line", ["../Data/Images/001/frontal/01.jpg", "1 01.jpg", "one ../a/b/c.jpg", ""])
def test_a_wrong_line_of_a_list_is_told(folder: Path, line: str) -> None:
    write(folder / "Protocol/Pair_list_F.txt", [line, "2 ../Data/Images/001/frontal/02.jpg"])
    with pytest.raises(ProtocolError, match=r"Pair_list_F\.txt, line 1: should be a number and a path"):
        read_cfp("cfp-ff", folder)


@pytest.mark.parametrize("line", ["1", "1,2,3", "1,x", "0,1", "1,5", "1 2"])
@pytest.mark.parametrize("kind", ["cfp-ff", "cfp-fp"])
def test_a_wrong_line_of_a_split_is_told(folder: Path, kind: CfpKind, line: str) -> None:
    split = folder / "Protocol/Split" / kind[-2:].upper() / "10"
    write(split / "diff.txt", ["1,1", line])
    with pytest.raises(ProtocolError, match=r"10/diff\.txt, line 2: should be the numbers of two photos"):
        read_cfp(kind, folder)


def test_a_profile_is_looked_up_among_the_profiles(folder: Path) -> None:
    write(folder / "Protocol/Split/FP/03/same.txt", ["3,3"])  # there is a third frontal photo, but no third profile
    with pytest.raises(ProtocolError, match=r"03/same\.txt, line 1"):
        read_cfp("cfp-fp", folder)


@pytest.mark.parametrize("part", ["Data", "Protocol"])
def test_a_folder_that_is_not_that_of_cfp_is_told(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(ProtocolError, match=f"there is no {part} in .*contains CFP's Data and Protocol"):
        read_cfp("cfp-ff", folder)


def test_a_missing_photo_or_list_is_told(folder: Path) -> None:
    (folder / "Protocol/Split/FF/07/diff.txt").unlink()
    with pytest.raises(ProtocolError, match=r"07/diff\.txt: cannot be read"):
        read_cfp("cfp-ff", folder)
    (folder / "Data/Images/002/profile/01.jpg").unlink()
    with pytest.raises(ProtocolError, match=r"there is no Data/Images/002/profile/01\.jpg"):
        read_cfp("cfp-fp", folder)
