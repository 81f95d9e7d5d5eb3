"""Which photos a bulk run takes, and in which order."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from embedder.image_formats import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from embedder.photo_files import PhotoFiles, PhotoListError, start_of


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_gives_its_images_by_their_names_from_it(tmp_path: Path) -> None:
    folder = touched(tmp_path / "a", "z.JPG", "b/two.png", "b/one.tiff", "notes.txt", ".hidden.jpg", ".trash/x.jpg")
    assert list(PhotoFiles([folder])) == ["b/one.tiff", "b/two.png", "z.JPG"]
    assert start_of([folder]) == folder


def test_what_is_no_photo_by_name_is_counted_whatever_is_hidden_as_one(tmp_path: Path) -> None:
    names = (
        "a.jpg",
        "notes.txt",
        "film.mp4",
        "IMG_1",
        ".DS_Store",
        ".trash/x.jpg",
        ".trash/y.jpg",
        "b/scan.pdf",
        "b/c.HEIC",
    )
    files = PhotoFiles([touched(tmp_path, *names)])
    for _ in range(2):  # a second time counts anew
        assert list(files) == ["a.jpg", "b/c.HEIC"]
        assert files.n_others == 6


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, *UNREAD_SUFFIXES, ".JFIF", ".Heic"])
def test_every_kind_of_photo_is_taken_also_those_that_cannot_be_read(tmp_path: Path, suffix: str) -> None:
    assert list(PhotoFiles([touched(tmp_path, f"x{suffix}")])) == [f"x{suffix}"]


def test_several_folders_and_files_give_names_that_lead_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a/x.jpg", "b/x.jpg", "photo.of-no-suffix")
    monkeypatch.chdir(tmp_path)
    given = [Path("b"), Path("a"), Path("photo.of-no-suffix")]
    names = list(PhotoFiles(given))
    assert names == ["b/x.jpg", "a/x.jpg", "photo.of-no-suffix"]
    assert all((start_of(given) / name).is_file() for name in names)


def test_links_are_followed_and_one_that_leads_back_is_entered_once(tmp_path: Path) -> None:
    touched(tmp_path, "all/a/x.jpg", "elsewhere/y.jpg")
    (tmp_path / "all" / "a" / "back").symlink_to(tmp_path / "all")
    (tmp_path / "all" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "all" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert list(PhotoFiles([tmp_path / "all"])) == ["a/x.jpg", "b/y.jpg", "gone.jpg"]


def test_a_link_to_itself_is_no_folder_and_does_not_end_the_listing(tmp_path: Path) -> None:
    touched(tmp_path, "x.jpg")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    files = PhotoFiles([tmp_path])
    assert list(files) == ["itself.jpg", "x.jpg"]
    assert files.n_others == 1


def test_links_between_folders_do_not_multiply(tmp_path: Path) -> None:
    for one in "abcdefgh":
        touched(tmp_path, f"{one}/{one}.jpg")
        for other in "abcdefgh":
            (tmp_path / one / f"to-{other}").symlink_to(tmp_path / other)
    files = PhotoFiles([tmp_path])
    assert sorted(name.rpartition("/")[2] for name in files) == [f"{each}.jpg" for each in "abcdefgh"]
    assert files.n_others == 8 * 8  # 72 ways into a folder, of which 8 lead into a new one


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoListError, match="no such file or folder"):
        list(PhotoFiles([tmp_path / "nothing"]))


@given(names=st.sets(st.text("abAB0-", min_size=1, max_size=4), max_size=6))
def test_the_order_does_not_depend_on_the_order_of_making(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    touched(one, *(f"{name}/x.jpg" for name in sorted(names)))
    touched(other, *(f"{name}/x.jpg" for name in sorted(names, reverse=True)))
    assert list(PhotoFiles([one])) == list(PhotoFiles([other]))
    assert len(list(PhotoFiles([one]))) == len(names)
