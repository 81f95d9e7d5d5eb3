"""Decoding in other processes: the same pictures and errors; what is slow or crashes ends alone; nothing is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread, Timer

import numpy as np
import pytest
from child_processes import children, is_running
from image_files import encoded
from PIL import Image

from embedder import (
    Deadline,
    DeadlineExceeded,
    FaceEmbedder,
    ImageTooSlow,
    ImageUnreadable,
    Limits,
    OutOfMemory,
    RuntimeUnavailable,
    VisavisError,
    decode_image,
    load,
    use_deadline,
)
from embedder.decoder_pool import DecoderPool
from embedder.image import FACTORS, Photo

if sys.platform != "linux":
    pytest.skip("the pool is for Linux", allow_module_level=True)

FEW = Limits(max_pixels=400_000)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(FEW, 2)
    yield pool
    pool.close()


@pytest.fixture
def quick() -> Iterator[DecoderPool]:
    """It ends a decoding that takes half a second of a processor."""
    pool = DecoderPool(Limits(), 2, time_limit_s=0.5)
    yield pool
    pool.close()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8))


SLOW = encoded(noise(5000), "JPEG", quality=30, progressive=True)  # to decode at all sizes: a second and more


def server_of(pool: DecoderPool) -> int:
    return pool._server._process.pid


def workers_of(pool: DecoderPool) -> list[int]:
    return children(server_of(pool))


def soon(condition: Callable[[], bool], within_s: float = 2.0) -> bool:
    end = time.monotonic() + within_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def decode(pool: DecoderPool, data: bytes) -> tuple[tuple[int, int], list[bytes]]:
    with pool(data) as photo:
        return everything(photo)


def everything(photo: Photo) -> tuple[tuple[int, int], list[bytes]]:
    """The size, and the pixels at every size, in the order in which a search asks for them."""
    return photo.size, [photo.at(factor).tobytes() for factor in FACTORS if factor >= photo.least_factor]


def in_process(data: bytes, limits: Limits = FEW) -> tuple[tuple[int, int], list[bytes]]:
    return everything(decode_image(data, limits))


FACE = Path(__file__).parents[2] / "examples" / "faces" / "001-neutral.jpg"
LYING = Image.Exif()
LYING[0x0112] = 6
SMALL = Image.open(FACE).resize((500, 300))
DEEP = np.asarray(SMALL.convert("L")).astype(np.uint16) * 257
FILES = {
    "JPEG": encoded(SMALL, "JPEG"),
    "JPEG, lying": encoded(SMALL, "JPEG", exif=LYING),
    "JPEG, progressive": encoded(SMALL, "JPEG", progressive=True),
    "JPEG, grey": encoded(SMALL.convert("L"), "JPEG"),
    "JPEG, four colours": encoded(SMALL.convert("CMYK"), "JPEG"),
    "JPEG, without its end": encoded(SMALL, "JPEG")[:-2],
    "JPEG, too large for full size": encoded(SMALL.resize((1200, 800)), "JPEG"),
    "PNG": encoded(SMALL, "PNG"),
    "PNG, transparent": encoded(SMALL.convert("RGBA"), "PNG"),
    "PNG, 16 bits": encoded(Image.fromarray(DEEP), "PNG"),
    "PNG, palette": encoded(SMALL.convert("P"), "PNG"),
    "TIFF, floats": encoded(Image.fromarray(DEEP.astype(np.float32)), "TIFF"),
    "TIFF, packed": encoded(SMALL, "TIFF", compression="tiff_lzw"),
    "GIF": encoded(SMALL, "GIF"),
    "one pixel": encoded(SMALL.resize((1, 1)), "PNG"),
    **{kind: encoded(SMALL, kind) for kind in ("WEBP", "BMP", "PPM", "JPEG2000", "AVIF")},
}


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_the_same_as_without_the_pool(pool: DecoderPool, name: str) -> None:
    assert decode(pool, FILES[name]) == in_process(FILES[name])


def test_every_example_is_the_same_as_without_the_pool(pool: DecoderPool, examples: Path) -> None:
    photos = [path.read_bytes() for path in sorted(examples.glob("*.jpg"))]
    assert len(photos) == 8
    assert [decode(pool, photo) for photo in photos] == [in_process(photo) for photo in photos]


BOMB = bytearray(FILES["PNG"])
BOMB[16:24] = (60_000).to_bytes(4) * 2  # its width and height
FAULTS = {
    "nothing": b"",
    "text": b"hello " * 100,
    "another format": b"8BPS" + bytes(100),
    "half a JPEG": FILES["JPEG"][: len(FILES["JPEG"]) // 2],
    "half a PNG": FILES["PNG"][: len(FILES["PNG"]) // 2],
    "too many pixels": encoded(Image.new("1", (1000, 1000)), "PNG"),
    "far too many pixels": bytes(BOMB),
    "too many bytes": bytes(FEW.max_bytes + 1),
    "not a number": encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"),
}


def error_of(call: Callable[[], object]) -> tuple[type[VisavisError], str, dict[str, object]]:
    with pytest.raises(VisavisError) as told:
        call()
    return type(told.value), str(told.value), vars(told.value)


@pytest.mark.parametrize("name", FAULTS)
def test_an_error_is_the_same_as_without_the_pool(pool: DecoderPool, name: str) -> None:
    assert error_of(lambda: decode(pool, FAULTS[name])) == error_of(lambda: in_process(FAULTS[name]))


def test_a_picture_that_takes_too_long_is_refused_and_its_process_replaced(quick: DecoderPool) -> None:
    decode(quick, FILES["PNG"])
    quick._time_limit_s = 0.05
    (before,) = workers_of(quick)
    with pytest.raises(ImageTooSlow, match=r"takes more than 0\.05 s; save it as JPEG or PNG"):
        decode(quick, SLOW)
    assert not is_running(before)
    quick._time_limit_s = 10
    assert decode(quick, FILES["PNG"]) == in_process(FILES["PNG"])


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (signal.SIGSTOP, ImageTooSlow, "takes more than"),
        (signal.SIGSEGV, ImageUnreadable, "its decoder crashed"),
    ],
)
def test_a_process_that_ends_or_hangs_costs_one_picture(
    quick: DecoderPool, number: int, error: type[VisavisError], message: str
) -> None:
    decode(quick, FILES["PNG"])
    (worker,) = workers_of(quick)
    Timer(0.1, os.kill, (worker, number)).start()
    with pytest.raises(error, match=message):
        decode(quick, SLOW)
    assert decode(quick, FILES["PNG"]) == in_process(FILES["PNG"])
    assert not is_running(worker)


def test_a_picture_whose_process_is_killed_is_decoded_once_more(quick: DecoderPool) -> None:
    decode(quick, FILES["PNG"])
    (worker,) = workers_of(quick)
    quick._time_limit_s = 10
    Timer(0.1, os.kill, (worker, signal.SIGKILL)).start()
    assert decode(quick, SLOW)
    assert not is_running(worker)


def test_a_picture_that_new_processes_are_killed_for_is_given_up(quick: DecoderPool) -> None:
    has_ended = Event()

    def kill_on() -> None:  # one that is killed before it gets the picture is replaced
        while not has_ended.is_set():
            for worker in workers_of(quick):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    quick.require_started()
    killer = Thread(target=kill_on)
    killer.start()
    try:
        with pytest.raises(OutOfMemory, match="too little memory"):
            decode(quick, SLOW)
    finally:
        has_ended.set()
        killer.join()
    assert decode(quick, FILES["PNG"]) == in_process(FILES["PNG"])


def test_processes_that_are_killed_while_idle_cost_no_picture(quick: DecoderPool) -> None:
    decode(quick, FILES["PNG"])
    for pid in (*workers_of(quick), server_of(quick)):
        os.kill(pid, signal.SIGKILL)
        assert soon(lambda pid=pid: not is_running(pid))
        assert decode(quick, FILES["PNG"]) == in_process(FILES["PNG"])


def test_processes_that_are_killed_again_and_again_are_told_as_too_little_memory(quick: DecoderPool) -> None:
    has_ended, data = Event(), encoded(noise(64), "PNG")

    def kill_on() -> None:
        while not has_ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(server_of(quick), signal.SIGKILL)

    killer = Thread(target=kill_on)
    killer.start()
    try:
        with pytest.raises(OutOfMemory):  # noqa: PT012 - how many succeed before is chance
            for _ in range(100):
                decode(quick, data)
    finally:
        has_ended.set()
        killer.join()
    assert decode(quick, data) == in_process(data)


def test_work_that_nobody_waits_for_is_stopped() -> None:
    pool, deadline = DecoderPool(Limits(), 1), Deadline(60)
    try:
        decode(pool, FILES["PNG"])
        Timer(0.2, deadline.cancel).start()
        with pytest.raises(DeadlineExceeded), use_deadline(deadline):
            decode(pool, SLOW)
        assert soon(lambda: workers_of(pool) == [])
    finally:
        pool.close()


def test_sixteen_threads_share_two_processes(pool: DecoderPool) -> None:
    expected = {name: in_process(data) for name, data in FILES.items()}
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda name: (name, decode(pool, FILES[name])), list(FILES) * 4))
    assert all(expected[name] == decoded for name, decoded in found)
    assert len(workers_of(pool)) == 2


def test_large_photos_wait_for_each_other_and_small_ones_do_not(pool: DecoderPool) -> None:
    large = encoded(Image.new("L", (500, 500)), "PNG")
    is_over = Event()

    def hold() -> None:
        with pool(large):
            is_held.set()
            is_over.wait(10)

    is_held = Event()
    holding = Thread(target=hold)
    holding.start()
    assert is_held.wait(10)
    with pytest.raises(DeadlineExceeded), use_deadline(Deadline(0.3)):
        decode(pool, large)
    decode(pool, FILES["one pixel"])
    is_over.set()
    holding.join()
    with use_deadline(Deadline(10)):
        assert decode(pool, large) == in_process(large)


def test_a_process_is_bounded_and_writes_nowhere(pool: DecoderPool) -> None:
    decode(pool, FILES["PNG"])
    pid = workers_of(pool)[0]
    limits = Path(f"/proc/{pid}/limits").read_text("ascii")
    rows = {row[:25].strip(): row[25:].split() for row in limits.splitlines()}
    assert set(rows["Max core file size"][:2]) <= {"0", "1"}
    assert int(rows["Max address space"][0]) < 2**30
    assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)} == {"/dev/null"}


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_process_gives_the_memory_of_a_large_picture_back() -> None:
    pool = DecoderPool(Limits(), 1)
    try:
        decode(pool, FILES["PNG"])
        (pid,) = workers_of(pool)
        before = resident_mib(pid)
        with pool(encoded(Image.new("RGB", (6000, 4000), "red"), "PNG")) as photo:
            assert photo.at(1).getpixel((5999, 3999)) == (255, 0, 0)
        assert resident_mib(pid) < before + 16
        assert os.fstat(pool._idle[0]._memory).st_size <= 2**22
    finally:
        pool.close()


UNDER_A_BOUND = """
import resource, sys
from pathlib import Path
from embedder import Limits, OutOfMemory
from embedder.decoder_pool import DecoderPool
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
pool = DecoderPool(Limits(), 1)
try:
    with pool(Path(sys.argv[1]).read_bytes()):
        print("decoded")
