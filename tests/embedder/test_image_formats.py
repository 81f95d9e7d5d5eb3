"""HEIC, AVIF and JPEG 2000 as any other format; and what is not read is named."""

import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from image_files import encoded
from PIL import Image, TiffImagePlugin
from pillow_heif import from_bytes, register_heif_opener

from embedder import FaceEmbedder, ImageTooLarge, ImageTooSlow, ImageUnreadable, Limits, NotAnImage
from embedder.image import decode_image

register_heif_opener()  # so that these tests can write HEIC

NEW = ["HEIF", "AVIF", "JPEG2000"]


def read(data: bytes) -> Image.Image:
    return decode_image(data, Limits()).at(1)


def half_red() -> Image.Image:
    """Red above, blue below: 64 wide, 64 high."""
    picture = Image.new("RGB", (64, 64), "blue")
    picture.paste("red", (0, 0, 64, 32))
    return picture


def where_is_red(picture: Image.Image) -> str:
    """The half of the picture that is red."""
    red = np.asarray(picture)[:, :, 0]
    halves = {"top": red[:32], "bottom": red[32:], "left": red[:, :32], "right": red[:, 32:]}
    return max(halves, key=lambda side: halves[side].mean())


def exif(orientation: int, *, tag: int = 0x0112) -> bytes:
    tags = Image.Exif()
    tags[tag] = orientation
    return tags.tobytes()[6:]


def with_exif(kind: str, orientation: int, orientation_in_exif: int) -> bytes:
    """A file whose container and whose EXIF each say an orientation; Pillow would remove the latter from AVIF."""
    whole = {"HEIF": exif(orientation), "AVIF": exif(orientation_in_exif, tag=0x0100)}[kind]
    data = encoded(half_red(), kind, exif=b"Exif\0\0" + whole)
    if kind == "AVIF" and orientation != 1:
        turned = Image.Exif()
        turned[0x0112], turned[0x0100] = orientation, orientation_in_exif
        data = encoded(half_red(), kind, exif=turned.tobytes())
    assert whole in data
    return data.replace(whole, exif(orientation_in_exif))


TURNED = [(1, "top"), (3, "bottom"), (6, "right"), (8, "left")]


@pytest.mark.parametrize("kind", NEW)
def test_a_photo_gives_the_face_that_it_gives_as_png(embedder: FaceEmbedder, examples: Path, kind: str) -> None:
    photo = Image.open(examples / "001-neutral.jpg")
    here, there = (embedder.embed(encoded(photo, each)) for each in ("PNG", kind))
    assert np.linalg.norm(here.vector - there.vector) < 0.2


@pytest.mark.parametrize(("orientation", "side"), TURNED)
@pytest.mark.parametrize("in_exif", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_the_container_alone_turns_whatever_exif_says(kind: str, orientation: int, side: str, in_exif: int) -> None:
    data = with_exif(kind, orientation, in_exif)
    assert (b"irot" in data, exif(in_exif) in data) == (orientation != 1, True)
    assert where_is_red(read(data)) == side


@pytest.mark.parametrize(("orientation", "side"), TURNED)
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_container_without_exif_turns(kind: str, orientation: int, side: str) -> None:
    data = with_exif(kind, orientation, 1).replace(exif(1), exif(1, tag=0x0100))
    assert exif(1) not in data
    assert where_is_red(read(data)) == side


def test_xmp_turns_no_avif() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    assert where_is_red(read(encoded(half_red(), "AVIF", xmp=xmp))) == "top"


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_every_mode_becomes_rgb_with_its_values(kind: str, mode: str) -> None:
    picture = read(encoded(Image.new("RGB", (64, 64), (90, 90, 90)).convert(mode), kind))
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert np.abs(np.asarray(picture).astype(int) - 90).max() <= 3


@pytest.mark.parametrize("kind", NEW)
def test_transparency_lies_over_white(kind: str) -> None:
    assert min(read(encoded(Image.new("RGBA", (32, 32), (200, 0, 0, 0)), kind)).getpixel((9, 9))) >= 252


@pytest.mark.parametrize("no_jp2", [False, True])
def test_cmyk_in_jpeg_2000_becomes_rgb_with_its_colours(*, no_jp2: bool) -> None:
    data = encoded(half_red().convert("CMYK"), "JPEG2000", no_jp2=no_jp2)
    if no_jp2:  # a bare codestream does not say which colours its four components are
        assert read(data).size == (64, 64)
    else:
        assert where_is_red(read(data)) == "top"


@pytest.mark.parametrize("kind", ["HEIF", "JPEG2000"])
def test_more_bits_than_eight_become_eight(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    picture = np.asarray(read(encoded(Image.fromarray(ramp), kind)))[32, :, 0].astype(int)
    assert np.abs(picture - ramp[0] / 257).max() <= 4


def test_a_heic_of_ten_bits_for_each_colour_becomes_eight() -> None:
    colours = np.broadcast_to(np.array([60000, 30000, 10000], "<u2"), (64, 64, 3))
    out = BytesIO()
    from_bytes("RGB;16", (64, 64), colours.tobytes()).save(out, quality=95)
    assert b"hvcC" in out.getvalue()
    assert np.abs(np.array(read(out.getvalue()).getpixel((32, 32))) - [233, 117, 39]).max() <= 4


def test_of_an_animated_avif_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    picture = read(encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:]))
    assert picture.getpixel((9, 9))[0] > 240


