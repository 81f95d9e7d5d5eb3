"""What a caller may choose beside the images: face, strictness, quality. Refused here, before a photo travels."""

from typing import get_args

from pydantic import ValidationError

from ..wire import DecisionOptions, FaceChoice, QualityChoice


def checked_face(face: FaceChoice) -> FaceChoice:
    """Return `face` if it is one of the named choices; ValueError otherwise."""
    if face not in get_args(FaceChoice):
        raise ValueError(f"face is one of {', '.join(get_args(FaceChoice))}; not {face!r}")
    return face


def checked_quality(quality: QualityChoice) -> QualityChoice:
    """Return `quality` if it is one of the named choices; ValueError otherwise."""
    if quality not in get_args(QualityChoice):
        raise ValueError(f"quality is one of {', '.join(get_args(QualityChoice))}; not {quality!r}")
    return quality


def checked_standard(threshold: float | None, operating_point: str | None, prior: float) -> DecisionOptions:
    """Return what the three say if the wire can carry it; ValueError otherwise. Neither of two: the card's choice."""
    said: dict[str, object] = {"threshold": threshold, "operating_point": operating_point, "prior": prior}
    try:
        return DecisionOptions.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        places = [f"{name}={said[name]!r}" for name in said if name in fault["loc"]]
        raise ValueError(": ".join([*places, fault["msg"]])) from None
