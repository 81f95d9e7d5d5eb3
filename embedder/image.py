"""Image bytes -> one photo, upright and RGB. Limits are checked on the header, before any pixel is decoded.

A large JPEG is decoded at a fraction of its size, so that libjpeg computes fewer pixels. It is decoded again at a
larger size only if a face is too small.

EXIF orientation is applied once; in AVIF and HEIC the container's own orientation counts instead. Only the first frame
of an animation is used, and transparent pixels are blended with white. ICC profiles are ignored, because the networks
were trained on unconverted pixels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from .container_structure import check_container, is_whole_jpeg2000
from .errors import ImageTooLarge, ImageUnreadable, NotAnImage, OutOfMemory, VisavisError
from .image_formats import (
    FORMATS,
    FORMATS_IN_WORDS,
    HEIF_FORMATS,
    NAMED_FORMATS,
    format_of,
    heif_reader,
    limit_avif_threads,
    raw_format,
    refusal_of,
    silence_tiff,
)
from .image_structure import (
    JPEG_END,
    JPEG_START,
    TIFF_STARTS,
    check_exif,
    check_jpeg,
    ended_jpeg,
    is_decoded_by_rows,
    lacks_pixels,
)
from .pixel_modes import DARKEST_16_BIT, OTHER_BYTE, colours_of_two_bytes, to_rgb
from .pnm import is_pnm, readable_pnm
from .types import Tone

FACTORS = (8, 4, 2, 1)
FIRST_SIDE_PX = 320  # least longer side after the first decoding; enough for most faces

_MAX_8_BIT = 255
_MIDDLE_GREY = (128, 128, 128)
_CLIPPED = 0.01  # of the values, at each end
_TONE_FACTOR = 4  # the size at which the tone is measured: fast, and with less noise


class Photo:
    """An upright RGB photo at several sizes. Not thread-safe."""

    def __init__(self, size: tuple[int, int], decode: Callable[[int], Image.Image], *, least_factor: int = 1) -> None:
        """Decode the photo once; `decode` returns it at 1/factor of `size` (rounded up), or at half or full size.

        `least_factor` is 2 if the photo is too large to be decoded at full size.
        """
        self.size = size  # width, height, in px
        self.least_factor = least_factor  # of the largest size at which the photo may be decoded
        self._decode = decode
        self._at: dict[int, Image.Image] = {}
        first = next(factor for factor in FACTORS if factor == 1 or _is_left_large(size, factor))
        self._take(max(first, least_factor))

    @classmethod
    def of(cls, picture: Image.Image) -> "Photo":
        """Return a photo of an upright RGB picture that is already decoded."""
        return cls(picture.size, lambda _: picture)

    def at(self, factor: int) -> Image.Image:
        """The picture at 1/factor of its size, each side rounded up; `factor` comes from `factor_for`.

        Raises ImageUnreadable.
        """
        if all(known > factor for known in self._at):
            self._take(factor)
        if factor not in self._at:
            nearest = max(known for known in self._at if known < factor)
            self._at[factor] = self._at[nearest].reduce(factor // nearest)
        return self._at[factor]

    def factor_for(self, shrinking: float) -> int:
        """The largest of FACTORS that does not exceed `shrinking`, or else the smallest that the photo allows."""
        return max(factor_for(shrinking), self.least_factor)

    @property
    def smallest(self) -> Image.Image:
        """The picture at the smallest size that is decoded."""
        return self._at[max(self._at)]

    @property
    def has_grey_corner(self) -> bool:
        """Whether a corner is middle grey, which libjpeg puts where a file has no pixels."""
        picture = self.smallest
        places = ((x, y) for x in (0, picture.width - 1) for y in (0, picture.height - 1))
        return any(picture.getpixel(place) == _MIDDLE_GREY for place in places)

    def tone(self) -> Tone:
        """Measure the brightness. Raises ImageUnreadable."""
        factor = max(_TONE_FACTOR, *self._at)  # never larger than what is decoded already
        histogram = self.at(factor).histogram()
        counts = np.array(histogram).reshape(3, -1).sum(axis=0)
        shares = counts.cumsum() / counts.sum()
        low, high = np.searchsorted(shares, (_CLIPPED, 1 - _CLIPPED))
        return Tone(float(counts @ np.arange(len(counts)) / counts.sum()), int(low), int(high))

    def stretched(self, tone: Tone) -> "Photo":
        """The same photo with the grey levels from `tone.low` to `tone.high` stretched to 0..255, in all colours."""
        levels = (np.arange(_MAX_8_BIT + 1) - tone.low) * (_MAX_8_BIT / max(tone.high - tone.low, 1))
        table = np.rint(levels.clip(0, _MAX_8_BIT)).astype(int).tolist() * 3
        return Photo(self.size, lambda factor: self.at(factor).point(table), least_factor=self.least_factor)

    def _take(self, factor: int) -> None:
        picture = self._decode(factor)
        larger = next((each for each in (1, 2) if picture.size == _reduced(self.size, each)), factor)
        self._at[larger] = picture


def _reduced(size: tuple[int, int], factor: int) -> tuple[int, int]:
    return -(-size[0] // factor), -(-size[1] // factor)


def _is_left_large(size: tuple[int, int], factor: int) -> bool:
    return max(size) >= factor * FIRST_SIDE_PX and min(size) >= factor


def factor_for(shrinking: float) -> int:
    """The largest of FACTORS that does not exceed `shrinking`; 1 if there is none."""
    return next((factor for factor in FACTORS if factor <= shrinking), 1)


_BREAKS_OFF = "the image is broken: it ends before its last pixels; send the whole file"
_BYTES_PER_PIXEL = 8  # WebP's decoder keeps two pictures
_NO_MEMORY = "out of memory"  # what codecs say of it
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
LARGE_JPEG_FACTOR = 2  # of the largest size at which a JPEG with too many pixels is decoded


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum size of an image: bytes as sent, and pixels to decode.

    Pixels are counted by the header. A JPEG may have up to 4 times as many pixels, and is then decoded at half its size
    or less, if libjpeg decodes it row by row: progressive ones, and those of several scans, keep all coefficients in
    memory at any size, so they count in full.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000

    @property
    def large_pixels(self) -> int:
        """More pixels than this make a picture large: it is used at half its size where that is enough."""
        return self.max_pixels // 4


def decode_image(data: bytes, limits: Limits, reserve: Callable[[int], None] = lambda _: None) -> Photo:
    """Read an image file and decode it at the size that face detection needs first.

    `reserve` is called with the number of pixels of the largest size, before any is decoded.

    Raises ImageTooLarge, ImageTooSlow, NotAnImage, ImageUnreadable or OutOfMemory; the photo's methods the last two.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(len(data), limits.max_bytes, "bytes")
    picture = _open(data, limits)
    n_pixels = picture.width * picture.height
    if isinstance(picture, JpegImageFile):
        least_factor = _least_factor(data, n_pixels, limits)
        reserve(n_pixels // least_factor**2)
        ended = _ended(data)
        photo = Photo(_upright_size(picture), lambda factor: _decoded_jpeg(ended, factor), least_factor=least_factor)
        if photo.has_grey_corner and lacks_pixels(ended, _drawn_jpeg):
            raise ImageUnreadable(_BREAKS_OFF)
        return photo
    if n_pixels > limits.max_pixels:
        raise ImageTooLarge(n_pixels, limits.max_pixels, "pixels")
    reserve(n_pixels)
    whole = _whole(data, picture, limits)
    return Photo(whole.size, partial(_part_of, whole, is_large=n_pixels > limits.large_pixels))


def _part_of(whole: Image.Image, factor: int, *, is_large: bool) -> Image.Image:
    """A large picture at half its size, unless all of it is needed: so a process hands on a quarter of the pixels."""
    return whole.reduce(2) if is_large and factor > 1 else whole


def decode_again(data: bytes, factor: int, limits: Limits) -> Image.Image:
    """Decode a file that `decode_image` accepts at 1/factor of its size. Raises ImageUnreadable or OutOfMemory."""
    if data.startswith(JPEG_START):
        return _decoded_jpeg(_ended(data), factor)
    return _whole(data, _open(data, limits), limits)


def _least_factor(data: bytes, n_pixels: int, limits: Limits) -> int:
    """The factor of the largest size at which a JPEG may be decoded. Raises ImageTooLarge."""
    if n_pixels <= limits.max_pixels:
        return 1
    limit = limits.max_pixels * (LARGE_JPEG_FACTOR**2 if is_decoded_by_rows(data) else 1)
    if n_pixels > limit:
        raise ImageTooLarge(n_pixels, limit, "pixels")
    return LARGE_JPEG_FACTOR


def _ended(data: bytes) -> bytes:
    """A JPEG with its end marker, which a file without it gets. Raises ImageUnreadable if it breaks off earlier."""
    ended = data if data.endswith(JPEG_END) else ended_jpeg(data, _drawn_jpeg)
    if ended is None:
        raise ImageUnreadable(_BREAKS_OFF)
    return ended


def _drawn_jpeg(data: bytes) -> bytes | None:
    """A digest of the pixels, at the size that shows whether any are missing; None if they cannot be decoded.

    Where every scan contains all components, the smallest size does. Other scans refine the picture.
    """
    try:
        picture = _decoded_jpeg(data, FACTORS[0] if is_decoded_by_rows(data) else 1)
    except ImageUnreadable:
        return None
    return sha256(picture.tobytes()).digest()


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    with _faults_told():
        is_sideways = picture.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    return (picture.height, picture.width) if is_sideways else picture.size


def _open(data: bytes, limits: Limits) -> ImageFile.ImageFile:
    if not data:
        raise NotAnImage(f"the image is empty (0 bytes); send a {FORMATS_IN_WORDS} file")
    with _faults_told(limits.max_pixels):  # WebP's decoder takes its memory here, before it tells the size
        try:
            picture = _identified(data)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise ImageTooLarge(Image.MAX_IMAGE_PIXELS or 0, limits.max_pixels, "pixels", at_least=True) from None
        raw = raw_format(picture) if isinstance(picture, TiffImageFile) else None
        check_exif(picture.info.get("exif") or b"")
    if raw is not None:
        raise NotAnImage(refusal_of(raw))
    if picture.format == "JPEG2000" and not is_whole_jpeg2000(data):
        raise ImageUnreadable(_BREAKS_OFF)
    return picture


def _identified(data: bytes) -> ImageFile.ImageFile:
    """Open an image of any supported format. Raises NotAnImage, ImageUnreadable or what the format's reader raises."""
    if data.startswith(JPEG_START):
        check_jpeg(data)
        return _open_jpeg(data)
    name = format_of(data)
    if name not in (None, *NAMED_FORMATS):  # before a reader takes a raw file's preview for the picture
        raise NotAnImage(refusal_of(name))
    check_container(data)
    if name is not None:
        limit_avif_threads()
    if data.startswith(TIFF_STARTS):
        silence_tiff()
    try:
        return Image.open(BytesIO(readable_pnm(data) if is_pnm(data) else data), formats=FORMATS)
    except UnidentifiedImageError:
        reader = heif_reader() if name in HEIF_FORMATS else None
        if reader is not None:
            return reader(BytesIO(data))
        if name is None or name in HEIF_FORMATS:
            raise NotAnImage(refusal_of(name)) from None
        raise


def _open_jpeg(data: bytes) -> JpegImageFile:
    """Open a JPEG, or the first picture of an MPO, of any size: Pillow's own limit is not for decoding at 1/factor."""
    try:
        return JpegImageFile(BytesIO(data))
    except SyntaxError:
        raise NotAnImage(refusal_of(None)) from None


def _whole(data: bytes, picture: ImageFile.ImageFile, limits: Limits) -> Image.Image:
    """Decode at full size. Pillow keeps the upper 8 of 16 bits of a colour; if all are dark, the lower are read too."""
    rawmode = _raw_mode(picture)
    whole = _decoded(picture)
    if rawmode not in OTHER_BYTE or _brightest(whole) >= DARKEST_16_BIT:
        return whole
    lower = _open(data, limits)
    lower.tile = [tile._replace(args=_with_raw_mode(tile.args, OTHER_BYTE[rawmode])) for tile in lower.tile]
    return colours_of_two_bytes(whole, _decoded(lower))


def _brightest(picture: Image.Image) -> int:
    return max(place % (_MAX_8_BIT + 1) for place, n in enumerate(picture.histogram()) if n)  # of all colours


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """The order of the bytes of the pixels in the file, as Pillow's decoders name it; empty if it is not known."""
    args = picture.tile[0].args if picture.tile else None
    mode = args[0] if isinstance(args, tuple) and args else args
    return mode if isinstance(mode, str) else ""


def _with_raw_mode(args: tuple[object, ...] | str | None, mode: str) -> tuple[object, ...] | str:
    return (mode, *args[1:]) if isinstance(args, tuple) else mode


def _decoded(picture: ImageFile.ImageFile, factor: int = 1) -> Image.Image:
    """The picture, upright and RGB; a JPEG at 1/factor of its size."""
    with _faults_told(picture.width * picture.height // factor**2):
        if factor > 1:
            picture.draft(None, (max(1, picture.width // factor), max(1, picture.height // factor)))
        picture.load()
        if picture.format == "AVIF":
            picture.info.pop("xmp", None)  # Pillow would apply its orientation where the container has none
        ImageOps.exif_transpose(picture, in_place=True)
        vars(picture).pop("_decoder", None)  # WebP's and AVIF's, which hold the picture twice
        return picture if picture.mode == "RGB" else to_rgb(picture)


def _decoded_jpeg(data: bytes, factor: int) -> Image.Image:
    with _faults_told():
        picture = _open_jpeg(data)
    return _decoded(picture, factor)


@contextmanager
def _faults_told(n_pixels: int = 0) -> Iterator[None]:
    """Raise ImageUnreadable for what a codec raises, which may be any exception; OutOfMemory if memory is missing.

    Some codecs do not tell one from the other. Memory is missing if so many pixels find no place.
    """
    try:
        yield
    except VisavisError:
        raise
    except Exception as fault:
        if isinstance(fault, MemoryError) or _NO_MEMORY in str(fault).lower() or not _has_place(n_pixels):
            raise OutOfMemory from None
        raise ImageUnreadable(
            f"the image is broken or of an unusual kind ({type(fault).__name__}); save it as JPEG or PNG and send that"
        ) from fault


def _has_place(n_pixels: int) -> bool:
    try:
        np.empty((n_pixels, _BYTES_PER_PIXEL), np.uint8)
    except MemoryError:
        return False
    return True
