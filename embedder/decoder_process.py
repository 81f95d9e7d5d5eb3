"""The processes that decode image files for a DecoderPool, and the messages between them and the pool.

A server loads the codecs once, and forks a worker whenever the pool asks for one. A worker reads a file from shared
memory and leaves the pixels there. What a codec prints is lost, and no core is dumped. The workers end with the server,
and the server with the pool's process.
"""

import ctypes
import gc
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import NamedTuple, NoReturn

from PIL import Image

from .errors import ImageError, ImageTooLarge, ImageTooSlow, ImageUnreadable, NotAnImage, OutOfMemory, VisavisError
from .image import Limits, decode_again, decode_image

MAX_MESSAGE = 4096  # bytes
READY, SPAWN = b"ready", b"spawn"  # messages from and to the server
NUMBER = struct.Struct("<q")
_REQUEST, _REPLY = struct.Struct("<3Q"), struct.Struct("<B5Q")
_DECODED, _UNRESERVED, _TOO_LARGE, _FAILED = range(4)
_ERRORS: dict[str, type[VisavisError]] = {
    each.code: each for each in (NotAnImage, ImageUnreadable, ImageTooSlow, OutOfMemory)
}


class DecodeRequest(NamedTuple):
    """What to do with the file in the shared memory."""

    n_bytes: int
    n_reserved: int  # pixels that may be decoded
    factor: int  # 0: decode as `decode_image` does; else decode again, at 1/factor

    def packed(self) -> bytes:
        """The message."""
        return _REQUEST.pack(*self)


class DecodedImage(NamedTuple):
    """The sizes of a photo, and of its picture, whose pixels are in the shared memory."""

    size: tuple[int, int]
    least_factor: int
    picture_size: tuple[int, int]

    def packed(self) -> bytes:
        """The message."""
        return _REPLY.pack(_DECODED, *self.size, self.least_factor, *self.picture_size)


class UnreservedError(Exception):
    """Nothing was decoded, because the photo has more pixels than were reserved."""

    def __init__(self, n_pixels: int) -> None:
        super().__init__(n_pixels)
        self.n_pixels = n_pixels


def decoded_image(reply: bytes) -> DecodedImage:
    """Read a worker's reply. Raises UnreservedError or the error that the worker met."""
    kind, *numbers = _REPLY.unpack_from(reply)
    text = reply[_REPLY.size :].decode(errors="replace")
    if kind == _DECODED:
        return DecodedImage((numbers[0], numbers[1]), numbers[2], (numbers[3], numbers[4]))
    if kind == _UNRESERVED:
        raise UnreservedError(numbers[0])
    if kind == _TOO_LARGE:
        raise ImageTooLarge(numbers[0], numbers[1], text, at_least=bool(numbers[2]))
    code, _, message = text.partition("\n")
    if code in _ERRORS:
        raise _ERRORS[code](*[message] if issubclass(_ERRORS[code], ImageError) else [])
    raise RuntimeError(f"decoding failed: {text!a}; this is a bug in visavis: please report it")


def _failed(error: Exception) -> bytes:
    """The reply that makes `decoded_image` raise the same error."""
    numbers, kind, text = [0] * 5, _FAILED, type(error).__name__
    if isinstance(error, UnreservedError):
        kind, numbers[0] = _UNRESERVED, error.n_pixels
    elif isinstance(error, ImageTooLarge):
        kind, numbers[:3], text = _TOO_LARGE, [error.size, error.limit, error.at_least], error.unit
    elif isinstance(error, VisavisError):
        text = f"{error.code}\n{error}"
    return _REPLY.pack(kind, *numbers) + text.encode(errors="replace")[: MAX_MESSAGE - _REPLY.size]


BYTES_PER_PIXEL = 4  # as Pillow keeps RGB
_LAYOUT = ("RGBX", 0, 1)  # Pillow's own, so that pixels are only copied
_BUFFER_BYTES = 2**16
_STRIP_PIXELS = 2**20  # read at a time, so that a large picture is not in memory twice


def write_pixels(picture: Image.Image, memory: int) -> None:
    """Write an RGB picture to the shared memory, a file descriptor."""
    os.lseek(memory, 0, os.SEEK_SET)
    encoder = Image._getencoder("RGB", "raw", _LAYOUT)  # noqa: SLF001 - `tobytes` copies the picture twice
    encoder.setimage(picture.im, (0, 0, *picture.size))
    encoder.encode_to_file(memory, _BUFFER_BYTES)