def test_of_several_heic_pictures_the_primary_one_is_taken() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    picture = read(encoded(frames[0], "HEIF", save_all=True, append_images=frames[1:], primary_index=1))
    assert picture.getpixel((9, 9))[2] > 240


def claiming(data: bytes, kind: str, side: int) -> bytes:
    """The same file, whose header says that the picture is `side` px wide and high."""
    head = {"HEIF": b"ispe\0\0\0\0", "AVIF": b"ispe\0\0\0\0", "JP2": b"ihdr", "J2K": b"\xff\x51\0\x2f\0\0"}[kind]
    assert head + struct.pack(">II", 64, 64) in data
    return data.replace(head + struct.pack(">II", 64, 64), head + struct.pack(">II", side, side))


FILES = {
    "HEIF": encoded(half_red(), "HEIF"),
    "AVIF": encoded(half_red(), "AVIF"),
    "JP2": encoded(half_red(), "JPEG2000"),
    "J2K": encoded(half_red(), "JPEG2000", no_jp2=True),
}


@pytest.mark.parametrize("kind", FILES)
def test_too_many_pixels_are_refused_from_the_header(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match="64,000,000 pixels"):
        decode_image(claiming(FILES[kind], kind, 8000), Limits())


IN_A_PROCESS_OF_ITS_OWN = """
import sys, time
from pathlib import Path
from embedder import Limits, VisavisError
from embedder.image import decode_image

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

for kind in ("ok", "too"):
    for file in sorted(Path(sys.argv[1]).glob(kind + "-*")):
        before, start = peak(), time.process_time()
        try:
            decode_image(file.read_bytes(), Limits())
            outcome = "read"
        except VisavisError as error:
            outcome = error.code
        print(file.name, outcome, peak() - before, time.process_time() - start)
"""


def test_a_small_file_that_claims_a_huge_picture_costs_neither_memory_nor_time(tmp_path: Path) -> None:
    for kind, data in FILES.items():
        (tmp_path / f"ok-{kind}").write_bytes(data)  # loads the libraries
        for side in (8000, 30_000, 2**31 - 1):
            (tmp_path / f"too-{kind}-{side}").write_bytes(claiming(data, kind, side))
    large = encoded(Image.new("RGB", (4000, 4000), "grey"), "HEIF", quality=10)
    small = struct.pack(">II", 64, 64)
    (tmp_path / "too-HEIF-lies").write_bytes(large.replace(struct.pack(">II", 4000, 4000), small))
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    told = [line.split() for line in done.stdout.splitlines()]
    assert len(told) == 17
    for name, outcome, kilobytes, seconds in told:
        refused = ("image_too_large", "image_unreadable", "image_too_slow")
        assert outcome == "read" if name.startswith("ok") else outcome in refused, name
        assert name.startswith("ok") or (int(kilobytes) < 300_000 and float(seconds) < 3), name


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_breaks_off_is_unreadable(examples: Path, kind: str) -> None:
    photo = Image.open(examples / "001-neutral.jpg").resize((120, 150))
    data = encoded(photo, {"JP2": "JPEG2000", "J2K": "JPEG2000"}.get(kind, kind), no_jp2=kind == "J2K")
    for share in (0.05, 0.3, 0.6, 0.95, 0.999):
        with pytest.raises(ImageUnreadable):
            decode_image(data[: int(share * len(data))], Limits())


