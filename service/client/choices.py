"""What a caller may choose beside the images: which face, and which threshold. Refused here, before a photo travels."""

from typing import get_args

from pydantic import TypeAdapter, ValidationError

from ..wire import FaceChoice, Threshold

_THRESHOLD: TypeAdapter[float] = TypeAdapter(Threshold)


def checked_face(face: FaceChoice) -> FaceChoice:
    """Return `face` if it is one of the named choices; ValueError otherwise."""
    if face not in get_args(FaceChoice):
        raise ValueError(f"face is one of {', '.join(get_args(FaceChoice))}; not {face!r}")
    return face


def checked_threshold(threshold: float | None) -> float | None:
    """Return `threshold` if the wire can carry it; ValueError otherwise. None asks for the model card's own."""
    if threshold is None:
        return None
    try:
        return _THRESHOLD.validate_python(threshold)
    except ValidationError as error:
        raise ValueError(f"threshold={threshold!r}: {error.errors()[0]['msg']}") from None
