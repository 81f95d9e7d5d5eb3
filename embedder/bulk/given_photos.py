"""Photos wherever the user has them: folders, files, lists, tar archives, Parquet files; here or on object stores."""

import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import IO, NoReturn

from pyarrow import fs

from ..errors import ImageTooLarge, printable
from ..image import Limits
from ..image_formats import is_named_as_photo
from ..photo_files import PhotoFiles, image_file
from .output import BulkError
from .parquet_images import ParquetImages
from .sources import LocalPhotos, PhotoSource, ReadPhoto, entry, name_of
from .stores import (
    StoreAddress,
    StoreFailure,
    is_address,
    listed,
    local_or_address,
    opened,
    read_object,
    read_range,
)
from .tar_members import DamagedTar, members

TAR, PARQUET = ".tar", ".parquet"
MAX_LINE = 2**14  # bytes of a name in a list
AT_ONCE = 8  # photos that a worker fetches at the same time: a store answers slowly, but many requests at once
OUTAGE = 8  # a run ends if every photo of a batch of at least so many fails for the store


def photo_source(words: Sequence[str], lists: Sequence[str] = ()) -> PhotoSource:
    """The photos in what the user names: `words` may be folders, `lists` are files with a name on each line.

    Raises BulkError if an address cannot be used.
    """
    places = [local_or_address(word) for word in words]
    if not lists and not any(isinstance(place, StoreAddress) or _is_archive(place) for place in places):
        return LocalPhotos.of([Path(str(place)) for place in places])
    (prefix,) = places if len(places) == 1 and not lists else (None,)
    alone = prefix if isinstance(prefix, StoreAddress) and _is_folder(prefix) else None
    return GivenPhotos(tuple(places), tuple(map(local_or_address, lists)), os.path.abspath(""), alone)  # noqa: PTH100 - a string: names are joined to it


@dataclass(frozen=True, slots=True)
class GivenPhotos:
    """Photos in places of any kind. Of archives, a name is that of the archive, / or #, and the member or row."""

    given: tuple[str | StoreAddress, ...]
    lists: tuple[str | StoreAddress, ...]
    working_folder: str  # of the command: a worker may have another one
    prefix: StoreAddress | None  # names are relative to it, if nothing else is given

    def names(self) -> "GivenNames":
        """List the photos."""
        return GivenNames(self)

    def read(self, entries: Sequence[str]) -> Iterator[ReadPhoto]:
        """Read photos, several at once from stores. Raises BulkError if a store fails for all of a batch."""
        failures: list[StoreFailure] = []
        for archive, group in groupby(entries, self._parquet_file):
            its = list(group)
            reads = self._rows(archive, its) if archive else self._photos(its)
            yield from (partial(_noting, failures, read) for read in reads)
        if len(failures) == len(entries) >= OUTAGE:
            raise BulkError(f"of {len(entries)} photos none could be read: {failures[-1]}")

    def place(self, name: str) -> str | StoreAddress:
        """Where a photo or an archive lies."""
        if self.prefix is not None:
            return self.prefix / name
        return StoreAddress.of(name) if is_address(name) else os.path.join(self.working_folder, name)  # noqa: PTH118 - not normalised

    def _parquet_file(self, listed_as: str) -> str:
        """The name of the Parquet file of a photo; "" for others."""
        kind, size, _ = f"{_place_in(listed_as)}::".split(":", 2)
        return listed_as[: int(size)] if kind == "row" else ""

    def _rows(self, archive: str, entries: Sequence[str]) -> Iterator[ReadPhoto]:
        rows = [int(_place_in(each).rpartition(":")[2]) for each in entries]
        with ExitStack() as stack:
            try:
                images = ParquetImages(stack.enter_context(opened(self.place(archive))))
            except OSError as error:
                yield from [partial(_raise, error)] * len(rows)
                return
            yield from (partial(images.image, row, Limits().max_bytes) for row in rows)

    def _photos(self, entries: Sequence[str]) -> Iterator[ReadPhoto]:
        reads = [self._photo(each) for each in entries]
        is_remote = any(isinstance(self.place(name_of(each)), StoreAddress) for each in entries)
        return _fetched(reads) if is_remote else iter(reads)

    def _photo(self, listed_as: str) -> ReadPhoto:
        name, (kind, _, rest) = name_of(listed_as), _place_in(listed_as).partition(":")
        if kind == "failed":
            return partial(_raise, OSError(errno.EINVAL, rest))
        if kind == "tar":
            length, offset, size = map(int, rest.split(":"))
            return partial(_member, self.place(name[:length]), offset, size)
        place = self.place(name)
        if isinstance(place, StoreAddress):
            return partial(read_object, place, Limits().max_bytes)
        return partial(image_file, Path(place))


def _place_in(listed_as: str) -> str:
    return listed_as.rpartition("\0")[2] if "\0" in listed_as else ""


def _noting(failures: list[StoreFailure], read: ReadPhoto) -> bytes:
    try:
        return read()
    except StoreFailure as error:
        failures.append(error)
        raise


def _raise(error: Exception) -> NoReturn:
    raise error


def _member(archive: str | StoreAddress, offset: int, size: int) -> bytes:
    if size > Limits().max_bytes:
        raise ImageTooLarge(size, Limits().max_bytes, "bytes")
    return read_range(archive, offset, size)


def _fetched(reads: Sequence[ReadPhoto]) -> Iterator[ReadPhoto]:
    """Read several at once, and give them in their order."""
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for read in reads:
            waiting.append(pool.submit(read))
            if len(waiting) >= AT_ONCE:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result


