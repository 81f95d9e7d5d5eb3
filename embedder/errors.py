"""What can go wrong between an image's bytes and a decision.

VisavisError
├── SampleError                one image of the request is at fault; `image` says which, where there are two
│   ├── ImageError             its bytes
│   │   ├── ImageTooLarge      more bytes or pixels than allowed
│   │   ├── NotAnImage         not a format we read
│   │   └── ImageUnreadable    a format we read, but broken
│   ├── FaceError              its faces
│   │   ├── NoFace             none found
│   │   └── SeveralFaces       more than the choice allows
│   └── LowQuality             its face is too poor to be told from others
├── ModelError
│   ├── BundleError            a model bundle that cannot be used
│   ├── DlibFileError          a dlib .dat file that is not the one we know
│   ├── SFaceFileError         an SFace .onnx file that is not the one we know
│   └── RuntimeUnavailable     what is to run the model is not to be had here
├── DigestMismatch             embeddings that different models made, or one in different precisions
├── OperatingPointUnavailable  the model card has no such operating point
└── UnknownLayer               the network has no layer of that name

A message says what happened, with which value, and what to do; it never names a person's file.
Mistakes of the calling programmer are ValueError or TypeError.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class VisavisError(Exception):
    """The root of everything visavis refuses; `code` is stable and machine-readable."""

    code: ClassVar[str] = "visavis_error"


class SampleError(VisavisError):
    """One image cannot be used. `image` is "probe", "reference" or None when there is just one."""

    code = "sample_error"
    image: str | None = None


class ImageError(SampleError):
    """The bytes of an image cannot be used."""

    code = "image_error"


class ImageTooLarge(ImageError):
    """More bytes or pixels than the limit; seen before any pixel is decoded."""

    code = "image_too_large"

    def __init__(self, size: int, limit: int, unit: str, *, at_least: bool = False) -> None:
        more = "more than " if at_least else ""
        super().__init__(f"the image has {more}{size:,} {unit}, the limit is {limit:,}; send a smaller one")
        self.size, self.limit, self.unit = size, limit, unit


class NotAnImage(ImageError):
    """The bytes are in no format that is read here."""

    code = "not_an_image"


class ImageUnreadable(ImageError):
    """The format is known, but the pixels cannot be had from it."""

    code = "image_unreadable"


class FaceError(SampleError):
    """The faces in an image do not fit what was asked; `n_faces` were found."""

    code = "face_error"
    n_faces: int


class NoFace(FaceError):
    """No face was found."""

    code = "no_face"
    n_faces = 0

    def __init__(self) -> None:
        super().__init__("no face was found; send a photo in which one face is upright and large enough to see")


class SeveralFaces(FaceError):
    """More faces than the choice allows."""

    code = "several_faces"

    def __init__(self, n_faces: int, message: str) -> None:
        super().__init__(message)
        self.n_faces = n_faces


class LowQuality(SampleError):
    """The photo is poorer than any that the model's penalty for poor photos was measured on.

    `measure` is the one that is too low, `value` what was measured, `limit` what it takes at least.
    """

    code = "low_quality"

    def __init__(self, measure: str, value: float, limit: float, *, advice: str) -> None:
        super().__init__(
            f"the photo is too poor: {measure} is {value:.3g} and must be at least {limit:.3g}; {advice}, or say "
            "quality=ignore and expect errors"
        )
        self.measure, self.value, self.limit = measure, value, limit


class ModelError(VisavisError):
    """A model cannot be used as asked."""

    code = "model_error"


class BundleError(ModelError):
    """A model bundle is missing, broken, altered or not fit to serve."""

    code = "bundle_error"


class DlibFileError(ModelError):
    """A dlib .dat file is truncated, altered or not the face recognition network; the message says where."""

    code = "dlib_file_error"


class SFaceFileError(ModelError):
    """An SFace .onnx file is truncated, altered or not the face recognition network; the message says in what."""

    code = "sface_file_error"


class RuntimeUnavailable(ModelError):
    """The library, device or precision that a model is to run with is not to be had here; the message says what is."""

    code = "runtime_unavailable"


class DigestMismatch(VisavisError):
    """Two embeddings were made by different models or in different precisions, so their distance means nothing.

    `precisions` are ours and theirs, where one model made them; else None.
    """

    code = "digest_mismatch"

    def __init__(self, ours: str, theirs: str, *, precisions: tuple[str, str] | None = None) -> None:
        what = f"the embedding was made by model {theirs[:19]}, this is {ours[:19]}"
        if precisions is not None:
            what += f": the same model, but in {precisions[1]}, and this computes in {precisions[0]}"
        super().__init__(f"{what}; embed the photo again with this model")
        self.ours, self.theirs, self.precisions = ours, theirs, precisions


class OperatingPointUnavailable(VisavisError):
    """The card has no such operating point, or none at all; `available` are the names of those it has."""

    code = "operating_point_unavailable"

    def __init__(self, asked: str | None, fmr_of: Mapping[str, float | None]) -> None:
        """Tell what was asked for (None: the default point), and every point's name with its FMR (None: unmeasured)."""
        what = "" if asked is None else f" {asked[:64]!a}"
        super().__init__(f"the model card has no operating point{what}; {_points_in_words(fmr_of)}")
        self.asked, self.available = asked, tuple(fmr_of)


class UnknownLayer(VisavisError):
    """The network has no layer of that name; `available` are the names of those it has."""

    code = "unknown_layer"

    def __init__(self, asked: str, available: Sequence[str]) -> None:
        super().__init__(f"the network has no layer {asked[:64]!a}; it has {', '.join(available)}")
        self.asked, self.available = asked, tuple(available)


def _points_in_words(fmr_of: Mapping[str, float | None]) -> str:
    if not fmr_of:
        return "it has none at all: run visavis calibrate on photos of yours, or give a threshold"
    points = ", ".join(
        f"{name} (FMR {'not measured' if fmr is None else f'{fmr:.3g}'})" for name, fmr in fmr_of.items()
    )
    return f"it has {points}; name one, or say fmr=X, 0 < X <= 1, for the nearest that is at least that strict"
