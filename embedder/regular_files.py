"""Read files that others may have made: regular ones only, and at most so many bytes of them."""

import errno
import os
import stat
from typing import BinaryIO


def open_regular_file(path: str | os.PathLike[str], *, follow_links: bool = True) -> BinaryIO:
    """Open a file to read. Raises OSError with a strerror, also if it is not a regular file.

    The opening of a FIFO or of a device would block, or act on the device. Without `follow_links`, a link is not a
    regular file either; those among the folders of the path are always followed.
    """
    no_link = 0 if follow_links else os.O_NOFOLLOW
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | no_link)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def read_regular_file(path: str | os.PathLike[str], max_bytes: int, *, follow_links: bool = True) -> bytes:
    """Read a file as `open_regular_file` opens it. Raises OSError, also if it has more than `max_bytes`."""
    with open_regular_file(path, follow_links=follow_links) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > max_bytes else file.read(size + 1)  # one more byte tells that it grows
    if max(size, len(data)) > max_bytes:
        raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes")
    return data
