"""Photos in tar archives and Parquet files, sound, damaged and hostile ones."""

import io
import os
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from bulk_photos import read_all
from hypothesis import given, strategies as st
from pyarrow import parquet

from embedder import ImageTooLarge
from embedder.bulk import photo_source
from embedder.bulk.output import BulkError
from embedder.bulk.parquet_images import ROWS, ParquetImages
from embedder.bulk.sources import name_of
from embedder.bulk.tar_members import DamagedTar, members

LIMIT = 20 * 2**20
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def tar_of(*contents: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in contents:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@given(
    contents=st.dictionaries(
        st.text("aé/.", min_size=1, max_size=250).map(lambda name: f"x{name}y"), st.binary(max_size=1100), max_size=5
    ),
    form=st.sampled_from(FORMATS),
)
def test_members_are_those_that_the_standard_library_finds(contents: dict[str, bytes], form: int) -> None:
    try:
        data = tar_of(*contents.items(), form=form)
    except ValueError:  # a name that is too long for the format
        return
    found = list(members(io.BytesIO(data)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(each.name, each.offset_data, each.size) for each in archive]
    assert [(each.name, each.offset, each.size) for each in found] == expected
    assert [data[each.offset : each.offset + each.size] for each in found] == list(contents.values())


def test_images_of_an_archive_are_photos_by_its_name_and_theirs(tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    shard.write_bytes(tar_of(("a/1.jpg", b"one"), ("a/1.json", b"{}"), ("a/2.PNG", b"two"), (".hidden.jpg", b"-")))
    source = photo_source([str(shard)])
    assert read_all(source) == {f"{shard}/a/1.jpg": b"one", f"{shard}/a/2.PNG": b"two"}
    names = source.names()
    list(names)
    assert names.n_others == 2


def test_archives_folders_files_and_lists_can_be_given_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/deep").mkdir(parents=True)
    for name in ("photos/deep/a.jpg", "photos/b.png", "photos/notes.txt", "single.jpg", "listed"):
        Path(name).write_bytes(name.encode())
    Path("s.tar").write_bytes(tar_of(("m.jpg", b"member")))
    parquet.write_table(pa.table({"image": [b"row 0"]}), "p.parquet")
    Path("names.txt").write_text("listed\n\ngone.jpg\ns.tar\r\n")
    source = photo_source(["photos", "single.jpg", "p.parquet"], ["names.txt"])
    monkeypatch.chdir("/")  # a worker may be elsewhere
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    found = read_all(source)
    assert isinstance(found.pop("gone.jpg"), FileNotFoundError)
    assert found == {
        "photos/b.png": b"photos/b.png",
        "photos/deep/a.jpg": b"photos/deep/a.jpg",
        "single.jpg": b"single.jpg",
        "p.parquet#0": b"row 0",
        "listed": b"listed",
        "s.tar/m.jpg": b"member",
    }


def test_a_folder_within_another_one_is_entered_once_beside_an_archive_too(tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "deep" / "a.jpg").write_bytes(b"a")
    (tmp_path / "s.tar").write_bytes(tar_of(("m.jpg", b"member")))
    names = photo_source([str(tmp_path / each) for each in ("photos", "s.tar", "photos/deep")]).names()
    assert sorted(map(name_of, names)) == [f"{tmp_path}/photos/deep/a.jpg", f"{tmp_path}/s.tar/m.jpg"]
    assert names.n_others == 1


def link_to_a_photo() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return file.getvalue()


def test_links_and_devices_are_listed_as_failed_and_names_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "links.tar").write_bytes(link_to_a_photo())
    (tmp_path / "names.tar").write_bytes(tar_of(("../../up.jpg", b"up"), ("/etc/passwd.jpg", b"etc")))
    found = read_all(photo_source([str(tmp_path / "links.tar"), str(tmp_path / "names.tar")]))
    assert [str(each) for each in found.values() if isinstance(each, OSError)] == [
        "[Errno 22] no regular file in the archive"
    ] * 4
    assert [each for each in found.values() if isinstance(each, bytes)] == [b"up", b"etc"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links.tar", "names.tar"]


SOUND = tar_of(("1.jpg", b"1" * 700), ("2.jpg", b"2" * 700))


def header(kind: bytes, size: bytes) -> bytes:
    block = bytearray(tarfile.TarInfo("x.jpg").tobuf(tarfile.USTAR_FORMAT))
    block[156:157], block[124:136], block[148:156] = kind, size, b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def octal(size: int) -> bytes:
    return f"{size:011o}\0".encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends without an end mark"),
        (SOUND[:300], "ends without an end mark"),
        (SOUND[:1024], "700 bytes should follow, 512 do"),
        (SOUND[:1536], "ends without an end mark"),
        (SOUND[:1536] + b"\xff" * 512, "no header"),
        (SOUND[:1536] + b"abc" * 512, "no header"),
        (header(b"0", octal(2**33 - 1)), "should follow"),
        (header(b"0", b"\x80" + b"\xff" * 11), "should follow"),
        (header(b"0", b"\xff" * 12), "no header"),
        (header(b"0", b"-7".ljust(12, b"\0")), "no header"),
        (header(b"S", octal(0)), "sparse"),
        (header(b"L", octal(2**17)) + bytes(2**17), "a header of 131,072 bytes"),
        (header(b"x", octal(2**17)) + bytes(2**17), "a header of 131,072 bytes"),
        ((header(b"L", octal(512)) + b"n" * 512) * 1000, "more than 8 headers"),
        ((header(b"g", octal(512)) + b"n" * 512) * 1000, "more than 8 headers"),
        (header(b"x", octal(512)) + b"9" * 512 + SOUND, "attributes of a wrong length"),
        (header(b"x", octal(512)) + b"900 path=x".ljust(512, b"\0") + SOUND, "attributes of a wrong length"),
        (header(b"x", octal(512)) + b"0 path=x".ljust(512, b"\0") + SOUND, "attributes of a wrong length"),
        (header(b"x", octal(512)) + b"13 size=-700\n".ljust(512, b"\0") + SOUND, "attributes without a number"),
    ],
)
def test_a_damaged_archive_is_listed_as_failed_and_what_stands_before_the_damage_is_read(
    data: bytes, why: str, tmp_path: Path
) -> None:
    shard = tmp_path / "bad.tar"
    shard.write_bytes(data)
    found = read_all(photo_source([str(shard)]))
    assert why in str(found.pop(str(shard)))
    assert set(found) <= {f"{shard}/1.jpg"}
    assert (f"{shard}/1.jpg" in found) == (len(data) in (1536, 2048, 3072))


def test_every_cut_of_an_archive_is_noticed() -> None:
    end = 2 * (512 + 1024)
    for length in range(0, end + 512, 7):
        with pytest.raises(DamagedTar):
            list(members(io.BytesIO(SOUND[:length])))
    assert len(list(members(io.BytesIO(SOUND[: end + 512])))) == 2


def test_many_archives_within_one_are_other_files(tmp_path: Path) -> None:
    inner = tar_of(("x.jpg", b"x"))
    (tmp_path / "outer.tar").write_bytes(tar_of(*((f"{number}.tar", inner) for number in range(3000))))
    names = photo_source([str(tmp_path / "outer.tar")]).names()
    assert list(names) == []
    assert names.n_others == 3000


def test_a_member_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    shard = tmp_path / "huge.tar"
    with shard.open("wb") as file:
        file.write(header(b"0", octal(2**32)))
        file.truncate(2**32 + 2 * 512 + 512)
    tracemalloc.start()
    found = read_all(photo_source([str(shard)]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found[f"{shard}/x.jpg"], ImageTooLarge)
    assert peak < 2**22


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path) -> None:
    shard = tmp_path / "many.tar"
    with shard.open("wb") as file:
        file.writelines([header(b"0", octal(0))] * 5_000)
        file.write(bytes(1024))
    tracemalloc.start()
    n_photos = sum(1 for _ in photo_source([str(shard)]).names())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_photos == 5_000
    assert peak < 2**20


HUGGING_FACE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hugging_face(*images: bytes | None) -> pa.Table:
    rows = [{"bytes": image, "path": "x.jpg"} for image in images]
    return pa.table({"label": list(range(len(rows))), "image": pa.array(rows, HUGGING_FACE)})


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"id": [1, 2, 3], "jpg": [b"0", b"1", b"2"]}),
        pa.table({"image": pa.array([b"0", b"1", b"2"], pa.large_binary()), "mask": [b"-"] * 3}),
        hugging_face(b"0", b"1", b"2"),
    ],
    ids=["one column of bytes", "the column image", "hugging face"],
)
def test_each_row_of_a_parquet_file_is_a_photo_by_its_number(table: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    parquet.write_table(table, file, row_group_size=2)
    assert read_all(photo_source([str(file)])) == {f"{file}#{row}": b"%d" % row for row in range(3)}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_rows_are_found_in_any_order_and_row_groups_of_any_size(size: int, tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    parquet.write_table(hugging_face(*(b"%d" % row for row in range(20))), file, row_group_size=size)
    source = photo_source([str(file)])
    entries = list(source.names())
    order = [entries[row] for row in (5, 6, 19, 0, 7, 7, 3)]
    assert [read() for read in source.read(order)] == [b"5", b"6", b"19", b"0", b"7", b"7", b"3"]


def test_rows_that_are_gone_since_the_listing_fail_alone(tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    parquet.write_table(hugging_face(b"0", b"1", b"2"), file)
    source = photo_source([str(file)])
    entries = list(source.names())
    parquet.write_table(hugging_face(b"0"), file)
    found = [_outcome(read) for read in source.read(entries)]
    assert found == [b"0", "the Parquet file has only 1 rows", "the Parquet file has only 1 rows"]


def _outcome(read: Callable[[], bytes]) -> bytes | str | None:
    try:
        return read()
    except OSError as error:
        return error.strerror


def test_rows_without_an_image_or_with_a_large_one_fail_alone(tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    parquet.write_table(hugging_face(b"0", None, b"2" * (LIMIT + 1), b"3"), file)
    found = list(read_all(photo_source([str(file)])).values())
    assert (found[0], found[3]) == (b"0", b"3")
    assert "the row has no image" in str(found[1])
    assert isinstance(found[2], ImageTooLarge)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (pa.table({"name": ["a"], "label": [1]}), "no column with the bytes of images among name, label"),
        (pa.table({"left": [b"a"], "right": [b"b"]}), "several columns with the bytes of images among left, right"),
        (pa.table({"image": ["a.jpg"]}), "no column"),
    ],
)
def test_a_parquet_file_without_one_column_of_images_is_refused(table: pa.Table, why: str, tmp_path: Path) -> None:
    parquet.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(BulkError, match=why):
        list(photo_source([str(tmp_path / "p.parquet")]).names())


def sound_parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(hugging_face(*[os.urandom(300)] * 20), file, compression="none", use_dictionary=False)
    return file.getvalue()


def no_tail(data: bytes) -> bytes:
    return data[:-20]


def huge_footer(data: bytes) -> bytes:
    return data[:-8] + struct.pack("<I", 2**31) + b"PAR1"


def broken_footer(data: bytes) -> bytes:
    return data[:-300] + bytes(292) + data[-8:]


def empty(data: bytes) -> bytes:
    return data[:0]


@pytest.mark.parametrize("damage", [no_tail, huge_footer, broken_footer, empty])
def test_a_damaged_parquet_file_is_listed_as_failed(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    file.write_bytes(damage(sound_parquet()))
    ((name, error),) = read_all(photo_source([str(file)])).items()
    assert name == str(file)
    assert isinstance(error, OSError)


def test_damaged_pages_fail_row_by_row(tmp_path: Path) -> None:
    file, data = tmp_path / "p.parquet", bytearray(sound_parquet())
    data[100:2000] = bytes(1900)
    file.write_bytes(data)
    found = list(read_all(photo_source([str(file)])).values())
    assert len(found) == 20
    assert all(isinstance(each, OSError | bytes) for each in found)


class CountedFile(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


def test_what_follows_damage_in_a_row_group_is_not_looked_for_again() -> None:
    file, n_rows, n_bytes = io.BytesIO(), 64, 50_000
    table = pa.table({"image": [os.urandom(n_bytes) for _ in range(n_rows)]})
    parquet.write_table(table, file, compression="none", use_dictionary=False, data_page_size=1, write_batch_size=1)
    data = bytearray(file.getvalue())
    data[n_rows // 2 * n_bytes : (n_rows // 2 + 3) * n_bytes] = bytes(3 * n_bytes)  # some pages with their heads
    damaged = CountedFile(bytes(data))
    images = ParquetImages(damaged)
    found = [_outcome(partial(images.image, row, n_bytes)) for row in range(n_rows)]
    first = next(row for row, each in enumerate(found) if not isinstance(each, bytes))
    assert n_rows // 2 - ROWS <= first <= n_rows // 2
    assert set(found[first:]) == {found[first]}  # the reason
    assert damaged.n_read < 2 * len(data)
    assert images.image(0, n_bytes) == found[0]


@pytest.fixture
def list_file(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    def write(content: bytes) -> str:
        (tmp_path / "names.txt").write_bytes(content)
        return str(tmp_path / "names.txt")

    return write


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a.jpg\nb\0.jpg\n", "line 2 of the list is no name of a photo"),
        (b"x" * 2**15, "line 1 of the list is no name of a photo"),
        (b"a\n\nhttps://host/a.jpg?X-Amz-Signature=hush\n", "line 3 of the list: https: only s3://"),
        (b"s3://bucket/a.jpg?X-Amz-Signature=hush\n", "line 1 of the list: an address with [?]"),
        (b"s3://hush:hush@bucket/a.jpg\n", "line 1 of the list: an address has a user"),
    ],
)
def test_a_list_with_a_wrong_line_is_refused_and_the_line_not_shown(
    content: bytes, why: str, list_file: Callable[[bytes], str]
) -> None:
    with pytest.raises(BulkError, match=why) as raised:
        list(photo_source([], [list_file(content)]).names())
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "word",
    [
        "s3://key:hush@bucket/x",
        "s3://key:hu/sh@bucket/x",
        "gs://hush@bucket/x",
        "s3://bucket/x?secret_key=hush",
        "https://host/x?sig=hush",
        "file://hush:hush@host/x",
        "file://host/x",
        "hush:hush@x://y",
        "s3:///key",
    ],
)
def test_an_address_with_secrets_or_of_no_store_is_refused_and_not_shown(word: str) -> None:
    with pytest.raises(BulkError) as raised:
        photo_source([word])
    assert "hush" not in str(raised.value)


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "x.jpg").write_bytes(b"x")
    address = f"file://{tmp_path}/a%20b"
    assert read_all(photo_source([address])) == {"x.jpg": b"x"}
