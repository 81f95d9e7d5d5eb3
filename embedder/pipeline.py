"""FaceEmbedder: image bytes -> faces -> chips -> embeddings -> comparisons. It stores none of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Protocol, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .alignment import cut_chip, eye_distance
from .deadline import begin_step, count_pixels
from .decision import (
    Comparison,
    ComparisonBatch,
    DecisionKeywords,
    Distances,
    EmbeddedFace,
    Verifier,
    VerifyKeywords,
    VerifyOptions,
    attributing_errors_to,
    compared_faces,
    decision_rule,
    with_notes,
)
from .detection.detector import Detector, face_selector, min_area_ratio_of, select_face
from .errors import DigestMismatch, NoFace, OutOfMemory, SampleError, SeveralFaces, TooManyFaces
from .image import Limits, Photo, decode_image
from .quality import OcclusionMeter, quality_of
from .runtime.runtime import CoreThreads, EmbeddingSession
from .types import (
    Chip,
    Chips,
    Embedding,
    EmbeddingBatch,
    Face,
    FaceSelector,
    ModelIdentity,
    Pass,
    Pixels,
    Precision,
    PreparedImage,
    Quality,
    Sample,
    Timings,
    Tone,
    Vectors,
)
from .weights.bundle import Bundle
from .weights.card import Alignment

ALL_FACES = "all"
MAX_FACES = 256  # of all images of one call; bounds its memory and time
PASS = 32  # chips


class Decoder(Protocol):
    """Decodes image files within its limits. Thread-safe."""

    def __call__(self, image: bytes) -> AbstractContextManager[Photo]:
        """Decode as `decode_image` does; the photo may be used until the context ends."""

    def close(self) -> None:
        """Stop; further calls raise ValueError."""


@dataclass(frozen=True, slots=True)
class InProcessDecoder:
    """The Decoder of a library: it decodes in the calling thread."""

    limits: Limits

    def __call__(self, image: bytes) -> AbstractContextManager[Photo]:
        """See Decoder."""
        return nullcontext(decode_image(image, self.limits))

    def close(self) -> None:
        """See Decoder."""


class FacePreprocessor:
    """Decodes images, detects faces and cuts chips. Thread-safe; a call after `close` raises ValueError."""

    def __init__(self, detector: Detector, occlusion: Pass, decoder: Decoder, alignment: Alignment) -> None:
        self.detector = detector
        self._occlusion = OcclusionMeter(occlusion, alignment)
        self._decoder, self._alignment = decoder, alignment
        self._threads = CoreThreads("visavis-photo")
        self._is_closed = False

    def __call__(self, image: bytes, selector: FaceSelector) -> PreparedImage:
        """Prepare the face that `selector` selects. Raises ImageError or FaceError."""
        choice = face_selector(selector)
        return self._prepared(image, choice, partial(self._chosen, choice=choice))

    def all_faces(self, image: bytes) -> PreparedImage:
        """Prepare every face, largest first; there may be none. Raises ImageError or TooManyFaces."""
        return self._prepared(image, ALL_FACES, self._every)

    def prepare_all(
        self, probe: bytes, references: Sequence[bytes], options: VerifyOptions
    ) -> tuple[PreparedImage, list[PreparedImage | SampleError]]:
        """Prepare a probe and its references, on all cores; the error of an unusable reference takes its place."""
        self.require_open()
        reference = partial(self._reference, choice=options.face_of_reference)
        # If the probe is unusable, the references are not needed.
        with self._threads.begun(partial(_outcome, reference), references) as results:
            with attributing_errors_to("probe"):
                first = self(probe, options.face_of_probe)
            return first, results()

    def prepare_each(
        self, images: Sequence[bytes], prepare: Callable[[bytes], PreparedImage]
    ) -> list[PreparedImage | SampleError]:
        """Prepare images, on all cores; the error of an unusable image takes its place."""
        self.require_open()
        with self._threads.begun(partial(_outcome, prepare), images) as results:
            return results()

    def faces(self, image: bytes) -> list[Face]:
        """Detect all faces, largest first. Raises ImageError."""
        self.require_open()
        with self._decoded(image) as (photo, _):
            return list(self.detector(photo).faces)

    def require_open(self) -> None:
        """Raise ValueError if this preprocessor is closed."""
        if self._is_closed:
            raise ValueError("this FaceEmbedder is closed: load the model again")

    def close(self) -> None:
        """Stop the threads; each finishes its current photo first."""
        self._is_closed = True
        self._threads.close()
        self._decoder.close()

    def _reference(self, image: bytes, choice: str) -> PreparedImage:
        with attributing_errors_to("reference"):
            return self(image, choice)

    def _prepared(
        self, image: bytes, choice: str, select: Callable[[Photo], tuple[Sequence[Face], int | None]]
    ) -> PreparedImage:
        self.require_open()
        start = perf_counter()
        with self._decoded(image) as (photo, tone):
            decoded = perf_counter()
            try:
                faces, n_faces = select(photo)
            except NoFace:
                raise NoFace(tone.fault) from None
            sample = partial(Sample, choice=choice, n_faces=n_faces, is_stretched=tone.is_stretchable)
            cut = ((face, *self._cut(photo, face)) for face in faces)
            chips = tuple(Chip(pixels, sample(face=face, quality=quality)) for face, pixels, quality in cut)
        return PreparedImage(chips, decoded - start, perf_counter() - decoded)

    @contextmanager
    def _decoded(self, image: bytes) -> Iterator[tuple[Photo, Tone]]:
        """Decode a photo, with its grey levels stretched if it is dark or flat; yield its own tone with it."""
        count_pixels(0)  # none are decoded after those that were too many
        try:
            with self._decoder(image) as photo:
                count_pixels(photo.size[0] * photo.size[1] // photo.least_factor**2)
                tone = photo.tone()
                yield photo.stretched(tone) if tone.is_stretchable else photo, tone
        except MemoryError:
            raise OutOfMemory from None

    def _cut(self, photo: Photo, face: Face) -> tuple[Pixels, Quality]:
        begin_step()
        pixels = cut_chip(photo, face.landmarks, self._alignment)
        return pixels, quality_of(photo, face, pixels, eye_distance(self._alignment), self._occlusion(pixels))

    def _every(self, photo: Photo) -> tuple[Sequence[Face], int]:
        found = self.detector(photo)
        if len(found.boxes) > MAX_FACES:
            raise TooManyFaces(len(found.boxes), MAX_FACES)
        return found.faces, len(found.boxes)

    def _chosen(self, photo: Photo, choice: str) -> tuple[Sequence[Face], int | None]:
        """Select the face, and count all faces if the detector searched for all of them.

        SeveralFaces states the number of faces, so it is raised only after a complete search.
        """
        center = photo.size[0] / 2, photo.size[1] / 2
        detections = self.detector(photo, min_area_ratio=min_area_ratio_of(choice))
        try:
            return [select_face(detections, choice, center)], detections.n_faces
        except SeveralFaces:
            if detections.is_whole:
                raise
        detections = self.detector(photo)
        return [select_face(detections, choice, center)], detections.n_faces


def _outcome(prepare: Callable[[bytes], PreparedImage], image: bytes) -> PreparedImage | SampleError:
    try:
        return prepare(image)
    except SampleError as error:
        # The frames of a traceback hold the decoded picture, of the errors before it as well.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error


class FaceEmbedder:
    """A model with its detector, preprocessing and decision rule. All methods block and are thread-safe.

    `close`, or leaving a `with` block, stops its threads; images and chips then raise ValueError.
    """

    def __init__(
        self, bundle: Bundle, network: EmbeddingSession, detector: Detector, occlusion: Pass, decoder: Decoder
    ) -> None:
        self.bundle = bundle
        self.card = bundle.card
        self._network, self.batch_sizes = network, network.batch_sizes  # chips of a pass -> passes until now
        self._no_vectors = np.empty((0, self.card.architecture.embedding_size), np.float32)
        self._verifier = Verifier(self.card.quality_penalties, self.identity)
        self._preprocessor = FacePreprocessor(detector, occlusion, decoder, self.card.alignment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads and processes that prepare photos. Calling it again has no effect."""
        self._preprocessor.close()

    @property
    def identity(self) -> ModelIdentity:
        """The model's name and digests. In a precision other than f32, the digest differs from the card's."""
        return self.card.identity(self.precision)

    @property
    def precision(self) -> Precision:
        """The numerical precision of the embeddings."""
        return self._network.precision

    @property
    def runtime_description(self) -> str:
        """Runtime, precision and device that compute the embeddings, such as `openvino f32 cpu`."""
        return self._network.description

    def detect(self, image: bytes) -> list[Face]:
        """Detect all faces in an image file, largest first; empty if there is none. Raises ImageError."""
        return self._preprocessor.faces(image)

    def chip(self, image: bytes, *, face: FaceSelector = "dominant") -> Chip:
        """Cut the aligned chip of the face that `face` selects; do not embed it. Raises ImageError or FaceError."""
        return self._preprocessor(image, face).chip

    def chips(self, image: bytes) -> tuple[Chip, ...]:
        """Cut the aligned chips of every face, largest first; embed none. Raises ImageError or TooManyFaces."""
        return self._preprocessor.all_faces(image).chips

    def embed(self, image: bytes, *, face: FaceSelector = "dominant") -> Embedding:
        """Embed the face that `face` selects. Raises ImageError or FaceError."""
        prepared = self._preprocessor(image, face)
        (vector,), timings = self._embed_prepared([prepared])
        face_embedded = self._verifier.embedded(prepared.chip, vector)
        return Embedding(vector, self.identity, face_embedded.sample, timings)

    def embed_all(self, image: bytes) -> list[Embedding]:
        """Embed every face in an image, largest first; empty if there is none. Raises ImageError or TooManyFaces."""
        (result,) = self.embed_many([image], face=ALL_FACES).results
        if isinstance(result, SampleError):
            raise result
        return list(result)

    def embed_many(self, images: Sequence[bytes], *, face: FaceSelector = "dominant") -> EmbeddingBatch:
        """Embed the face that `face` selects in each image, or with `face="all"` every face, in one pass.

        An unusable image yields its error instead, and so does an image with which there are more than 256 faces.
        """
        prepare = self._preprocessor.all_faces if face == ALL_FACES else partial(self._preprocessor, selector=face)
        outcomes = _within_limit(self._preprocessor.prepare_each(images, prepare))
        vectors, timings = self._embed_prepared([each for each in outcomes if isinstance(each, PreparedImage)])
        rest = iter(vectors)
        results = tuple(
            self._embeddings(each.chips, rest, timings) if isinstance(each, PreparedImage) else each
            for each in outcomes
        )
        return EmbeddingBatch(results, self.identity, timings)

    def _embeddings(
        self, chips: Sequence[Chip], vectors: Iterator[NDArray[np.float32]], timings: Timings
    ) -> tuple[Embedding, ...]:
        faces = [self._verifier.embedded(chip, next(vectors)) for chip in chips]
        return tuple(Embedding(each.vector, self.identity, each.sample, timings) for each in faces)

    def embed_chips(self, chips: Chips) -> Vectors:
        """Run the network on chips, uint8 RGB (n, side, side, 3): float32 (n, channels).

        The output is a face's embedding unless the card sets `mirror`: then the embedding is the mean output over the
        chip and its mirror image. `embed_faces` handles both cases.
        """
        self._preprocessor.require_open()
        begin_step()
        side = self.card.alignment.chip_size_px
        if chips.dtype != np.uint8 or chips.ndim != 4 or chips.shape[1:] != (side, side, 3):  # noqa: PLR2004 - n, height, width, channels
            raise ValueError(
                f"chips must be uint8 of shape (n, {side}, {side}, 3), not {chips.dtype} of shape {chips.shape}"
            )
        return self._network(chips) if len(chips) else self._no_vectors

    def embed_faces(self, chips: Chips) -> Vectors:
        """Embed faces from their chips, uint8 RGB (n, side, side, 3), as the card specifies: float32 (n, channels)."""
        if not self.card.architecture.mirror:
            return self.embed_chips(chips)
        both = self.embed_chips(np.concatenate([chips, chips[:, :, ::-1]]))
        return (both[: len(chips)] + both[len(chips) :]) * np.float32(0.5)

    def verify(self, probe: bytes, reference: bytes, **options: Unpack[VerifyKeywords]) -> Comparison:
        """Decide whether two images show the same person.

        All keywords are optional. `face` selects the face in an image that shows several: by a rule (`dominant`,
        `only`, `largest`, `center`), by a point (`at:x,y`) or by its index in the list of `detect`. `probe_face` and
        `reference_face` select it in one of the images. By default the threshold is that of the card's default
        operating point. Set `threshold` to a distance, or `operating_point` to a point's name (`fmr-1e-4`) or a false
        match rate (`fmr=1e-4`: the nearest point that is at least as strict). `prior` is the probability of one person
        before seeing the photos, between 0 and 1. A photo that is too poor for the card is refused, unless `quality` is
        "ignore".

        Raises OperatingPointUnavailable; also ImageError, FaceError or LowQuality, whose `image` names the unusable
        image.
        """
        (result,) = self.verify_many(probe, [reference], **options).results
        if isinstance(result, SampleError):
            raise result
        return result

    def verify_many(
        self, probe: bytes, references: Sequence[bytes], **options: Unpack[VerifyKeywords]
    ) -> ComparisonBatch:
        """Verify one probe against several references in one pass; an unusable reference yields its error instead."""
        return self.verify_faces(probe, references, VerifyOptions(**options))[0]

    def verify_faces(
        self, probe: bytes, references: Sequence[bytes], options: VerifyOptions
    ) -> tuple[ComparisonBatch, list[EmbeddedFace]]:
        """Verify as `verify_many` does; also return the embedded faces, the probe's first. Raises the same errors."""
        rule = decision_rule(self.card, options)
        prepared_probe, outcomes = self._preprocessor.prepare_all(probe, references, options)
        prepared = [prepared_probe, *(outcome for outcome in outcomes if isinstance(outcome, PreparedImage))]
        vectors, timings = self._embed_prepared(prepared)
        faces = [self._verifier.embedded(item.chip, vector) for item, vector in zip(prepared, vectors, strict=True)]
        rest = iter(faces[1:])
        compared = [next(rest) if isinstance(each, PreparedImage) else each for each in outcomes]
        batch = self._verifier.compare(faces[0], compared, rule, timings, options)
        return with_notes(batch, [image == probe for image in references]), faces

    def compare(
        self, probe: ArrayLike, references: ArrayLike, *, model_digest: str, **options: Unpack[DecisionKeywords]
    ) -> Distances:
        """Compare an embedding (channels,) with others (n, channels) of the same model and precision, as `verify` does.

        The photos are unknown, so no penalty applies. Raises DigestMismatch, OperatingPointUnavailable or ValueError.
        """
        if model_digest != self.identity.digest:
            raise self._mismatch(model_digest)
        rule = decision_rule(self.card, VerifyOptions(**options))
        vectors = [np.asarray(probe, np.float32), *np.asarray(references, np.float32)]
        one, *others = compared_faces(vectors, self.card.architecture)
        return Distances(tuple(rule.judge(one, others)), rule.operating_point, rule.prior)

    def _mismatch(self, digest: str) -> DigestMismatch:
        theirs = self.card.precision_of(digest)
        return DigestMismatch(
            self.identity.digest, digest, precisions=None if theirs is None else (self.precision, theirs)
        )

    def _embed_prepared(self, prepared: Sequence[PreparedImage]) -> tuple[Vectors, Timings]:
        start = perf_counter()
        chips = [chip.pixels for item in prepared for chip in item.chips]
        # In several passes, so that the faces of other callers wait for one of them at most.
        passes = [np.stack(chips[first : first + PASS]) for first in range(0, len(chips), PASS)]
        vectors = np.concatenate([self._no_vectors, *map(self.embed_faces, passes)])
        seconds = (
            sum(item.decode_s for item in prepared),
            sum(item.detect_s for item in prepared),
            perf_counter() - start,
        )
        return vectors, Timings(*(1000 * part for part in seconds))


def _within_limit(outcomes: Sequence[PreparedImage | SampleError]) -> list[PreparedImage | SampleError]:
    """Replace each image that would bring the number of faces above MAX_FACES by its error."""
    kept: list[PreparedImage | SampleError] = []
    n_before = 0
    for each in outcomes:
        n_faces = len(each.chips) if isinstance(each, PreparedImage) else 0
        is_too_many = n_before + n_faces > MAX_FACES
        kept.append(TooManyFaces(n_faces, MAX_FACES, n_before=n_before) if is_too_many else each)
        n_before += 0 if is_too_many else n_faces
    return kept