def test_a_jpeg_2000_of_tiles_that_breaks_off_is_unreadable(examples: Path) -> None:
    data = encoded(Image.open(examples / "001-neutral.jpg"), "JPEG2000", tile_size=(64, 64))
    assert read(data)
    with pytest.raises(ImageUnreadable, match="ends before its last pixels"):
        read(data[: len(data) // 2])


def test_damaged_files_raise_our_own_errors_and_crash_nothing() -> None:
    rng = np.random.default_rng(27)
    n_refused = 0
    for round_ in range(240):
        data = bytearray(list(FILES.values())[round_ % len(FILES)])
        data = data[: rng.integers(1, len(data) + 1)] if round_ % 3 == 0 else data
        for offset in rng.integers(0, len(data), 4):
            data[offset] = rng.integers(0, 256)
        try:
            assert read(bytes(data)).mode == "RGB"
        except (ImageUnreadable, NotAnImage, ImageTooLarge, ImageTooSlow):
            n_refused += 1
    assert n_refused > 100


def test_heic_without_its_reader_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # its import now fails, as if it were not installed
    with pytest.raises(NotAnImage, match=r"is HEIC, .*install 'visavis\[heif\]' .* JPEG"):
        read(FILES["HEIF"])


def box(brand: bytes, *others: bytes) -> bytes:
    """The first box of a file: its brand, and the others that it is compatible with."""
    content = b"ftyp" + brand + b"\0\0\0\0" + b"".join(others)
    return struct.pack(">I", len(content) + 4) + content + b"\0" * 64


def tiff(*tags: tuple[int, int]) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags:
        info[tag] = value
        info.tagtype[tag] = 4
    return encoded(half_red(), "TIFF", tiffinfo=info)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a" + b"\x50" * 64, "JPEG XL"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + b"\0" * 64, "JPEG XL"),
        (b"8BPS\x00\x01" + b"\0" * 64, "PSD"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="9"/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"II*\0\x10\0\0\0CR\x02\0" + b"\0" * 64, r"camera raw \(CR2\)"),
        (tiff()[:8] + b"CR\x02\0" + tiff()[12:], r"camera raw \(CR2\)"),
        (b"II*\0\x10\0\0\0CR\x02\0", r"camera raw \(CR2\)"),
        (b"IIU\0" + b"\0" * 64, r"camera raw \(RW2\)"),
        (b"FUJIFILMCCD-RAW " + b"\0" * 64, r"camera raw \(RAF\)"),
        (box(b"crx ", b"crx ", b"isom"), r"camera raw \(CR3\)"),
        (tiff((50706, 0x01040000)), r"camera raw \(DNG\)"),
        (tiff((254, 1), (330, 8)), r"camera raw \(NEF"),
        (box(b"isom", b"isom", b"avc1"), r"a video \(MP4\)"),
        (box(b"qt  "), r"a video \(MOV\)"),
        (b"\x1aE\xdf\xa3" + b"\0" * 64, "a video .WebM"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(data: bytes, name: str) -> None:
    with pytest.raises(NotAnImage, match=rf"the file is {name}.*, which is not supported.*; .* as JPEG"):
        read(data)


def test_a_tiff_with_several_pages_is_no_camera_raw() -> None:
    data = encoded(half_red(), "TIFF", save_all=True, append_images=[half_red().rotate(180)])
    assert where_is_red(read(data)) == "top"


@pytest.mark.parametrize(("brands", "name"), [((b"mif1", b"heic"), "HEIC"), ((b"mif1", b"miaf"), "HEIF")])
def test_the_brands_after_the_first_tell_what_is_in_a_container(
    monkeypatch: pytest.MonkeyPatch, brands: tuple[bytes, ...], name: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(NotAnImage, match=f"the file is {name}, "):
        read(box(*brands))


NOISY = """
import sys
from pathlib import Path
from embedder import VisavisError
from embedder.image import Limits, decode_image
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(decode_image(file.read_bytes(), Limits()).size[0])
    except VisavisError as error:
        print(error.code)
"""


def test_a_broken_tiff_writes_nothing_to_stderr(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    for codec in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "lzma", "group3", "group4", "tiff_ccitt"):
        is_fax = codec in ("group3", "group4", "tiff_ccitt")
        whole = bytearray(encoded(picture.convert("1") if is_fax else picture, "TIFF", compression=codec))
        for place in rng.integers(200, len(whole), 30):
            whole[place] ^= 0x55
        (tmp_path / codec).write_bytes(whole)
    too_many = encoded(picture, "TIFF").replace(
        struct.pack("<HHIH", 277, 3, 1, 3), struct.pack("<HHIH", 277, 3, 1, 259)
    )
    (tmp_path / "samples").write_bytes(too_many)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOISY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert (len(done.stdout.split()), done.stderr) == (8, "")
