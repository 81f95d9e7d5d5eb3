"""Image bytes -> one photo, upright and RGB. Limits are checked on the header, before any pixel is decoded.

A large JPEG is decoded at a fraction of its size, so that libjpeg computes fewer pixels. It is decoded again at a
larger size only if a face is too small.

EXIF orientation is applied, only the first frame of an animation is used, and transparent pixels are blended with
white. ICC profiles are ignored, because the networks were trained on unconverted pixels.
"""

import io
import stat
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .errors import ImageTooLarge, ImageUnreadable, NotAnImage

FACTORS = (8, 4, 2, 1)
FIRST_SIDE_PX = 320  # least longer side after the first decoding; enough for most faces


MIN_SPAN, LEAST_SPAN = 64, 8  # grey levels: below the first a picture is flat, below the second it shows nothing
DARK = 50  # mean grey level below which a picture is called dark
_CLIPPED = 0.01  # of the values, at each end
_TONE_FACTOR = 4  # the size at which the tone is measured: fast, and with less noise


@dataclass(frozen=True, slots=True)
class Tone:
    """The brightness of a picture, in grey levels 0..255."""

    mean: float
    low: int  # 1% of the values are lower
    high: int  # 1% of the values are higher

    @property
    def is_stretchable(self) -> bool:
        """Whether the picture is so dark or flat that its grey levels should be stretched."""
        return LEAST_SPAN <= self.high - self.low < MIN_SPAN

    @property
    def fault(self) -> str | None:
        """What is wrong with the light, in words; None if nothing is."""
        if self.mean < DARK:
            return f"the picture is very dark (mean grey {self.mean:.0f} of 255)"
        if self.high - self.low < MIN_SPAN:
            return f"the picture is flat or washed out (its grey levels span {self.high - self.low} of 255)"
        return None


class Photo:
    """An upright RGB photo at several sizes. Not thread-safe."""

    def __init__(self, size: tuple[int, int], decode: Callable[[int], Image.Image]) -> None:
        """Decode the photo once; `decode` returns it at 1/factor of `size` (rounded up), or at full size."""
        self.size = size  # width, height, in px
        self._decode = decode
        self._at: dict[int, Image.Image] = {}
        self._take(next(factor for factor in FACTORS if factor == 1 or _is_left_large(size, factor)))

    @classmethod
    def of(cls, picture: Image.Image) -> "Photo":
        """Return a photo of an upright RGB picture that is already decoded."""
        return cls(picture.size, lambda _: picture)

    def at(self, factor: int) -> Image.Image:
        """The picture at 1/factor of its size, each side rounded up; `factor` is one of FACTORS.

        Raises ImageUnreadable.
        """
        if all(known > factor for known in self._at):
            self._take(factor)
        if factor not in self._at:
            nearest = max(known for known in self._at if known < factor)
            self._at[factor] = self._at[nearest].reduce(factor // nearest)
        return self._at[factor]

    def tone(self) -> Tone:
        """Measure the brightness. Raises ImageUnreadable."""
        histogram = self.at(_TONE_FACTOR).histogram()
        counts = np.array(histogram).reshape(3, -1).sum(axis=0)
        shares = counts.cumsum() / counts.sum()
        low, high = np.searchsorted(shares, (_CLIPPED, 1 - _CLIPPED))
        return Tone(float(counts @ np.arange(len(counts)) / counts.sum()), int(low), int(high))

    def stretched(self, tone: Tone) -> "Photo":
        """The same photo with the grey levels from `tone.low` to `tone.high` stretched to 0..255, in all colours."""
        levels = (np.arange(_MAX_8_BIT + 1) - tone.low) * (_MAX_8_BIT / max(tone.high - tone.low, 1))
        table = np.rint(levels.clip(0, _MAX_8_BIT)).astype(int).tolist() * 3
        return Photo(self.size, lambda factor: self.at(factor).point(table))

    def _take(self, factor: int) -> None:
        picture = self._decode(factor)
        self._at[1 if picture.size == self.size else factor] = picture


def _is_left_large(size: tuple[int, int], factor: int) -> bool:
    return max(size) >= factor * FIRST_SIDE_PX and min(size) >= factor


def factor_for(shrinking: float) -> int:
    """The largest of FACTORS that does not exceed `shrinking`; 1 if there is none."""
    return next((factor for factor in FACTORS if factor <= shrinking), 1)


# JPEG includes MPO (a JPEG to which phones append a second picture), PPM includes PGM.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, BMP, TIFF, GIF, PGM or PPM"
# File suffixes of these formats; case is ignored.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".pgm", ".ppm", ".pnm"),
)
# Suffixes of unsupported photo formats. These files are listed, then refused as not_an_image, so that they are counted.
UNREAD_SUFFIXES = (".avif", ".heic", ".heif", ".hif", ".j2k", ".jp2", ".jxl")
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_SCALED_FORMATS = ("JPEG", "MPO")  # they can be decoded at a fraction of their size
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_MAX_8_BIT, _MAX_16_BIT = 255, 65535
_TO_8_BIT = _MAX_16_BIT / _MAX_8_BIT  # 257: 65535 becomes 255 exactly


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum size of an image: bytes as sent, pixels according to its header."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


