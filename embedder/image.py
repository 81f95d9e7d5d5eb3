"""Image bytes -> one photo, upright and RGB. Limits are checked on the header, before any pixel is decoded.

A large JPEG is decoded at a fraction of its size, so that libjpeg computes fewer pixels. It is decoded again at a
larger size only if a face is too small.

EXIF orientation is applied once; in AVIF and HEIC the container's own orientation counts instead. Only the first frame
of an animation is used, and transparent pixels are blended with white. ICC profiles are ignored, because the networks
were trained on unconverted pixels.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from .errors import ImageTooLarge, ImageUnreadable, NotAnImage, OutOfMemory
from .image_formats import (
    FORMATS,
    FORMATS_IN_WORDS,
    HEIF_FORMATS,
    JPEG_END,
    JPEG_START,
    NAMED_FORMATS,
    ImageReader,
    ended_jpeg,
    format_of,
    heif_reader,
    is_decoded_by_rows,
    is_whole_jpeg2000,
    lacks_pixels,
    limit_avif_threads,
    raw_format,
    refusal_of,
)
from .types import Tone

FACTORS = (8, 4, 2, 1)
FIRST_SIDE_PX = 320  # least longer side after the first decoding; enough for most faces

_MIDDLE_GREY = (128, 128, 128)
_CLIPPED = 0.01  # of the values, at each end
_TONE_FACTOR = 4  # the size at which the tone is measured: fast, and with less noise


class Photo:
    """An upright RGB photo at several sizes. Not thread-safe."""

    def __init__(self, size: tuple[int, int], decode: Callable[[int], Image.Image], *, least_factor: int = 1) -> None:
        """Decode the photo once; `decode` returns it at 1/factor of `size` (rounded up), or at full size.

        `least_factor` is 2 if the photo is too large to be decoded at full size.
        """
        self.size = size  # width, height, in px
        self._decode, self._least_factor = decode, least_factor
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
        return max(factor_for(shrinking), self._least_factor)

    @property
    def least_factor(self) -> int:
        """The factor of the largest size at which the photo may be decoded."""
        return self._least_factor

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
        return Photo(self.size, lambda factor: self.at(factor).point(table), least_factor=self._least_factor)

    def _take(self, factor: int) -> None:
        picture = self._decode(factor)
        self._at[1 if picture.size == self.size else factor] = picture


def _is_left_large(size: tuple[int, int], factor: int) -> bool:
    return max(size) >= factor * FIRST_SIDE_PX and min(size) >= factor


def factor_for(shrinking: float) -> int:
    """The largest of FACTORS that does not exceed `shrinking`; 1 if there is none."""
    return next((factor for factor in FACTORS if factor <= shrinking), 1)


_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_BREAKS_OFF = "the image is broken: it ends before its last pixels; send the whole file"
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


def decode_image(data: bytes, limits: Limits, reserve: Callable[[int], None] = lambda _: None) -> Photo:
    """Read an image file and decode it at the size that face detection needs first.

    `reserve` is called with the number of pixels of the largest size, before any is decoded.

    Raises ImageTooLarge, NotAnImage, ImageUnreadable or OutOfMemory. The photo's methods raise the last two.
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
    return Photo(whole.size, lambda _: whole)


def decode_jpeg(data: bytes, factor: int) -> Image.Image:
    """Decode a JPEG that `decode_image` accepts at 1/factor of its size. Raises ImageUnreadable or OutOfMemory."""
    return _decoded_jpeg(_ended(data), factor)


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


_MAX_8_BIT, _MAX_16_BIT = 255, 65535
_DEPTHS = (8, 10, 12, 14, 16)  # bits
_DARKEST_16_BIT = 2**14 >> 8  # the upper byte of a value that needs more than 14 bits
_FLOATS_EXCEED = 2  # the greatest value of floats, as a multiple of their range
_BELOW = 0.1  # the same, below 0
# Where Pillow takes one byte of two for each colour: the way to take the other one.
_OTHER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": f"RGB;16{'B' if sys.byteorder == 'little' else 'L'}",
}


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    try:
        is_sideways = picture.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    except Exception as fault:  # as in _open
        raise _unreadable(fault) from fault
    return (picture.height, picture.width) if is_sideways else picture.size


def _open(data: bytes, limits: Limits) -> ImageFile.ImageFile:
    if not data:
        raise NotAnImage(f"the image is empty (0 bytes); send a {FORMATS_IN_WORDS} file")
    try:
        picture = _identified(data)
        raw = raw_format(picture) if isinstance(picture, TiffImageFile) else None
    except (ImageUnreadable, NotAnImage):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLarge(Image.MAX_IMAGE_PIXELS or 0, limits.max_pixels, "pixels", at_least=True) from None
    except Exception as fault:  # a codec may raise any exception on hostile bytes; all of them mean an unreadable image
        raise _unreadable(fault) from fault
    if raw is not None:
        raise NotAnImage(refusal_of(raw))
    if picture.format == "JPEG2000" and not is_whole_jpeg2000(data):
        raise ImageUnreadable(_BREAKS_OFF)
    return picture