except OutOfMemory as error:
    print(error)
pool.close()
"""


def test_too_little_memory_is_not_told_as_a_broken_image(tmp_path: Path) -> None:
    large = tmp_path / "large.tif"
    Image.new("F", (7000, 7000)).save(large, compression="tiff_lzw")
    told = subprocess.run([sys.executable, "-c", UNDER_A_BOUND, large], capture_output=True, text=True, check=True)
    assert told.stdout == f"{OutOfMemory()}\n"


BEFORE_ITS_SIZE_IS_KNOWN = """
import resource, sys
from pathlib import Path
from embedder import Limits, OutOfMemory, decode_image
own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (own + 2**28, own + 2**28))
try:
    decode_image(Path(sys.argv[1]).read_bytes(), Limits())
except OutOfMemory as error:
    print(error)
"""


def test_nor_is_it_for_a_webp_whose_decoder_takes_its_memory_before_it_tells_the_size(tmp_path: Path) -> None:
    large = tmp_path / "large.webp"
    Image.new("RGB", (7000, 7000)).save(large, method=0)
    command = [sys.executable, "-c", BEFORE_ITS_SIZE_IS_KNOWN, large]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == f"{OutOfMemory()}\n"


WITH_ITS_OWN_BOUND = """
from embedder import Limits
from embedder.decoder_process import _restricted
error = _restricted(Limits(max_pixels=1_000_000))
try:
    bytes(2**30)
