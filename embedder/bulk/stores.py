"""Object stores: addresses such as s3://bucket/key; objects read, listed and written there, by pyarrow.

Credentials come from the environment or the machine's role, never from an address. A message of a store is not passed
on, because it may quote a request; only its code is.
"""

import ctypes
import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from ..errors import ImageTooLarge
from ..files import open_regular_file
from .output import WRITER_FILE, BulkError, LocalFolder, OutputFolder

ATTEMPTS = 4  # of a request to s3://, with growing pauses between them
CONNECT_S, ANSWER_S = 5, 30  # an attempt fails if no byte comes for so long
RETRIES_S = 20  # of gs://, whose client counts time instead of attempts
READ_AHEAD = 2**20  # bytes of an object that is read from start to end
PIECE = 2**23  # bytes of a file that is sent
SECRETS_HELP = "credentials come from the environment or the machine's role (docs/bulk.md)"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UNAVAILABLE = re.compile(  # codes of a store that may answer later; others, such as ACCESS_DENIED, are about an object
    r"NETWORK_CONNECTION|INTERNAL|UNAVAILABLE|SLOW_DOWN|THROTTL|TIMEOUT|EXPIRED|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED"
    r"|ABORTED|HTTP status (?:5\d\d|408|429)"
)
_CODE = re.compile(r"(?:AWS Error |google::cloud::Status\()(\w+(?: \(HTTP status \d+\))?)")


def is_address(word: str) -> bool:
    """Whether a word is an address, not a path."""
    return "://" in word


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A place on an object store: a bucket, and a key or the start of keys."""

    scheme: str  # s3 or gs
    bucket: str
    key: str  # without a slash at its start

    @classmethod
    def of(cls, text: str) -> "StoreAddress":
        """Take an address apart that was checked before."""
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        return cls(scheme, bucket, key)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> "StoreAddress":
        return StoreAddress(self.scheme, self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    @property
    def path(self) -> str:
        """Bucket and key, as pyarrow takes them."""
        return f"{self.bucket}/{self.key}".rstrip("/")


def local_or_address(word: str) -> str | StoreAddress:
    """A path or an address that the user gives; file:// is a path. Raises BulkError, which does not show the word."""
    if not is_address(word):
        return word
    address = StoreAddress.of(word)
    scheme = address.scheme.lower()
    if scheme not in {"s3", "gs", "file"}:
        raise BulkError(f"{scheme if scheme.isalnum() else 'an address'}: only s3://, gs:// and file:// can be used")
    is_bucket = address.bucket in {"", "localhost"} if scheme == "file" else _BUCKET.fullmatch(address.bucket)
    if not is_bucket:
        raise BulkError(f"an address has a user, a password or no valid bucket: give s3://bucket/..., {SECRETS_HELP}")
    if "?" in word:
        raise BulkError(f"an address with ? is not taken, for it may be signed; {SECRETS_HELP}")
    return f"/{unquote(address.key)}" if scheme == "file" else StoreAddress(scheme, address.bucket, address.key)


@cache
def file_system(scheme: str, bucket: str) -> fs.FileSystem:
    """The store of a bucket, by the settings of the environment. Raises BulkError, OSError."""
    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=RETRIES_S))
    if "AWS_ACCESS_KEY_ID" in os.environ:  # else the SDK asks the machine's role at a fixed address, and waits for it
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    endpoint = _endpoint(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        scheme=endpoint.scheme if endpoint else None,
        endpoint_override=endpoint.netloc if endpoint else None,
        allow_delayed_open=True,  # a small object is then one request, whole or not at all
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        connect_timeout=CONNECT_S,
        request_timeout=ANSWER_S,
    )


def _endpoint(given: str | None) -> SplitResult | None:
    """The store that AWS_ENDPOINT_URL names, None for Amazon's. Raises BulkError, which does not show it."""
    if not given:
        return None
    try:
        endpoint = urlsplit(given)
    except ValueError:
        endpoint = urlsplit("")
    if "@" in endpoint.netloc:
        raise BulkError(f"AWS_ENDPOINT_URL has a user or a password; {SECRETS_HELP}")
    has_more = endpoint.path.strip("/") or endpoint.query or endpoint.fragment
    if endpoint.scheme not in {"http", "https"} or not endpoint.netloc or has_more:
        raise BulkError("AWS_ENDPOINT_URL must be http://HOST:PORT or https://HOST, without a path")
    return endpoint


class StoreFailure(BulkError, OSError):
    """A store refused, or did not answer as it should at every attempt. For a single photo it does not end a run."""

    def __str__(self) -> str:
        return f"{self.strerror}; run it again when the store answers: completed work is kept"