def _identified(data: bytes) -> ImageFile.ImageFile:
    """Open an image of any supported format. Raises NotAnImage, ImageUnreadable or what the format's reader raises."""
    if data.startswith(JPEG_START):
        return _open_jpeg(data)
    name = format_of(data)
    if name not in (None, *NAMED_FORMATS):  # before a reader takes a raw file's preview for the picture
        raise NotAnImage(refusal_of(name))
    if name is not None:
        limit_avif_threads()
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as fault:
        reader = heif_reader() if name in HEIF_FORMATS else None
        if reader is not None:
            return _opened(data, reader)
        if name is None or name in HEIF_FORMATS:
            raise NotAnImage(refusal_of(name)) from None
        raise _unreadable(fault) from None


def _open_jpeg(data: bytes) -> JpegImageFile:
    """Open a JPEG, or the first picture of an MPO, of any size: Pillow's own limit is not for decoding at 1/factor."""
    try:
        return JpegImageFile(BytesIO(data))
    except SyntaxError:
        raise NotAnImage(refusal_of(None)) from None


def _opened(data: bytes, reader: ImageReader) -> ImageFile.ImageFile:
    try:
        return reader(BytesIO(data))
    except SyntaxError as fault:  # what readers raise for a format that is not theirs, or broken
        raise _unreadable(fault) from fault


def _whole(data: bytes, picture: ImageFile.ImageFile, limits: Limits) -> Image.Image:
    """Decode at full size. Pillow keeps the upper 8 of 16 bits of a colour; if all are dark, the lower are read too."""
    rawmode = _raw_mode(picture)
    whole = _decoded(picture)
    if rawmode not in _OTHER_BYTE or np.asarray(whole).max() >= _DARKEST_16_BIT:
        return whole
    lower = _open(data, limits)
    lower.tile = [tile._replace(args=_with_raw_mode(tile.args, _OTHER_BYTE[rawmode])) for tile in lower.tile]
    values = np.asarray(whole).astype(np.uint16) << 8 | np.asarray(_decoded(lower))
    return Image.fromarray(_to_8_bit(values))


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """The order of the bytes of the pixels in the file, as Pillow's decoders name it; empty if it is not known."""
    args = picture.tile[0].args if picture.tile else None
    mode = args[0] if isinstance(args, tuple) and args else args
    return mode if isinstance(mode, str) else ""


def _with_raw_mode(args: tuple[object, ...] | str | None, mode: str) -> tuple[object, ...] | str:
    return (mode, *args[1:]) if isinstance(args, tuple) else mode


def _decoded(picture: ImageFile.ImageFile, factor: int = 1) -> Image.Image:
    """The picture, upright and RGB; a JPEG at 1/factor of its size."""
    try:
        if factor > 1:
            picture.draft(None, (max(1, picture.width // factor), max(1, picture.height // factor)))
        picture.load()
        if picture.format == "AVIF":
            picture.info.pop("xmp", None)  # Pillow would apply its orientation where the container has none
        ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture)
    except ImageUnreadable:
        raise
    except Exception as fault:  # as in _open
        raise _unreadable(fault) from fault


def _decoded_jpeg(data: bytes, factor: int) -> Image.Image:
    try:
        picture = _open_jpeg(data)
    except Exception as fault:  # as in _open
        raise _unreadable(fault) from fault
    return _decoded(picture, factor)


def _unreadable(fault: Exception) -> ImageUnreadable | OutOfMemory:
    if isinstance(fault, MemoryError):
        return OutOfMemory()
    return ImageUnreadable(
        f"the image is broken or of an unusual kind ({type(fault).__name__}); save it as JPEG or PNG and send that"
    )


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    if picture.mode in _TRANSPARENT_MODES or "transparency" in picture.info:
        return _over_white(picture.convert("RGBA"))
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(picture))).convert("RGB")
    return picture.convert("RGB")


def _over_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Scale integers or floats to 0..255, by their greatest value.

    Integers are taken for numbers of 8, 10, 12, 14 or 16 bits, whichever is the least that contains all of them,
    because cameras and scanners store fewer bits in 16. A picture of 16 bits that is nowhere brighter than a quarter of
    the range thus becomes brighter. Floats up to 2 are taken for 0..1, floats up to 510 for 0..255, because rounding
    and resampling exceed the range a little; what exceeds it is clipped. Larger floats are taken for integers.
    """
    numbers = values.astype(np.float64) if values.dtype.kind == "f" else values
    if not np.isfinite(numbers).all():
        raise ImageUnreadable(
            "the image contains values that are not finite (NaN or infinity); save it as 8-bit and send that"
        )
    low, high = float(numbers.min()), float(numbers.max())
    top = _range(high, is_float=values.dtype.kind == "f")
    if low < -_BELOW * top or high > _MAX_16_BIT:
        raise ImageUnreadable(
            f"the image contains values from {low:g} to {high:g}, outside 0 to 65535; save it as 8-bit"
        )
    scaled: np.ndarray = np.rint(np.clip(numbers, 0, top) * (_MAX_8_BIT / top)).astype(np.uint8)
    return scaled


def _range(high: float, *, is_float: bool) -> int:
    """The top of the range that a picture with this greatest value has."""
    if is_float and high <= _FLOATS_EXCEED * _MAX_8_BIT:
        return 1 if high <= _FLOATS_EXCEED else _MAX_8_BIT
    return next((2**bits - 1 for bits in _DEPTHS if high < 2**bits), _MAX_16_BIT)
