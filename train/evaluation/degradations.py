"""Photos made poorer on purpose, by name: blurred, shrunk and enlarged again, strongly compressed.

Such copies show what a poor photo does to distances: the person is known, and nothing else differs.
"""

from io import BytesIO

from PIL import Image, ImageFilter

BLUR_PX = {"blur1": 1.0, "blur2": 2.0, "blur3": 3.0, "blur4": 4.0}  # sigma, for a picture of 250 px
WIDTH_PX = {"px64": 64, "px48": 48, "px32": 32}  # of the whole picture, before it is enlarged again
JPEG_QUALITY = {"jpeg20": 20, "jpeg10": 10}
BLURRED_SIDE_PX = 250  # of the longer side, that the sigmas are for

DEGRADATIONS = (*BLUR_PX, *WIDTH_PX, *JPEG_QUALITY)


def degraded(picture: Image.Image, name: str) -> bytes:
    """Return an RGB picture degraded as one of DEGRADATIONS says, as an image file. Raises ValueError for another."""
    if name in JPEG_QUALITY:
        return _file(picture, "JPEG", quality=JPEG_QUALITY[name])
    if name in BLUR_PX:
        sigma = BLUR_PX[name] * max(picture.size) / BLURRED_SIDE_PX
        return _file(picture.filter(ImageFilter.GaussianBlur(sigma)), "BMP")
    if name in WIDTH_PX:
        return _file(_shrunk_and_enlarged(picture, WIDTH_PX[name]), "BMP")
    raise ValueError(f"a degradation must be one of {', '.join(DEGRADATIONS)}, not {name!r}")


def _shrunk_and_enlarged(picture: Image.Image, width: int) -> Image.Image:
    small = width, max(1, round(width * picture.height / picture.width))
    return picture.resize(small, Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)


def _file(picture: Image.Image, kind: str, **options: int) -> bytes:
    """Encode it; BMP is lossless and quick."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