def decode_image(data: bytes, limits: Limits) -> Photo:
    """Read an image file and decode it at the size that face detection needs first.

    Raises ImageTooLarge, NotAnImage or ImageUnreadable. The photo's methods raise ImageUnreadable.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(len(data), limits.max_bytes, "bytes")
    picture = _open(data, limits)
    n_pixels = picture.width * picture.height
    if n_pixels > limits.max_pixels:
        raise ImageTooLarge(n_pixels, limits.max_pixels, "pixels")
    if picture.format in _SCALED_FORMATS:
        return Photo(_upright_size(picture), lambda factor: _decoded(_open(data, limits), factor))
    whole = _decoded(picture)
    return Photo(whole.size, lambda _: whole)


def is_named_as_photo(name: str) -> bool:
    """Return whether a file's suffix is that of a photo; the format may be unsupported."""
    return name.lower().endswith((*IMAGE_SUFFIXES, *UNREAD_SUFFIXES))


def image_file(path: Path) -> bytes:
    """Read a regular file within the size limit; reading a pipe could block forever. Raises OSError, ImageTooLarge."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError("not a regular file")
    if facts.st_size > Limits().max_bytes:
        raise ImageTooLarge(facts.st_size, Limits().max_bytes, "bytes")
    return path.read_bytes()


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    try:
        is_sideways = picture.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    except Exception as fault:  # as in _open
        raise _unreadable(fault) from fault
    return (picture.height, picture.width) if is_sideways else picture.size


def _open(data: bytes, limits: Limits) -> Image.Image:
    if not data:
        raise NotAnImage(f"the image is empty (0 bytes); send a {FORMATS_IN_WORDS} file")
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise NotAnImage(f"the bytes are not in a supported image format; send a {FORMATS_IN_WORDS} file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLarge(Image.MAX_IMAGE_PIXELS or 0, limits.max_pixels, "pixels", at_least=True) from None
    except Exception as fault:  # a codec may raise any exception on hostile bytes; all of them mean an unreadable image
        raise _unreadable(fault) from fault


def _decoded(picture: Image.Image, factor: int = 1) -> Image.Image:
    """The picture, upright and RGB; a JPEG at 1/factor of its size."""
    try:
        if factor > 1:
            picture.draft(None, (picture.width // factor, picture.height // factor))
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture)
    except ImageUnreadable:
        raise
    except Exception as fault:  # as above
        raise _unreadable(fault) from fault


def _unreadable(fault: Exception) -> ImageUnreadable:
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
    """Scale a grey picture to 0..255, from integers (0..65535) or floats (0..1, 0..255 or 0..65535, by the maximum)."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ImageUnreadable(
            "the image contains values that are not finite (NaN or infinity); save it as 8-bit and send that"
        )
    low, high = numbers.min(), numbers.max()
    if low < 0 or high > _MAX_16_BIT:
        raise ImageUnreadable(
            f"the image contains values from {low:g} to {high:g}, outside 0 to 65535; save it as 8-bit"
        )
    return np.rint(numbers * _scale(high, is_float=values.dtype.kind == "f")).astype(np.uint8)


def _scale(high: float, *, is_float: bool) -> float:
    if is_float and high <= 1:
        return _MAX_8_BIT
    if is_float and high <= _MAX_8_BIT:
        return 1.0
    return 1 / _TO_8_BIT


def png(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """Encode a picture as JPEG, without chroma subsampling, because faces are small."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def data_uri(kind: Literal["png", "jpeg"], content: bytes) -> str:
    """Encode the bytes of an image file as a data URI."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
