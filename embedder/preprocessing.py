"""Image bytes -> the chip of the face that is meant, for one photo or for all of a question at the same time."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from .alignment import cut_chip, eye_distance
from .detection.detector import RULES, Detector, choose, least_share
from .errors import SampleError, SeveralFaces, blaming
from .image import Limits, Photo, read
from .quality import quality_of
from .runtime.runtime import n_cores
from .types import Chip, Face, FaceChoice, Sample
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
