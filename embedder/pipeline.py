"""FaceEmbedder: image bytes -> faces -> chips -> embeddings -> comparison, one or many. Nothing is kept of them."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from .alignment import cut_chip, eye_distance
from .decision import (
    ComparedFace,
    Comparison,
    ComparisonBatch,
    DecisionKeywords,
    Distances,
    EmbeddedFace,
    Verifier,
    VerifyKeywords,
    VerifyOptions,
    blaming,
    decision_rule,
)
from .detection.detector import RULES, Detector, choose, least_share
from .errors import DigestMismatch, SampleError, SeveralFaces
from .image import Limits, Photo, read
from .quality import quality_of
from .runtime.runtime import EmbeddingNetwork, n_cores
from .types import (
    EMBEDDING_SIZE,
    Chip,
    Chips,
    Embedding,
    Face,
    FaceChoice,
    ModelIdentity,
    Precision,
    Sample,
    Timings,
    Vectors,
)
from .weights.bundle import Bundle
from .weights.card import Alignment


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFace:
    """One image, up to its chip, and how long that took."""

    chip: Chip
    decode_s: float
    detect_s: float


class FacePreprocessor:
    """Everything before the network. Safe to call from several threads; once closed, a call raises ValueError."""

    def __init__(self, detector: Detector, limits: Limits, alignment: Alignment) -> None:
        self.detector = detector
        self._limits, self._alignment = limits, alignment
        self._workers = ThreadPoolExecutor(max(1, n_cores() - 1), "visavis-photo")  # beside the thread that calls
        self._is_closed = False

    def __call__(self, image: bytes, choice: FaceChoice) -> PreparedFace:
        """Prepare the face that `choice` means. Raises ImageError or FaceError."""
        self.require_open()
        if choice not in RULES:
            raise ValueError(f"face must be one of {', '.join(RULES)}, not {choice!r}")
        start = perf_counter()
        photo = read(image, self._limits)
        decoded = perf_counter()
        face, n_faces = self._chosen(photo, choice)
        chip = cut_chip(photo, face.landmarks, self._alignment)
        quality = quality_of(photo, face, chip, eye_distance(self._alignment))
        sample = Sample(face, choice, n_faces, quality)
        return PreparedFace(Chip(chip, sample), decoded - start, perf_counter() - decoded)

    def all(
        self, probe: bytes, references: Sequence[bytes], choice: FaceChoice
    ) -> tuple[PreparedFace, list[PreparedFace | SampleError]]:
        """All photos of a question, on as many cores as there are; a faulty reference leaves its error in its place."""
        self.require_open()
        others = [self._workers.submit(self._reference, image, choice) for image in references]
        try:
            with blaming("probe"):
                first = self(probe, choice)
            return first, self._shared(references, others, choice)
        finally:  # where the probe is at fault, nobody asks for the others
            for each in others:
                each.cancel()

    def _shared(
        self, references: Sequence[bytes], others: Sequence[Future[PreparedFace | SampleError]], choice: FaceChoice
    ) -> list[PreparedFace | SampleError]:
        """Prepare here, from the last one on, what no other thread has begun."""
        here = {
            place: self._reference(references[place], choice)
            for place in reversed(range(len(others)))
            if others[place].cancel()
        }
        return [here[place] if place in here else each.result() for place, each in enumerate(others)]

    def faces(self, image: bytes) -> list[Face]:
        """Every face, largest first. Raises ImageError."""
        self.require_open()
        return list(self.detector(read(image, self._limits)).faces)

    def require_open(self) -> None:
        """Raise ValueError where it is closed."""
        if self._is_closed:
            raise ValueError("this FaceEmbedder is closed: load the model again")

    def close(self) -> None:
        """End the threads, once each is through with its photo."""
        self._is_closed = True
        self._workers.shutdown(cancel_futures=True)

    def _reference(self, image: bytes, choice: FaceChoice) -> PreparedFace | SampleError:
        try:
            with blaming("reference"):
                return self(image, choice)
        except SampleError as error:
            return error

    def _chosen(self, photo: Photo, choice: FaceChoice) -> tuple[Face, int | None]:
        """The face that is meant, and how many there are, if they were all looked for: who refuses has looked."""
        center = photo.size[0] / 2, photo.size[1] / 2
        found = self.detector(photo, least_share=least_share(choice))
        try:
            return choose(found, choice, center), found.n_faces
        except SeveralFaces:
            if found.is_whole:
                raise
        found = self.detector(photo)
        return choose(found, choice, center), found.n_faces


class FaceEmbedder:
    """A model with all that leads to it and from it. Every method blocks, and may be called from several threads.

    `close` ends its threads, and so does the end of a `with`; after that, images and chips are refused by ValueError.
    """

    def __init__(
        self,
        bundle: Bundle,
        network: EmbeddingNetwork,
        detector: Detector,
        limits: Limits,
    ) -> None:
        self.bundle = bundle
        self.card = bundle.card
        self._network = network
        self._verifier = Verifier(self.card.quality_penalties, self.identity)
        self._prepare = FacePreprocessor(detector, limits, self.card.alignment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads that prepare photos; a second time does nothing."""
        self._prepare.close()

    @property
    def identity(self) -> ModelIdentity:
        """The model's name and digests; in another precision than f32 its digest is not the card's."""
        return self.card.identity(self.precision)

    @property
    def precision(self) -> Precision:
        """In which numbers embeddings are computed."""
        return self._network.precision

    @property
    def runtime_description(self) -> str:
        """Runtime, precision and device that embeddings are computed with, in words: `openvino f32 cpu`."""
        return self._network.description

    def detect(self, image: bytes) -> list[Face]:
        """Every face of an image file, largest first; none is an empty list. Raises ImageError."""
        return self._prepare.faces(image)

    def chip(self, image: bytes, *, face: FaceChoice = "dominant") -> Chip:
        """Cut the aligned chip of the face that `face` means, and do not embed it. Raises ImageError or FaceError."""
        return self._prepare(image, face).chip

    def embed(self, image: bytes, *, face: FaceChoice = "dominant") -> Embedding:
        """The embedding of the face that `face` means. Raises ImageError or FaceError."""
        prepared = self._prepare(image, face)
        (vector,), timings = self._embed_prepared([prepared])
        face_embedded = self._verifier.embedded(prepared.chip, vector)
        return Embedding(vector, self.identity, face_embedded.sample, timings)

    def embed_chips(self, chips: Chips) -> Vectors:
        """Run the network once over chips as they are, uint8 RGB (n, side, side, 3): float32 (n, 128).

        A face's embedding is this, or where the card says so the mean of it over the chip and its mirror image:
        `embed_faces`.
        """
        self._prepare.require_open()
        side = self.card.alignment.chip_size_px
        if chips.dtype != np.uint8 or chips.ndim != 4 or chips.shape[1:] != (side, side, 3):  # noqa: PLR2004 - n, height, width, channels
            raise ValueError(
                f"chips must be uint8 of shape (n, {side}, {side}, 3), not {chips.dtype} of shape {chips.shape}"
            )
        return self._network(chips) if len(chips) else np.empty((0, EMBEDDING_SIZE), np.float32)

    def embed_faces(self, chips: Chips) -> Vectors:
        """Embed faces from their chips, uint8 RGB (n, side, side, 3), as the card says: float32 (n, 128)."""
        if not self.card.architecture.mirror:
            return self.embed_chips(chips)
        both = self.embed_chips(np.concatenate([chips, chips[:, :, ::-1]]))
        return (both[: len(chips)] + both[len(chips) :]) * np.float32(0.5)

    def verify(self, probe: bytes, reference: bytes, **options: Unpack[VerifyKeywords]) -> Comparison:
        """Do two images show one person?

        Keywords, all optional: `face` says which face is meant where an image shows several. The threshold is the
        caller's own `threshold`, or that of the card's `operating_point` by its name (`fmr-1e-4`) or by a false match
        rate (`fmr=1e-4`: the nearest point that is at least that strict), or that of the default point. `prior` is the
        probability of one person before the photos are seen, between 0 and 1. A photo that is too poor for the card is
        refused, unless `quality` is "ignore".

        Raises OperatingPointUnavailable, and ImageError, FaceError or LowQuality whose `image` says which one is at
        fault.
        """
        (result,) = self.verify_many(probe, [reference], **options).results
        if isinstance(result, SampleError):
            raise result
        return result

    def verify_many(
        self, probe: bytes, references: Sequence[bytes], **options: Unpack[VerifyKeywords]
    ) -> ComparisonBatch:
        """Verify one probe against several references in one pass; a faulty reference leaves its error in its place."""
        return self.verify_faces(probe, references, VerifyOptions(**options))[0]

    def verify_faces(
        self, probe: bytes, references: Sequence[bytes], options: VerifyOptions
    ) -> tuple[ComparisonBatch, list[EmbeddedFace]]:
        """Verify as `verify_many`; and the faces that could be embedded, the probe's first. Raises the same."""
        rule = decision_rule(self.card, options)
        prepared_probe, outcomes = self._prepare.all(probe, references, options.face)
        prepared = [prepared_probe, *(outcome for outcome in outcomes if isinstance(outcome, PreparedFace))]
        vectors, timings = self._embed_prepared(prepared)
        faces = [self._verifier.embedded(item.chip, vector) for item, vector in zip(prepared, vectors, strict=True)]
        rest = iter(faces[1:])
        compared = [next(rest) if isinstance(each, PreparedFace) else each for each in outcomes]
        return self._verifier.compare(faces[0], compared, rule, timings, options), faces

    def compare(
        self, probe: ArrayLike, references: ArrayLike, *, model_digest: str, **options: Unpack[DecisionKeywords]
    ) -> Distances:
        """Compare an embedding (128,) with others (n, 128) of the same model and precision, judged as by `verify`.

        The quality of their photos is not known here, so it moves no threshold. Raises DigestMismatch,
        OperatingPointUnavailable.
        """
        if model_digest != self.identity.digest:
            raise self._mismatch(model_digest)
        rule = decision_rule(self.card, VerifyOptions(**options))
        vectors = [np.asarray(probe, np.float32), *np.asarray(references, np.float32)]
        one, *others = [ComparedFace(vector, None) for vector in vectors]
        return Distances(tuple(rule.judge(one, others)), rule.operating_point, rule.prior)

    def _mismatch(self, digest: str) -> DigestMismatch:
        theirs = self.card.precision_of(digest)
        return DigestMismatch(
            self.identity.digest, digest, precisions=None if theirs is None else (self.precision, theirs)
        )

    def _embed_prepared(self, prepared: Sequence[PreparedFace]) -> tuple[Vectors, Timings]:
        start = perf_counter()
        vectors = self.embed_faces(np.stack([item.chip.pixels for item in prepared]))
        seconds = (
            sum(item.decode_s for item in prepared),
            sum(item.detect_s for item in prepared),
            perf_counter() - start,
        )
        return vectors, Timings(*(1000 * part for part in seconds))
