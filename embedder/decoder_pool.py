"""DecoderPool: decodes image files in processes of their own, which it can end. Linux only.

A file that takes too long, or that crashes its decoder, costs one process, which is replaced.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from mmap import PROT_READ, mmap
from pathlib import Path
from threading import Condition, Lock

from PIL import Image

from .deadline import begin_step, check_deadline
from .decoder_process import (
    MAX_MESSAGE,
    NUMBER,
    SPAWN,
    DecodedImage,
    DecodeRequest,
    UnreservedError,
    decoded_image,
    read_pixels,
)
from .errors import ImageTooLarge, ImageTooSlow, ImageUnreadable, OutOfMemory, RuntimeUnavailable
from .image import Limits, Photo

TIME_LIMIT_S = 10.0  # of a processor, for one decoding of an image; the slowest ordinary ones take a third of it
PATIENCE = 3  # so many times the limit may pass, if the processors are busy with other things
POLL_S = 0.1  # between two looks at the deadline
START_S = 60.0  # within which the server must be ready
ANSWER_S = 10.0  # within which the server must fork
KEPT_BYTES = 4 * 2**20  # of shared memory that a worker keeps
_TIMEVAL = struct.Struct("ll")  # seconds, microseconds
CLOSED = "this FaceEmbedder is closed: load the model again"
# Starts without `site` and without the main module of this process, but finds the same packages.
_COMMAND = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from embedder.decoder_process import main; main()"
_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2 * KEPT_BYTES),  # so that the memory of large pictures is given back
    "MALLOC_TRIM_THRESHOLD_": str(4 * KEPT_BYTES),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot fork safely
}


class DecoderPool:
    """A Decoder with up to `n_workers` processes, which start when they are needed. Thread-safe.

    Photos of more pixels than a quarter of `limits.max_pixels` wait for each other, until all that are in use have no
    more than `limits.max_pixels` together.
    """

    def __init__(self, limits: Limits, n_workers: int, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._limits, self._n_workers, self._time_limit_s = limits, n_workers, time_limit_s
        self._pixels = _PixelBudget(limits.max_pixels)
        self._changed = Condition()
        self._idle: list[_Worker] = []
        self._n_busy = 0
        self._is_closed = False
        self._server = _Server(limits)

    def require_started(self) -> None:
        """Wait until images can be decoded. Raises RuntimeUnavailable if they cannot."""
        self._server.require_ready()

    @contextmanager
    def __call__(self, image: bytes) -> Iterator[Photo]:
        """Decode as `decode_image` does; the photo may be used until the context ends.

        Raises its errors, ImageTooSlow and DeadlineExceeded.
        """
        if len(image) > self._limits.max_bytes:
            raise ImageTooLarge(len(image), self._limits.max_bytes, "bytes")
        n_pixels, photo = 0, None
        try:
            photo = self._photo(image, self._limits.large_pixels)
        except UnreservedError as large:
            n_pixels = large.n_pixels
        with self._pixels.held(n_pixels):
            yield photo or self._photo(image, n_pixels)

    def close(self) -> None:
        """End all processes and wait for them; images that are being decoded raise ValueError."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        self._server.close()
        for worker in idle:
            worker.end()

    def _photo(self, image: bytes, n_reserved: int) -> Photo:
        decoded, first = self._decode(image, DecodeRequest(len(image), n_reserved, factor=0))
        pictures = [first]

        def decode(factor: int) -> Image.Image:
            if pictures:
                return pictures.pop()
            return self._decode(image, DecodeRequest(len(image), n_reserved, factor))[1]

        return Photo(decoded.size, decode, least_factor=decoded.least_factor)

    def _decode(
        self, image: bytes, request: DecodeRequest, *, needs_new: bool = False
    ) -> tuple[DecodedImage, Image.Image]:
        """Decode in a worker; if one that had worked before was killed, perhaps while idle, then again in a new one."""
        begin_step()
        try:
            with self._worker(needs_new=needs_new) as worker:
                return worker.decode(image, request, self._time_limit_s)
        except TimeoutError:
            raise ImageTooSlow(
                f"decoding the image takes more than {self._time_limit_s:g} s; save it as JPEG or PNG and send that"
            ) from None
        except (EOFError, ConnectionError):
            lost = self._lost(worker.status)
            if isinstance(lost, OutOfMemory) and worker.n_decoded and not needs_new:
                return self._decode(image, request, needs_new=True)
            raise lost from None
        except OSError:  # no memory for the file, or no number for it
            raise OutOfMemory from None

    def _lost(self, status: int | None) -> Exception:
        """The reason why a worker ended by itself, from its wait status; None if the server has ended as well."""
        if self._is_closed:
            return ValueError(CLOSED)
        if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            return OutOfMemory()  # the system kills processes when memory is short
        return ImageUnreadable("the image is broken: its decoder crashed; save it as JPEG or PNG and send that")

    @contextmanager
    def _worker(self, *, needs_new: bool) -> Iterator["_Worker"]:
        """Lease a worker; it is replaced later unless it is ready for the next image."""
        worker = self._taken(needs_new=needs_new)
        try:
            yield worker
        finally:
            with self._changed:
                self._n_busy -= 1
                is_kept = worker.is_ready and not self._is_closed
                if is_kept:
                    self._idle.append(worker)
                self._changed.notify()
            if not is_kept:
                worker.end()

    def _taken(self, *, needs_new: bool) -> "_Worker":
        """A worker, as soon as there is one; counted as busy. Raises OutOfMemory."""
        with self._changed:
            while self._n_busy >= self._n_workers and not self._is_closed:
                self._changed.wait(POLL_S)
                check_deadline()
            if self._is_closed:
                raise ValueError(CLOSED)
            self._n_busy += 1
            idle = self._idle.pop() if self._idle else None
        try:
            if idle is not None and idle.is_alive and not needs_new:
                return idle
            return self._started(instead_of=idle)
        except BaseException:
            with self._changed:
                self._n_busy -= 1
                self._changed.notify()
            raise

    def _started(self, instead_of: "_Worker | None") -> "_Worker":
        if instead_of is not None:
            instead_of.end()
        for _ in range(2):
            with suppress(RuntimeUnavailable):  # it was killed just now
                return self._living_server().fork()
        raise OutOfMemory  # what most often kills it; the next image may find it running

    def _living_server(self) -> "_Server":
        with self._changed:
            if not self._server.is_alive and not self._is_closed:
                self._server.close()
                self._server = _Server(self._limits)
            return self._server