def _is_archive(place: str | StoreAddress) -> bool:
    if isinstance(place, StoreAddress):
        return place.key.lower().endswith((TAR, PARQUET))
    return place.lower().endswith((TAR, PARQUET)) and not Path(place).is_dir()


def _is_folder(address: StoreAddress) -> bool:
    """Whether an address is that of a folder; a store cannot tell it before its objects are listed."""
    return not (_is_archive(address) or is_named_as_photo(address.key) or "*" in _last(address))


def _last(address: StoreAddress) -> str:
    return address.key.rpartition("/")[2]


class GivenNames:
    """The entries of photos in places of any kind. Names of one folder at a time are in memory."""

    def __init__(self, source: GivenPhotos) -> None:
        self._source, self.n_others = source, 0

    def __iter__(self) -> Iterator[str]:
        """Yield the entries. Raises BulkError, PhotoListError."""
        self.n_others = 0
        given = self._source.given
        here = [Path(place) for place in given if isinstance(place, str) and not _is_archive(place)]
        others = [place for place in given if isinstance(place, StoreAddress) or _is_archive(place)]
        yield from self._counting(_in_local(here))
        for place in others:
            yield from self._counting(self._elsewhere(place))
        for file in self._source.lists:
            yield from self._counting(self._in_list(file))

    def _counting(self, found: Iterator[str | None]) -> Iterator[str]:
        for each in found:
            if each is None:
                self.n_others += 1
            else:
                yield each

    def _elsewhere(self, place: str | StoreAddress) -> Iterator[str | None]:
        """Yield the entries of an archive or of a place on a store, and None for what is not a photo by name."""
        if isinstance(place, StoreAddress) and "*" in _last(place):
            return self._in_matching(place)
        if not isinstance(place, StoreAddress) or _is_archive(place):
            return self._in_archive(str(place))
        if is_named_as_photo(place.key):
            return iter([str(place)])
        return self._in_folder(place, "" if self._source.prefix is not None else f"{str(place).rstrip('/')}/")

    def _in_folder(self, folder: StoreAddress, prefix: str) -> Iterator[str | None]:
        for each in _listed(folder):
            name = str(each.base_name)
            if name.startswith("."):
                yield None
            elif each.type == fs.FileType.Directory:
                yield from self._in_folder(folder / name, f"{prefix}{name}/")
            else:
                yield prefix + name if is_named_as_photo(name) else None

    def _in_matching(self, pattern: StoreAddress) -> Iterator[str | None]:
        folder = StoreAddress(pattern.scheme, pattern.bucket, pattern.key.rpartition("/")[0])
        names = [str(each.base_name) for each in _listed(folder) if each.type == fs.FileType.File]
        matching = [folder / name for name in names if fnmatchcase(name, _last(pattern))]
        if not matching:
            raise BulkError(f"{printable(str(pattern))}: no object there has such a name")
        for each in matching:
            yield from self._in_archive(str(each)) if _is_archive(each) else [str(each)]

    def _in_list(self, file: str | StoreAddress) -> Iterator[str | None]:
        for number, line in enumerate(_lines(file), 1):
            if not line:
                continue
            try:
                place = local_or_address(line)
            except BulkError as error:
                raise BulkError(f"line {number:,} of the list: {error}") from error
            yield from self._in_archive(str(place)) if _is_archive(place) else [str(place)]

    def _in_archive(self, name: str) -> Iterator[str | None]:
        is_tar = name.lower().endswith(TAR)
        try:
            with opened(self._source.place(name)) as file:
                yield from _in_tar(name, file) if is_tar else _in_parquet(name, file)
        except OSError as error:
            raise BulkError(f"{printable(name)}: cannot be read: {error.strerror or error}") from error
        except BulkError as error:
            raise BulkError(f"{printable(name)}: {error}") from error


def _in_local(paths: Sequence[Path]) -> Iterator[str | None]:
    files = PhotoFiles(paths, with_prefix=True)
    yield from files
    yield from [None] * files.n_others


def _in_tar(archive: str, file: IO[bytes]) -> Iterator[str | None]:
    try:
        for member in members(file):
            name = f"{archive}/{member.name}"
            if not is_named_as_photo(name) or name.rpartition("/")[2].startswith("."):
                yield None
            elif member.is_file:
                yield entry(name, f"tar:{len(archive)}:{member.offset}:{member.size}")
            else:
                yield entry(name, "failed:no regular file in the archive")
    except DamagedTar as error:
        yield entry(archive, f"failed:{error.strerror}")


def _in_parquet(archive: str, file: IO[bytes]) -> Iterator[str]:
    try:
        n_rows = ParquetImages(file).n_rows
    except StoreFailure:
        raise
    except OSError as error:
        yield entry(archive, f"failed:{error.strerror}")
        return
    yield from (entry(f"{archive}#{row}", f"row:{len(archive)}:{row}") for row in range(n_rows))


def _listed(folder: StoreAddress) -> list[fs.FileInfo]:
    try:
        return listed(folder)
    except OSError as error:
        raise BulkError(f"{printable(str(folder))}: cannot be listed: {error.strerror}") from error


def _lines(place: str | StoreAddress) -> Iterator[str]:
    """The lines of a list. Raises BulkError."""
    try:
        with opened(place) as file:
            yield from map(_line, count(1), iter(lambda: file.readline(MAX_LINE + 1), b""))
    except OSError as error:
        raise BulkError(f"{printable(str(place))}: cannot be read: {error.strerror}") from error


def _line(number: int, line: bytes) -> str:
    if len(line) > MAX_LINE or b"\0" in line:
        raise BulkError(f"line {number:,} of the list is no name of a photo: give a text file")
    return os.fsdecode(line.rstrip(b"\r\n"))