except MemoryError:
    print(error.code)
"""


def test_a_picture_that_takes_more_memory_than_any_ordinary_one_is_refused() -> None:
    told = subprocess.run([sys.executable, "-c", WITH_ITS_OWN_BOUND], capture_output=True, text=True, check=True)
    assert told.stdout == "image_too_slow\n"


def test_a_pool_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeUnavailable, match=r"cannot be started \(status 1\); check that memory is left"):
        load(decoding_processes=1)


BUSY = """
import sys
from pathlib import Path
from threading import Thread
from embedder import Limits
from embedder.decoder_pool import DecoderPool
pool = DecoderPool(Limits(), 1)
pool.require_started()
print(pool._server._process.pid, flush=True)
with pool(Path(sys.argv[1]).read_bytes()):
    print("decoded", flush=True)
"""


def test_nothing_is_left_when_the_process_of_a_pool_is_killed(tmp_path: Path) -> None:
    slow = tmp_path / "slow.jpg"
    slow.write_bytes(SLOW)
    with subprocess.Popen([sys.executable, "-c", BUSY, slow], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert soon(lambda: len(children(server)) == 1)
        (worker,) = children(server)
        time.sleep(0.1)
        parent.kill()
        assert parent.stdout.read() == ""  # the worker was busy
    assert soon(lambda: not is_running(server) and not is_running(worker))


def test_an_embedder_with_processes_decides_the_same_and_ends_them(embedder: FaceEmbedder, examples: Path) -> None:
    probe, reference = ((examples / f"001-{name}.jpg").read_bytes() for name in ("neutral", "smiling"))
    with load(decoding_processes=2) as other:
        pool = other._preprocessor._decoder
        assert other.verify(probe, reference).distance == embedder.verify(probe, reference).distance
        assert isinstance(pool, DecoderPool)
        pids = [server_of(pool), *workers_of(pool)]
        assert len(pids) > 1
    assert not any(map(is_running, pids))
    with pytest.raises(ValueError, match="this FaceEmbedder is closed"), pool(probe):
        pass
