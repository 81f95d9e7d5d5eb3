"""Image formats: what is read, what a file is by its first bytes and name, encoding."""

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from ctypes import CDLL, c_void_p
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from logging import NullHandler, getLogger
from typing import TYPE_CHECKING, Literal

from PIL import Image, ImageFile

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

# PPM includes PGM. HEIC is read as well if pillow-heif is installed.
FORMATS = ("PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")  # and JPEG
FORMATS_IN_WORDS = "JPEG, PNG, WebP, AVIF, JPEG 2000, BMP, TIFF, GIF, PGM or PPM"
# File suffixes of these formats; case is ignored.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".pgm", ".ppm", ".pnm", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *(".heic", ".heif", ".hif"),
)
# Suffixes of unsupported image formats. These files are listed, then refused as not_an_image, so that they are counted.
UNREAD_SUFFIXES = (
    *(".jxl", ".jxr", ".psd", ".svg", ".exr", ".tga", ".ico"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw", ".raw"),
)


def is_named_as_photo(name: str) -> bool:
    """Return whether a file's suffix is that of an image; the format may be unsupported.

    All other files are not photos by name: those with another suffix, such as `.txt`, `.pdf` or `.mp4`, or with none.
    """
    return name.lower().endswith((*IMAGE_SUFFIXES, *UNREAD_SUFFIXES))


ImageReader = Callable[[BytesIO], ImageFile.ImageFile]
HEIF_FORMATS = ("HEIC", "HEIF")
NAMED_FORMATS = ("AVIF", "JPEG 2000", *HEIF_FORMATS)  # read, and named by format_of
_AS_JPEG = "save it as JPEG or PNG and send that"
_EXPORTED = "export it as JPEG or PNG and send that"
_DEVELOPED = "export it as JPEG with a raw converter and send that"
_FRAME = "save one frame of it as JPEG and send that"
_HEIF_ADVICE = "install 'visavis[heif]' where visavis runs, or send it as JPEG"
_ADVICE = {"HEIC": _HEIF_ADVICE, "HEIF": _HEIF_ADVICE, "PSD": _EXPORTED, "SVG": _EXPORTED, "PDF": _EXPORTED}
_FIRST_BYTES = (
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "PSD"),
    (0, b"%PDF-", "PDF"),
    (8, b"CR\x02", "camera raw (CR2)"),
    (0, b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (0, b"IIRO", "camera raw (ORF)"),
    (0, b"IIRS", "camera raw (ORF)"),
    (0, b"MMOR", "camera raw (ORF)"),
    (0, b"IIU\x00", "camera raw (RW2)"),
    (0, b"\x1aE\xdf\xa3", "a video (WebM or MKV)"),
    (8, b"AVI LIST", "a video (AVI)"),
)
# Brands of files that begin with a box of type "ftyp"; the first that a file names decides.
_BRANDS = (
    ((b"avif", b"avis"), "AVIF"),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    ((b"mif1", b"msf1"), "HEIF"),
    ((b"crx ",), "camera raw (CR3)"),
    ((b"qt  ",), "a video (MOV)"),
)
_XML_START = (b"<svg", b"<?xml", b"<!--", b"<!doctype svg")
_READ_FOR_SVG = 4096  # bytes


def format_of(data: bytes) -> str | None:
    """Name the format that a file's first bytes state, if it is one of NAMED_FORMATS or none that is read."""
    for start, first, name in _FIRST_BYTES:
        if data.startswith(first, start):
            return name
    if data[4:8] == b"ftyp":
        return _format_by_brand(data)
    text = data[:_READ_FOR_SVG].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return "SVG" if text.startswith(_XML_START) and b"<svg" in text else None


def _format_by_brand(data: bytes) -> str:
    end = min(int.from_bytes(data[:4]), 256, len(data))  # a box states its size first
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    return next((name for some, name in _BRANDS if any(each in some for each in brands)), "a video (MP4)")


def refusal_of(name: str | None) -> str:
    """Say that a file of this format (None: unknown) is not read, and what to send instead."""
    if name is None:
        return f"the bytes are not in a supported image format; send a {FORMATS_IN_WORDS} file"
    if name in _ADVICE:
        return f"the file is {name}, which is not supported here; {_ADVICE[name]}"
    advice = _DEVELOPED if name.startswith("camera raw") else _FRAME if name.startswith("a video") else _AS_JPEG
    return f"the file is {name}, which is not supported; {advice}"


_DNG_VERSION, _NEW_SUBFILE_TYPE, _SUB_IFDS = 50706, 254, 330  # TIFF tags


def raw_format(picture: "TiffImageFile") -> str | None:
    """Name the camera's raw format of a file that opens as TIFF; None if it is a picture.

    The first picture in these files is a small preview: the tags say that it is reduced, and that others follow.
    """
    tags = picture.tag_v2
    if _DNG_VERSION in tags:
        return "camera raw (DNG)"
    is_preview = tags.get(_NEW_SUBFILE_TYPE, 0) == 1 and _SUB_IFDS in tags
    return "camera raw (NEF, ARW or similar)" if is_preview else None


def limit_avif_threads() -> None:
    """Decode AVIF in one thread, as other formats are, unless this process has set another number."""
    from PIL import AvifImagePlugin  # noqa: PLC0415 - loads a codec that few files need

    AvifImagePlugin.DEFAULT_MAX_THREADS = AvifImagePlugin.DEFAULT_MAX_THREADS or 1


@cache
def silence_tiff() -> None:
    """Keep libtiff, and Pillow about TIFF, from writing to stderr: millions of lines with bytes of the picture.

    Pillow raises an error of its own. Where its libtiff cannot be reached, as on Windows, it is left as it is.
    """
    getLogger("PIL").addHandler(NullHandler())  # without a handler, Python writes to stderr
    codecs = find_spec("PIL._imaging")
    with suppress(OSError, AttributeError):
        library = CDLL(codecs.origin if codecs else None)  # and, with it, the libtiff that it is linked to
        set_handler = library.TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = (c_void_p,), c_void_p
        set_handler(None)


def heif_reader() -> ImageReader | None:
    """Return what opens HEIC and HEIF, decoding in one thread; None if pillow-heif is not installed or cannot load."""
    try:
        import pillow_heif  # noqa: PLC0415 - an extra of its own

        pillow_heif.libheif_info()  # raises ImportError if the library cannot be loaded
    except ImportError:
        return None
    pillow_heif.options.DECODE_THREADS = 1
    reader: ImageReader = pillow_heif.HeifImageFile
    return reader


def png(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """Encode a picture as JPEG, without chroma subsampling, because faces are small."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def data_uri(kind: Literal["png", "jpeg"], content: bytes) -> str:
    """Encode the bytes of an image file as a data URI."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
