"""Whom the photos show: a folder per person, or a CSV file."""

from pathlib import Path

import pytest

from train.data.photos import read_source
from train.errors import DataError
from train.evaluation.protocols.protocol import ProtocolError


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def found(file: Path, images: Path | None = None) -> list[tuple[str, str]]:
    return [(photo.name, photo.identity) for photo in read_source(file, images).photos]


def test_a_folder_for_each_person_is_read_and_hidden_files_are_passed_over(people: Path) -> None:
    (people / "001/.hidden.jpg").touch()
    (people / ".thumbnails").mkdir()
    source = read_source(people)
    assert [photo.name for photo in source.photos[:2]] == ["001/001_0001.jpg", "001/001_0002.jpg"]
    assert (len(source.photos), source.folder) == (8, people.resolve())
    assert {photo.identity for photo in source.photos} == {each.name for each in people.iterdir()} - {".thumbnails"}


def test_photos_that_lie_in_no_person_s_folder_are_told(people: Path) -> None:
    (people / "stray.jpg").touch()
    with pytest.raises(ProtocolError, match=r"stray\.jpg: is not in a person.s folder; .*DIR/<person>/<photo>"):
        read_source(people)


def test_one_person_alone_is_told(people: Path) -> None:
    for person in sorted(people.iterdir())[1:]:
        person.rename(people.parent / person.name)
    with pytest.raises(ProtocolError, match="two persons are needed, but photos of 1 were found"):
        read_source(people)


def test_a_csv_names_image_and_identity_in_either_order(tmp_path: Path) -> None:
    expected = [("a/1.jpg", "ann"), ("b.png", "bo")]
    assert found(write(tmp_path, "image,identity\nb.png,bo\na/1.jpg,ann\n")) == expected
    assert found(write(tmp_path, "\ufeffidentity, image\r\nann,a/1.jpg\r\nbo,b.png\r\n\r\n")) == expected


def test_paths_in_a_csv_start_from_its_own_folder_or_the_one_given(tmp_path: Path) -> None:
    file = write(tmp_path, f"image,identity\na.jpg,ann\n{tmp_path}/photos/b.jpg,bo\n")
    assert [photo.path for photo in read_source(file).photos] == [tmp_path / "a.jpg", tmp_path / "photos/b.jpg"]
    images = tmp_path / "photos"
    assert [photo.path for photo in read_source(file, images).photos] == [images / "a.jpg", images / "b.jpg"]


def test_an_image_that_is_named_twice_in_a_csv_counts_once(tmp_path: Path) -> None:
    file = write(tmp_path, "image,identity\na.jpg,ann\n./x/../a.jpg,ann\nb.jpg,bo\n")
    assert found(file) == [("a.jpg", "ann"), ("b.jpg", "bo")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: should name the columns image,identity, not ''"),
        ("image,person\na,b\n", "line 1: should name the columns image,identity"),
        ("image,identity\na.jpg\n", "line 2: should name one image and one identity"),
        ("image,identity\na.jpg,ann\nb.jpg, \n", "line 3: should name one image"),
        ("image,identity\na.jpg,ann,x\n", "line 2: should name one image"),
        ("image,identity\na.jpg,ann\na.jpg,bo\n", r"line 3: assigns a\.jpg to bo, an earlier line to ann; correct"),
        ("image,identity\na.jpg,ann\n", "two persons are needed, but it names 1"),
    ],
)
def test_a_csv_that_leaves_it_open_who_a_person_is_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_source(write(tmp_path, text))


def test_a_csv_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"image,identity\n\xff\xfe,ann\n")
    with pytest.raises(ProtocolError, match="save it as UTF-8"):
        read_source(tmp_path / "list.csv")
    with pytest.raises(DataError, match="is not a CSV file"):
        read_source(write(tmp_path, f"image,identity\n{'x' * 200_000},ann\n"))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="absent: cannot be read: No such file"):
        read_source(tmp_path / "absent")