class StoreUnavailable(StoreFailure):
    """It did not answer at any attempt, or with an error of its own; it may answer later."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Replace what a store says by its code. Raises FileNotFoundError, StoreFailure."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object") from None
    except (OSError, pa.ArrowException) as error:
        found = _CODE.search(str(error))
        code = found[1] if found else type(error).__name__
        kind = StoreUnavailable if _UNAVAILABLE.search(code) else StoreFailure
        raise kind(errno.EIO, f"the store refused, or failed at every attempt: {code}") from None


class RemoteFile(RawIOBase):
    """An object, read at any place by requests for ranges. Threads may share it, for `read_at`."""

    def __init__(self, address: StoreAddress) -> None:
        with plain_errors():
            self._file = file_system(address.scheme, address.bucket).open_input_file(address.path)
            self.size: int = self._file.size()
        self._at = 0

    def read_at(self, n_bytes: int, offset: int) -> bytes:
        """Read up to `n_bytes`; fewer only at the end. Raises OSError."""
        with plain_errors():
            data: bytes = self._file.read_at(n_bytes, offset)
        return data

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def seekable(self) -> bool:
        """It can be read at any place."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read the next bytes. Raises OSError."""
        data = self.read_at(len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Let the object go."""
        self._file.close()
        super().close()


def opened(place: str | StoreAddress) -> IO[bytes]:
    """Open a regular file or an object, to be read at any place. Raises OSError."""
    return (
        BufferedReader(RemoteFile(place), READ_AHEAD) if isinstance(place, StoreAddress) else open_regular_file(place)
    )


def read_object(address: StoreAddress, max_bytes: int) -> bytes:
    """Read a whole object. Raises OSError, and ImageTooLarge if it has more than `max_bytes`."""
    with RemoteFile(address) as file:
        if file.size > max_bytes:
            raise ImageTooLarge(file.size, max_bytes, "bytes")
        return _whole(file.read_at(file.size, 0), file.size)


def read_range(place: str | StoreAddress, offset: int, size: int) -> bytes:
    """Read a range of a regular file or an object. Raises OSError."""
    if isinstance(place, StoreAddress):
        return _whole(_kept_open(place).read_at(size, offset), size)
    with open_regular_file(place) as file:
        return _whole(os.pread(file.fileno(), size, offset), size)


_kept_open = lru_cache(maxsize=4)(RemoteFile)  # to open one costs a request


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise OSError(errno.EIO, f"it ends after {len(data):,} of {size:,} bytes")
    return data


def listed(folder: StoreAddress, *, allow_missing: bool = False) -> list[fs.FileInfo]:
    """The objects and folders directly in a folder, by name. Raises OSError."""
    selector = fs.FileSelector(folder.path, allow_not_found=allow_missing)
    with plain_errors():
        found = file_system(folder.scheme, folder.bucket).get_file_info(selector)
    return sorted(found, key=lambda each: str(each.base_name))


class StoreFolder:
    """The output folder of a run on an object store.

    A store has no locks. Each run leaves its mark before its first write, and looks for it before each further one: the
    run that began last goes on, and an earlier one stops. To remove a file is to write.
    """

    def __init__(self, address: StoreAddress) -> None:
        self._address, self._mark, self._is_begun = address, secrets.token_hex(16).encode(), False

    def __str__(self) -> str:
        return str(self._address)

    def names(self) -> set[str]:
        """The names of all objects in it. Raises BulkError."""
        with self._raising("listed"):
            return {str(each.base_name) for each in listed(self._address, allow_missing=True)}

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name. Raises BulkError."""
        with self._raising("read"), plain_errors():
            return bool(self._store.get_file_info((self._address / name).path).type != fs.FileType.NotFound)

    def open(self, name: str) -> IO[bytes]:
        """Open an object. Raises OSError."""
        return opened(self._address / name)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a whole object. Raises OSError."""
        with opened(self._address / name) as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes")
        return data

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file without a name on this machine, which is sent at the end. Raises BulkError."""
        with self._raising("written"), tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            self._send(name, file)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole object. Raises BulkError."""
        self._send(name, BytesIO(content))

    def remove(self, name: str) -> None:
        """Remove an object, if there is one. Raises BulkError."""
        if self.exists(name):
            self._begin_or_stop()
            with self._raising("removed"), plain_errors():
                self._store.delete_file((self._address / name).path)

    @contextmanager
    def sole_use(self) -> Iterator[None]:
        """Nothing is locked; `write` and `new` raise BulkError once another run has begun."""
        yield

    @property
    def _store(self) -> fs.FileSystem:
        return file_system(self._address.scheme, self._address.bucket)

    def _send(self, name: str, file: IO[bytes]) -> None:
        self._begin_or_stop()
        with self._raising("written"):
            self._put(name, file)

    def _begin_or_stop(self) -> None:
        """Leave the mark of this run, or look for it. Raises BulkError if another run has begun since."""
        with self._raising("written"):
            if not self._is_begun:
                self._put(WRITER_FILE, BytesIO(self._mark))
                self._is_begun = True
            elif self.read(WRITER_FILE, len(self._mark)) != self._mark:
                raise BulkError(f"{self}: another run has begun to write there; this one stops")

    def _put(self, name: str, file: IO[bytes]) -> None:
        with plain_errors():
            stream = self._store.open_output_stream((self._address / name).path)
            try:
                shutil.copyfileobj(file, stream, PIECE)
            except BaseException:  # Ctrl-C too
                _abandon(stream)
                raise
            stream.close()

    @contextmanager
    def _raising(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BulkError(
                f"{self}: cannot be {what}: {error.strerror}; mend it or choose another --out, and run it again: "
                "completed work is kept"
            ) from error


def _abandon(stream: pa.NativeFile) -> None:
    """Never close a stream. pyarrow cannot abort one: to close or free it publishes what was sent so far."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))  # it is not freed when the process ends either


def output_folder(word: str) -> OutputFolder:
    """The folder on this machine or on an object store that the user names. Raises BulkError."""
    place = local_or_address(word)
    return StoreFolder(place) if isinstance(place, StoreAddress) else LocalFolder(Path(place))
