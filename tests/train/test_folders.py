"""One folder per person, all against all; and the digest of the data of any protocol."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from embedder.image_formats import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.protocol import LabeledPhoto, PairList, Protocol, ProtocolError, data_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ann/2.jpg", "ann/1.JPG", "bo/1.png", "bo/notes.txt", "bo/.hidden.jpg", "README.md", ".git/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_photos_are_found_by_suffix_in_the_order_of_names(folder: Path) -> None:
    protocol = read_identities(folder)
    assert [(photo.name, photo.identity) for photo in protocol.photos] == [
        ("ann/1.JPG", "ann"),
        ("ann/2.jpg", "ann"),
        ("bo/1.png", "bo"),
    ]
    assert all(photo.path == folder / photo.name for photo in protocol.photos)
    assert (protocol.name, protocol.pairs, protocol.face) == (folder.name, None, "largest")


def test_other_files_are_counted_a_hidden_file_or_folder_as_one(folder: Path) -> None:
    (folder / "bo/gone.jpg").symlink_to(folder / "nowhere.jpg")
    assert read_identities(folder).n_other_files == 5  # notes.txt, .hidden.jpg, README.md, .git, gone.jpg


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, *UNREAD_SUFFIXES, ".TIFF", ".Jpg", ".JFIF", ".HEIC"])
def test_every_kind_of_image_is_found(folder: Path, suffix: str) -> None:
    (folder / f"bo/2{suffix}").touch()
    assert f"bo/2{suffix}" in [photo.name for photo in read_identities(folder).photos]


def test_a_photo_that_is_in_no_person_s_folder_is_refused(folder: Path) -> None:
    (folder / "stray.jpg").touch()
    with pytest.raises(ProtocolError, match=r"stray\.jpg: is not in a person.s folder; .*DIR/<person>/<photo>"):
        read_identities(folder)


def test_a_folder_in_a_person_s_folder_is_refused(folder: Path) -> None:
    (folder / "bo/frontal").mkdir()
    with pytest.raises(ProtocolError, match=r"bo/frontal: is a folder in a person's folder"):
        read_identities(folder)


def test_fewer_than_two_persons_are_refused(folder: Path) -> None:
    shutil.rmtree(folder / "bo")
    with pytest.raises(ProtocolError, match=r"photos of 1 were found; .*DIR/<person>/<photo>"):
        read_identities(folder)


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ProtocolError, match="absent: cannot be read: No such file"):
        read_identities(folder / "absent")


IMAGES = ["one", "two", "three", "four"]
PHOTOS = tuple(LabeledPhoto(Path(f"/x/{k}.jpg"), f"{k}.jpg", who) for k, who in enumerate("aabc"))


def pair_list(*rows: tuple[int, int, bool, int]) -> PairList:
    probe, reference, same, fold = zip(*rows, strict=True)
    return PairList(np.array(probe, np.int32), np.array(reference, np.int32), np.array(same), np.array(fold, np.int32))


ROWS = ((0, 1, True, 0), (1, 2, False, 0), (2, 3, False, 1))
LISTED = Protocol("listed", PHOTOS, pair_list(*ROWS), "largest")


def test_the_people_of_a_protocol_are_its_photos_all_against_all() -> None:
    people = people_of(LISTED)
    assert (people.photos, people.pairs, people.face) == (LISTED.photos, None, LISTED.face)


@given(st.permutations(range(4)), st.permutations(ROWS))
def test_the_digest_does_not_depend_on_the_order_of_reading(
    order: list[int], rows: list[tuple[int, int, bool, int]]
) -> None:
    moved = [(order.index(i), order.index(j), same, fold) for i, j, same, fold in rows]
    shuffled = replace(LISTED, photos=tuple(PHOTOS[k] for k in order), pairs=pair_list(*moved))
    assert data_digest(shuffled, [IMAGES[k] for k in order]) == data_digest(LISTED, IMAGES)


def test_the_digest_does_not_depend_on_where_the_photos_lie(tmp_path: Path, folder: Path) -> None:
    first, second = read_identities(folder), read_identities(Path(shutil.copytree(folder, tmp_path / "copy/of")))
    images = [photo.name for photo in first.photos]
    assert data_digest(first, images) == data_digest(second, images)
    assert data_digest(first, images).startswith("sha256:")


Alteration = Callable[[], str]


@pytest.mark.parametrize(
    "altered",
    [
        lambda: data_digest(LISTED, ["other", *IMAGES[1:]]),
        lambda: data_digest(replace(LISTED, photos=(replace(PHOTOS[0], identity="b"), *PHOTOS[1:])), IMAGES),
        lambda: data_digest(people_of(LISTED), IMAGES),
        lambda: data_digest(replace(LISTED, photos=PHOTOS[:3], pairs=pair_list(*ROWS[:2])), IMAGES[:3]),
        lambda: data_digest(replace(LISTED, pairs=pair_list(*ROWS[:2])), IMAGES),
        lambda: data_digest(replace(LISTED, pairs=pair_list(*ROWS, ROWS[0])), IMAGES),
        lambda: data_digest(replace(LISTED, pairs=pair_list(*ROWS[:2], (2, 3, True, 1))), IMAGES),
        lambda: data_digest(replace(LISTED, pairs=pair_list(*ROWS[:2], (2, 3, False, 0))), IMAGES),
        lambda: data_digest(replace(LISTED, pairs=pair_list(*ROWS[:2], (1, 3, False, 1))), IMAGES),
    ],
    ids=["image", "identity", "all", "fewer photos", "fewer pairs", "a pair twice", "same", "fold", "other pair"],
)
def test_the_digest_changes_with_whatever_is_measured(altered: Alteration) -> None:
    assert altered() != data_digest(LISTED, IMAGES)


def test_folds_are_not_the_same_as_none() -> None:
    assert LISTED.pairs is not None
    unfolded = replace(LISTED, pairs=replace(LISTED.pairs, fold=None))
    assert data_digest(unfolded, IMAGES) != data_digest(LISTED, IMAGES)


def test_links_to_themselves_and_to_other_people_are_counted_and_not_read(folder: Path) -> None:
    before = read_identities(folder)
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "aaa-also-bo").symlink_to(folder / "bo")
    after = read_identities(folder)
    assert [photo.name for photo in after.photos] == [photo.name for photo in before.photos]
    assert after.n_other_files == before.n_other_files + 2