class _Worker:
    """A process that decodes one image at a time. Not thread-safe."""

    def __init__(self, server: "_Server", pid: int, connection: socket.socket, memory: int) -> None:
        self._server, self._pid, self._connection, self._memory = server, pid, connection, memory
        os.ftruncate(memory, KEPT_BYTES)
        self._window = mmap(memory, KEPT_BYTES, prot=PROT_READ)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(0, int(1e6 * POLL_S)))
        self.is_ready = True
        self.n_decoded = 0
        self.status: int | None = None  # of a process that has ended

    @property
    def is_alive(self) -> bool:
        """Whether a worker that is ready still runs."""
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def decode(self, image: bytes, request: DecodeRequest, time_limit_s: float) -> tuple[DecodedImage, Image.Image]:
        """Decode an image and return its picture.

        Raises its error, UnreservedError, DeadlineExceeded, TimeoutError, or EOFError or ConnectionError if the process
        has ended. After the last four it must be replaced.
        """
        self.is_ready = False
        os.pwrite(self._memory, image, 0)
        self._connection.send(request.packed())
        reply = self._reply(time_limit_s)
        self.is_ready = True
        self.n_decoded += 1
        decoded = decoded_image(reply)
        picture = read_pixels(decoded.picture_size, self._memory, self._window)
        if os.fstat(self._memory).st_size > KEPT_BYTES:
            os.ftruncate(self._memory, KEPT_BYTES)
        return decoded, picture

    def _reply(self, time_limit_s: float) -> bytes:
        begun_s, cpu_before_s = time.monotonic(), None
        while True:
            try:
                reply = self._connection.recv(MAX_MESSAGE)
            except BlockingIOError:  # after POLL_S
                check_deadline()
                cpu_before_s = self._cpu_s() if cpu_before_s is None else cpu_before_s
                has_used_s = self._cpu_s() - cpu_before_s
                if has_used_s > time_limit_s or time.monotonic() > begun_s + PATIENCE * time_limit_s:
                    raise TimeoutError from None
            else:
                if not reply:
                    raise EOFError
                return reply

    def _cpu_s(self) -> float:
        times = Path(f"/proc/{self._pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")  # in user and system mode

    def end(self) -> None:
        """Kill the process, unless it has ended; sets `status`, which stays None if the server has ended as well."""
        self._connection.close()
        self._window.close()
        os.close(self._memory)
        self.status = self._server.ended(self._pid)