def read_pixels(size: tuple[int, int], memory: int, window: mmap) -> Image.Image:
    """Read an RGB picture of this size from the shared memory, whose beginning is mapped to `window`."""
    width, height = size
    if BYTES_PER_PIXEL * width * height <= len(window):
        return Image.frombytes("RGB", size, memoryview(window), "raw", *_LAYOUT)
    picture = Image.new("RGB", size)
    n_rows, row_bytes = max(1, _STRIP_PIXELS // width), BYTES_PER_PIXEL * width
    for top in range(0, height, n_rows):
        strip_size = (width, min(n_rows, height - top))
        strip = os.pread(memory, row_bytes * strip_size[1], row_bytes * top)
        picture.paste(Image.frombytes("RGB", strip_size, strip, "raw", *_LAYOUT), (0, top))
    return picture


_PR_SET_PDEATHSIG = 1
_MAX_FILES = 64  # open in a worker
_FREE_BYTES = 256 * 2**20  # of a worker's memory, for what does not grow with the picture
_BYTES_OF_PIXEL = 28  # the same, for each pixel; 20 were measured, of JPEG 2000 and of PNG with 16 bits a colour
_VICTIM = "500"  # of 1000: the system ends workers before other processes when memory is short


def main() -> None:
    """Serve the pool that has started this process."""
    control, *limits = map(int, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pool ends its processes, after the requests in progress
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_VICTIM, "ascii")
    Image.init()
    gc.freeze()  # collecting would copy the pages that workers share
    _serve(socket.socket(fileno=control), Limits(*limits))


def _serve(control: socket.socket, limits: Limits) -> None:
    """Until the pool's process closes its end: fork a worker for SPAWN, or end the worker with the given number."""
    workers: set[int] = set()
    control.send(READY)
    while True:
        message, files, _, _ = socket.recv_fds(control, MAX_MESSAGE, 2)
        if message == SPAWN:
            answer = _forked(control, files, limits)
            workers |= {answer} - {0}
        elif message:
            (pid,) = NUMBER.unpack(message)
            workers.remove(pid)
            answer = _ended(pid)
        else:
            break
        control.send(NUMBER.pack(answer))
    for pid in workers:
        _ended(pid)


def _ended(pid: int) -> int:
    """Kill a worker, unless it has ended already; returns its wait status."""
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _forked(control: socket.socket, files: list[int], limits: Limits) -> int:
    """Fork a worker with a connection and memory; returns its process id, or 0 if there is no memory for it."""
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        control.close()
        _become_worker(server, files, limits)
    for file in files:
        os.close(file)
    return max(pid, 0)


def _become_worker(server: int, files: list[int], limits: Limits) -> NoReturn:
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == server:  # it has not ended before the line above
            _work(socket.socket(fileno=files[0]), files[1], limits)
    finally:
        os._exit(0)


def _restricted(limits: Limits) -> VisavisError:
    """Bound what this process may use; returns the error of a picture that needs more memory."""
    file_bytes = max(limits.max_bytes, 2 * BYTES_PER_PIXEL * limits.max_pixels)
    memory_bytes = _own_bytes() + _FREE_BYTES + _BYTES_OF_PIXEL * limits.max_pixels
    bounds = {
        resource.RLIMIT_CORE: 1,  # unlike 0, it also keeps Linux from passing a dump to a program
        resource.RLIMIT_NOFILE: _MAX_FILES,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_AS: memory_bytes,
    }
    for kind, bound in bounds.items():
        hard = resource.getrlimit(kind)[1]
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (least, least))
    if resource.getrlimit(resource.RLIMIT_AS)[0] < memory_bytes:  # a bound of the whole service
        return OutOfMemory()
    return ImageTooSlow(
        f"decoding the image takes more than {memory_bytes / 2**20:,.0f} MiB of memory; save it as JPEG or PNG and "
        "send that"
    )


def _own_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()


def _work(requests: socket.socket, memory: int, limits: Limits) -> None:
    too_much = _restricted(limits)
    while message := requests.recv(MAX_MESSAGE):
        try:
            reply = _decoded(DecodeRequest(*_REQUEST.unpack(message)), memory, limits)
        except (MemoryError, OutOfMemory):
            reply = _failed(too_much)
        except Exception as error:  # noqa: BLE001 - raised in the pool's process
            reply = _failed(error)
        requests.send(reply)


def _decoded(request: DecodeRequest, memory: int, limits: Limits) -> bytes:
    data = os.pread(memory, request.n_bytes, 0)
    if request.factor:
        picture = decode_again(data, request.factor, limits)
        decoded = DecodedImage(picture.size, 1, picture.size)
    else:
        photo = decode_image(data, limits, partial(_require, request.n_reserved))
        picture = photo.smallest
        decoded = DecodedImage(photo.size, photo.least_factor, picture.size)
    write_pixels(picture, memory)
    return decoded.packed()


def _require(n_reserved: int, n_pixels: int) -> None:
    if n_pixels > n_reserved:
        raise UnreservedError(n_pixels)
