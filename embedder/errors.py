"""The errors that visavis raises.

VisavisError
├── SampleError                one image cannot be used; `image` is "probe" or "reference" where there are two
│   ├── ImageError             its bytes cannot be used
│   │   ├── ImageTooLarge      more bytes or pixels than allowed
│   │   ├── NotAnImage         not in a supported format
│   │   ├── ImageUnreadable    in a supported format, but broken
│   │   └── ImageTooSlow       decoding it takes too long or too much memory
│   ├── FaceError              its faces do not fit the face choice
│   │   ├── NoFace             no face found
│   │   ├── SeveralFaces       more faces than the choice allows
│   │   ├── NoSuchFace         no face at this point or with this index
│   │   └── TooManyFaces       more faces than one call embeds
│   ├── LowQuality             the photo is too poor for a reliable decision
│   └── FaceCovered            the same part of both faces is covered
├── ModelError
│   ├── BundleError            the model bundle cannot be used
│   ├── DlibFileError          not the expected dlib .dat file
│   ├── SFaceFileError         not the expected SFace .onnx file
│   └── RuntimeUnavailable     the library, device or precision is not available
├── DigestMismatch             embeddings of different models, or of one model in different precisions
├── DeadlineExceeded           the time limit of the work is over, or nobody waits for its result
├── OutOfMemory                the machine has too little memory left
├── OperatingPointUnavailable  the model card has no such operating point
└── UnknownLayer               the network has no layer of that name

Each message states the problem, the value and the remedy. It never contains the name of a person's file.
Programming errors of the caller raise ValueError or TypeError.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


def printable(text: str, longest: int = 200) -> str:
    """Return text of unknown origin as one line for a message: characters that do not print escaped, and cut."""
    shown = text if len(text) <= longest else text[:longest] + "..."
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)


class VisavisError(Exception):
    """The base class of all errors that visavis raises; `code` is stable and machine-readable."""

    code: ClassVar[str] = "visavis_error"


class SampleError(VisavisError):
    """One image cannot be used. `image` is "probe" or "reference", or None if there is only one image."""

    code = "sample_error"
    image: str | None = None


class ImageError(SampleError):
    """The bytes of an image cannot be used."""

    code = "image_error"


class ImageTooLarge(ImageError):
    """The image has more bytes or pixels than the limit. Raised before any pixel is decoded."""

    code = "image_too_large"

    def __init__(self, size: int, limit: int, unit: str, *, at_least: bool = False) -> None:
        more = "more than " if at_least else ""
        super().__init__(f"the image has {more}{size:,} {unit}, the limit is {limit:,}; send a smaller one")
        self.size, self.limit, self.unit, self.at_least = size, limit, unit, at_least


class NotAnImage(ImageError):
    """The bytes are not in a supported image format."""

    code = "not_an_image"


class ImageUnreadable(ImageError):
    """The format is supported, but the pixels cannot be decoded."""

    code = "image_unreadable"


class ImageTooSlow(ImageError):
    """Decoding the image takes more time or memory than any ordinary image of its size does."""

    code = "image_too_slow"


class FaceError(SampleError):
    """The faces in an image do not fit the face choice. `n_faces` is the number of faces found."""

    code = "face_error"
    n_faces: int


class NoFace(FaceError):
    """No face was found. `light` states what is wrong with the light, None if nothing is."""

    code = "no_face"
    n_faces = 0

    def __init__(self, light: str | None = None) -> None:
        reason = "the face may be small, covered, or lie at an angle" if light is None else light
        kind = "a photo" if light is None else "a photo taken in more even light"
        super().__init__(
            f"no face was found: {reason}; send {kind} in which one face is upright and large enough to see"
        )
        self.light = light


class SeveralFaces(FaceError):
    """The image shows more faces than the choice allows."""

    code = "several_faces"

    def __init__(self, n_faces: int, message: str) -> None:
        super().__init__(message)
        self.n_faces = n_faces


class NoSuchFace(FaceError):
    """The image shows no face at the given point or with the given index."""

    code = "no_such_face"

    def __init__(self, n_faces: int, message: str) -> None:
        super().__init__(message)
        self.n_faces = n_faces


class TooManyFaces(FaceError):
    """The images of one call show more faces than one call embeds; this one is over the limit."""

    code = "too_many_faces"

    def __init__(self, n_faces: int, limit: int, *, n_before: int = 0) -> None:
        before = f" after {n_before} in the images before it" if n_before else ""
        remedy = "send it in another request" if n_before else "send parts of the picture one by one"
        super().__init__(f"found {n_faces} faces{before}, more than the {limit} that one request embeds; {remedy}")
        self.n_faces = n_faces


class LowQuality(SampleError):
    """The photo is poorer than nearly all photos that the model's penalty was measured on.

    `measure` is the name of the measure that is too low, `value` its value and `limit` the minimum.
    """

    code = "low_quality"

    def __init__(self, measure: str, value: float, limit: float, *, advice: str) -> None:
        super().__init__(
            f"the photo is too poor: {measure} is {value:.3g} and must be at least {limit:.3g}; {advice}, or set "
            "quality=ignore and accept a higher error rate"
        )
        self.measure, self.value, self.limit = measure, value, limit


class FaceCovered(SampleError):
    """The same part of both faces is covered: `part` is "eyes" or "mouth".

    `visible` are the visible shares of that part in both photos, 0 to 1, the probe's first.
    """

    code = "face_covered"

    def __init__(self, part: str, visible: tuple[float, float], *, covers: str) -> None:
        first, second = (f"{100 * share:.0f}%" for share in visible)
        super().__init__(
            f"the region of the {part} is covered in both photos ({first} and {second} visible), and such faces "
            f"resemble each other; send a photo of either person without {covers}, or set quality=ignore and accept a "
            "higher error rate"
        )
        self.part, self.visible = part, visible


class ModelError(VisavisError):
    """A model cannot be used as requested."""

    code = "model_error"


class BundleError(ModelError):
    """A model bundle is missing, broken, altered or not fit to serve."""

    code = "bundle_error"


class DlibFileError(ModelError):
    """A dlib .dat file is truncated, altered or not the face recognition network; the message states where."""

    code = "dlib_file_error"


class SFaceFileError(ModelError):
    """An SFace .onnx file is truncated, altered or not the face recognition network; the message states the part."""

    code = "sface_file_error"


class RuntimeUnavailable(ModelError):
    """The library, device or precision for running a model is not available; the message states the alternatives."""

    code = "runtime_unavailable"


class DeadlineExceeded(VisavisError):
    """The time limit of the work is over, or nobody waits for its result."""

    code = "deadline_exceeded"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the work was stopped after {limit_s:g} s; send fewer or smaller images, or try again later")
        self.limit_s = limit_s


class OutOfMemory(VisavisError):
    """The machine has too little memory left for this work."""

    code = "out_of_memory"

    def __init__(self) -> None:
        super().__init__("too little memory is left for this request; send it again later")


class DigestMismatch(VisavisError):
    """Two embeddings come from different models or precisions, so their distance is meaningless.

    `precisions` are (ours, theirs) if one model computed both embeddings, else None.
    """

    code = "digest_mismatch"

    def __init__(self, ours: str, theirs: str, *, precisions: tuple[str, str] | None = None) -> None:
        problem = f"the embedding was made by model {theirs[:19]}, this is {ours[:19]}"
        if precisions is not None:
            problem += f": the same model, but in {precisions[1]}, and this computes in {precisions[0]}"
        super().__init__(f"{problem}; embed the photo again with this model")
        self.ours, self.theirs, self.precisions = ours, theirs, precisions


class OperatingPointUnavailable(VisavisError):
    """The card has no such operating point, or none at all. `available` lists the names of its points."""

    code = "operating_point_unavailable"

    def __init__(self, asked: str | None, fmr_of: Mapping[str, float | None]) -> None:
        """State the requested point (None: the default), and the name and FMR of each point (None: not measured)."""
        name = "" if asked is None else f" {asked[:64]!a}"
        super().__init__(f"the model card has no operating point{name}; {_points_in_words(fmr_of)}")
        self.asked, self.available = asked, tuple(fmr_of)


class UnknownLayer(VisavisError):
    """The network has no layer of that name. `available` lists the names of its layers."""

    code = "unknown_layer"

    def __init__(self, asked: str, available: Sequence[str]) -> None:
        super().__init__(f"the network has no layer {asked[:64]!a}; it has {', '.join(available)}")
        self.asked, self.available = asked, tuple(available)


def _points_in_words(fmr_of: Mapping[str, float | None]) -> str:
    if not fmr_of:
        return "it has none: run visavis calibrate on your own photos, or set a threshold"
    points = ", ".join(
        f"{name} (FMR {'not measured' if fmr is None else f'{fmr:.3g}'})" for name, fmr in fmr_of.items()
    )
    return f"it has {points}; name one, or use fmr=X, 0 < X <= 1, for the nearest point that is at least as strict"