class _Server:
    """The process that forks workers. Thread-safe."""

    def __init__(self, limits: Limits) -> None:
        """Start the process; `require_ready` waits for it."""
        self._lock = Lock()
        self._is_ready = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = "\n".join(str(Path(each).absolute()) for each in sys.path)
        arguments = [_COMMAND, paths, str(theirs.fileno()), str(limits.max_bytes), str(limits.max_pixels)]
        options = ["-I", "-W", "ignore", *(["-B"] if sys.dont_write_bytecode else [])]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this Python
                [sys.executable, *options, "-c", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # codecs write about pictures here
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def require_ready(self) -> None:
        """Wait until the process can fork. Raises RuntimeUnavailable."""
        with self._lock:
            if not self._is_ready:
                self._answer(START_S)
                self._is_ready = True

    def fork(self) -> _Worker:
        """Start a worker. Raises OutOfMemory or RuntimeUnavailable."""
        self.require_ready()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory = os.memfd_create("image", os.MFD_CLOEXEC)
        try:
            with theirs, self._lock:
                pid = self._ask(SPAWN, theirs.fileno(), memory)
            if pid == 0:
                raise OutOfMemory  # noqa: TRY301 - nothing is left open, as after every error
        except BaseException:
            ours.close()
            os.close(memory)
            raise
        return _Worker(self, pid, ours, memory)

    def ended(self, pid: int) -> int | None:
        """End a worker; returns its wait status, None if this process has ended as well."""
        with self._lock:
            try:
                return self._ask(NUMBER.pack(pid))
            except RuntimeUnavailable:
                return None

    def close(self) -> None:
        """End the process and its workers."""
        with self._lock:
            self._control.close()
            try:
                self._process.wait(ANSWER_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _ask(self, message: bytes, *files: int) -> int:
        with suppress(OSError):  # it has ended: then there is no answer
            socket.send_fds(self._control, [message], files)
        (number,) = NUMBER.unpack(self._answer(ANSWER_S))
        return int(number)

    def _answer(self, limit_s: float) -> bytes:
        answer = b""
        with suppress(OSError):
            self._control.settimeout(limit_s)
            answer = self._control.recv(MAX_MESSAGE)
        if not answer:
            self._process.kill()
            raise RuntimeUnavailable(
                f"the processes that decode images cannot be started (status {self._process.wait()}); check that "
                "memory is left, and that this user may start processes (ulimit -u)"
            )
        return answer


class _PixelBudget:
    """Bounds the pixels in use by all threads. Thread-safe; a thread must not hold any while it waits for more."""

    def __init__(self, n_pixels: int) -> None:
        self._n_pixels = self._n_free = n_pixels
        self._freed = Condition()

    @contextmanager
    def held(self, n_pixels: int) -> Iterator[None]:
        """Hold pixels as soon as they are free. Raises DeadlineExceeded."""
        n_held = min(n_pixels, self._n_pixels)
        with self._freed:
            while self._n_free < n_held:
                self._freed.wait(POLL_S)
                check_deadline()
            self._n_free -= n_held
        try:
            yield
        finally:
            with self._freed:
                self._n_free += n_held
                self._freed.notify_all()
