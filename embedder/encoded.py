"""Pictures as the bytes of files, and as addresses that hold them: for pages and answers that fetch nothing."""

import io
from base64 import b64encode
from typing import Literal

from PIL import Image


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """A picture as the bytes of a JPEG file; colours in full resolution, for faces are small."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def data_uri(kind: Literal["png", "jpeg"], content: bytes) -> str:
    """The bytes of an image file as an address."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
