"""Convert the caller's images and embeddings to the bytes that are sent.

numpy and Pillow are imported only if the caller passes an array or a PIL image; bytes, paths and lists need neither.

Image files are sent without decoding, so that only the service's decoder determines their pixels.
"""

import os
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeGuard, Union

from pydantic import TypeAdapter, ValidationError

from ..wire import MAX_EMBEDDINGS, CompareRequest, DecisionOptions, EmbeddingResponse, Vector
from .errors import DigestMismatchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

# Union, because `|` does not accept the name of a class that may not be installed.
ImageInput: TypeAlias = Union[
    str, os.PathLike[str], bytes, bytearray, memoryview, BinaryIO, "NDArray[np.uint8]", "Image.Image"
]

# Modes that PNG stores losslessly; three more that only TIFF does. Others (YCbCr, LAB, HSV) need a conversion.
FORMAT_OF_MODE = {
    **dict.fromkeys(("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"), "PNG"),
    **dict.fromkeys(("CMYK", "F", "I"), "TIFF"),
}
RGB_DIMENSIONS, GREY_DIMENSIONS, N_CHANNELS = 3, 2, 3


def read_image(image: ImageInput) -> bytes:
    """Get the bytes of an image file from a path, bytes, a binary file, an array or a PIL image.

    A str is a path, never a URL. A file is read from its current position and stays open. An array is uint8, RGB
    (h, w, 3) or grey (h, w); OpenCV's arrays are BGR and need `array[..., ::-1]`. A PIL image with an EXIF orientation
    is rotated accordingly, as the service does with a file, so that both give the same answer; after
    `ImageOps.exif_transpose` it has no orientation and is not changed. Its other metadata (place, time) is not sent.

    Raises:
        TypeError: another type, an array of another dtype, or a file opened as text.
        ValueError: an array of another shape, or a PIL image of a mode that no file format stores losslessly.
        OSError: the path cannot be read.
        ModuleNotFoundError: an array is passed, and Pillow is not installed.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if _is_array(image):
        return encode(picture_of(image))
    if _is_picture(image):
        return encode(_upright(image))
    return _read_file(image)


def picture_of(pixels: "NDArray[np.uint8]") -> "Image.Image":
    """Convert uint8 pixels, (h, w, 3) RGB or (h, w) grey, to a PIL image."""
    if pixels.dtype.name != "uint8":
        raise TypeError(f"an image array must have dtype uint8, 0 to 255, not {pixels.dtype}")
    is_grey = pixels.ndim == GREY_DIMENSIONS
    is_rgb = pixels.ndim == RGB_DIMENSIONS and pixels.shape[-1] == N_CHANNELS
    if not (is_grey or is_rgb) or pixels.size == 0:
        raise ValueError(f"an image array must be (h, w, 3) RGB or (h, w) grey, and not empty; not {pixels.shape}")
    try:
        from PIL import Image  # noqa: PLC0415 - bytes and paths do not need it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Pillow is not installed, which sending an array needs; run: pip install pillow, or 'visavis[service]', "
            "which includes it",
            name=error.name,
        ) from error
    return Image.fromarray(pixels)


def encode(picture: "Image.Image") -> bytes:
    """Encode a PIL image losslessly: as PNG, or as TIFF for CMYK, 32-bit and float pixels."""
    file_format = FORMAT_OF_MODE.get(picture.mode)
    if file_format is None:
        raise ValueError(
            f"no file format stores a PIL image of mode {picture.mode} losslessly; send image.convert('RGB')"
        )
    out = BytesIO()
    if file_format == "PNG":
        picture.save(out, "PNG", compress_level=1)  # sent once, so speed matters more than size
    else:
        picture.save(out, "TIFF")
    return out.getvalue()


def _upright(picture: "Image.Image") -> "Image.Image":
    from PIL import ImageOps  # noqa: PLC0415 - as above; a caller with a PIL image has Pillow

    return ImageOps.exif_transpose(picture)


def _is_array(thing: object) -> "TypeGuard[NDArray[np.uint8]]":
    return _is_one_of(thing, "numpy", "ndarray")


def _is_picture(thing: object) -> "TypeGuard[Image.Image]":
    return _is_one_of(thing, "PIL.Image", "Image")


def _is_one_of(thing: object, module: str, kind: str) -> bool:
    """Return whether it is an instance of a class whose library may be absent; if it is, the library is imported."""
    return isinstance(thing, getattr(sys.modules.get(module), kind, ()))


def _read_file(image: object) -> bytes:
    read = getattr(image, "read", None)
    if not callable(read):
        raise TypeError(
            f"an image must be a path, bytes, a binary file, a uint8 array or a PIL image, not {type(image).__name__}"
        )
    content = read()
    if not isinstance(content, bytes):
        raise TypeError('an image file must be opened in binary mode: open(path, "rb")')
    return content


EmbeddingInput: TypeAlias = Union[EmbeddingResponse, Sequence[float], "NDArray[np.floating]"]

_VECTOR: TypeAdapter[list[float]] = TypeAdapter(Vector)


def comparison_of(
    probe: EmbeddingInput,
    references: Sequence[EmbeddingInput],
    *,
    model_digest: str | None,
    options: DecisionOptions,
) -> CompareRequest:
    """Check that all embeddings come from one model, and build the request.

    Raises:
        DigestMismatchError: they come from different models.
        TypeError: bare vectors without `model_digest`.
        ValueError: a vector of another size or with NaN, no reference, or more than 1,000.
    """
    if not 1 <= len(references) <= MAX_EMBEDDINGS:
        raise ValueError(f"compare with 1 to {MAX_EMBEDDINGS:,} references, not {len(references):,}")
    vectors = [_vector_of(each) for each in (probe, *references)]
    sizes = sorted({len(vector) for vector in vectors})
    if len(sizes) > 1:
        raise ValueError(f"these are not embeddings of one model: they have {' and '.join(map(str, sizes))} numbers")
    return CompareRequest(
        probe=vectors[0],
        references=vectors[1:],
        model_digest=_common_digest([probe, *references], model_digest),
        **dict(options),
    )


def _common_digest(embeddings: Sequence[EmbeddingInput], given: str | None) -> str:
    of_answers = {embedding.model.digest for embedding in embeddings if isinstance(embedding, EmbeddingResponse)}
    digests = of_answers | ({given} if given is not None else set())
    if not digests:
        raise TypeError("bare vectors do not say which model made them; pass model_digest=")
    if len(digests) > 1:
        names = ", ".join(sorted(digest[:19] for digest in digests))
        raise DigestMismatchError(
            f"these embeddings come from different models or precisions ({names}); embed the photos again with one"
        )
    return digests.pop()


def _vector_of(embedding: EmbeddingInput) -> list[float]:
    numbers = embedding.embedding if isinstance(embedding, EmbeddingResponse) else embedding
    if _is_array(numbers):
        numbers = numbers.tolist()
    try:
        return _VECTOR.validate_python(numbers)
    except ValidationError as error:  # its text would show the embedding
        reason = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ValueError(f"this is not an embedding: {reason}") from None
