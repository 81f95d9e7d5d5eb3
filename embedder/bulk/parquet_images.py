"""Parquet files with a column of images: bytes, or records with `bytes` as Hugging Face's datasets write them."""

import errno
import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from typing import IO

import pyarrow as pa
from pyarrow import parquet

from ..errors import ImageTooLarge, printable
from .output import BulkError

MAX_FOOTER = 2**26  # bytes; that of a file with 1,000 row groups has about 1 MB
ROWS = 4  # decoded at a time: 20 MiB each at most, where a writer stores equal ones once
READ_BYTES = 2**20  # at a time
IMAGE = "image"  # the column that is taken if there are several


class ParquetImages:
    """The images of a file, by row; quick if the rows are asked for in their order. One thread at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the footer. Raises BulkError if there is no one column of images, OSError if the file is damaged."""
        n_bytes = _require_small_footer(file)
        with _plain_errors():
            self._file = parquet.ParquetFile(file, pre_buffer=False, buffer_size=READ_BYTES)
            facts = self._file.metadata
            sizes = [facts.row_group(number).num_rows for number in range(facts.num_row_groups)]
        if min(sizes, default=0) < 0 or sum(sizes) > n_bytes:
            raise OSError(errno.EINVAL, f"{sum(sizes):,} rows in {n_bytes:,} bytes")
        self._column = _image_column(self._file.schema_arrow)
        self._starts: list[int] = [0, *accumulate(sizes)]
        self._group, self._next = -1, 0
        self._values: Iterator[pa.Buffer | None] = iter(())
        self._failure: OSError | None = None  # at a row of the group; what follows in it cannot be read either

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self._starts[-1]

    def image(self, row: int, max_bytes: int) -> bytes:
        """The image in a row. Raises OSError, and ImageTooLarge if it has more than `max_bytes`."""
        if row >= self.n_rows:  # the file was replaced after it was listed
            raise OSError(errno.EINVAL, f"the Parquet file has only {self.n_rows:,} rows")
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._next:
            self._group, self._next, self._values = group, self._starts[group], self._of_group(group)
            self._failure = None
        if self._failure is not None:  # to try again would read the group from its start, once for each row
            raise self._failure
        skipped, self._next = row - self._next, row + 1
        try:
            with _plain_errors():
                buffer = next(islice(self._values, skipped, None), None)
        except OSError as error:
            self._failure = error
            raise
        if buffer is None:
            raise OSError(errno.EINVAL, "the row has no image")
        if buffer.size > max_bytes:
            raise ImageTooLarge(buffer.size, max_bytes, "bytes")
        image: bytes = buffer.to_pybytes()
        return image

    def _of_group(self, group: int) -> Iterator[pa.Buffer | None]:
        batches = self._file.iter_batches(ROWS, row_groups=[group], columns=[self._column], use_threads=False)
        for batch in batches:
            (column,) = batch.columns
            values = column.field("bytes") if pa.types.is_struct(column.type) else column
            yield from (value.as_buffer() for value in values)


def _require_small_footer(file: IO[bytes]) -> int:
    """The size of a file whose footer has a bounded size. Raises OSError."""
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, n_bytes - 8))
    length, mark = file.read(4), file.read(4)
    if mark != b"PAR1":
        raise OSError(errno.EINVAL, "no Parquet file, or one that was cut off")
    if int.from_bytes(length, "little") > MAX_FOOTER:
        raise OSError(errno.EFBIG, f"its footer has more than {MAX_FOOTER:,} bytes")
    return n_bytes


def _image_column(schema: pa.Schema) -> str:
    """The path of the column of images. Raises BulkError."""
    found = {field.name: path for field in schema if (path := _path(field)) is not None}
    if IMAGE in found:
        return found[IMAGE]
    if len(found) != 1:
        names = ", ".join(printable(name) for name in (found or schema.names))
        raise BulkError(
            f"{'several columns' if found else 'no column'} with the bytes of images among {names:.500}; "
            f"name the column {IMAGE!r}"
        )
    return next(iter(found.values()))


def _path(field: pa.Field) -> str | None:
    if _is_bytes(field.type):
        return str(field.name)
    inside = field.type.get_field_index("bytes") if pa.types.is_struct(field.type) else -1
    return f"{field.name}.bytes" if inside >= 0 and _is_bytes(field.type.field(inside).type) else None


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except (pa.ArrowException, ValueError, MemoryError) as error:
        raise OSError(errno.EINVAL, f"the Parquet file is damaged ({type(error).__name__})") from None
