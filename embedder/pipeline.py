"""FaceEmbedder: image bytes -> faces -> chips -> embeddings -> comparison, one or many. Nothing is kept of them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from .alignment import cut_chip
from .comparison import EVEN, Comparison, ComparisonBatch, Distances, Judgement, Standard, standard_of
from .detection.cascade import Cascade, CascadeSettings
from .detection.choice import RULES, choose
from .detection.finder import FaceFinder
from .detection.weights import load_networks
from .errors import DigestMismatch, SampleError, blaming
from .image import Limits, read
from .runtime.torch import TorchEmbedder
from .types import (
    CHIP_SIZE_PX,
    EMBEDDING_SIZE,
    Chip,
    Chips,
    Embedding,
    Face,
    FaceChoice,
    ModelIdentity,
    Sample,
    Timings,
    Vectors,
)
from .weights.bundle import BUILT_IN, Bundle, read_bundle
from .weights.card import ModelCard


class Network(Protocol):
    """What runs the chips: uint8 (n, 150, 150, 3) to float32 (n, 128)."""

    def __call__(self, chips: Chips) -> Vectors:
        """Run it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """One image, up to its chip, and how long that took."""

    chip: Chip
    decode_s: float
    detect_s: float


class FaceEmbedder:
    """A model with all that leads to it and from it. Every method blocks, and may be called from several threads."""

    def __init__(
        self, card: ModelCard, network: Network, finder: Callable[[Image.Image], list[Face]], limits: Limits
    ) -> None:
        self.card = card
        self._network = network
        self._finder = finder
        self._limits = limits

    @property
    def identity(self) -> ModelIdentity:
        """The model's name and digests."""
        return self.card.identity

    def detect(self, image: bytes) -> list[Face]:
        """Every face of an image file, largest first; none is an empty list. Raises ImageError."""
        return self._finder(read(image, self._limits))

    def chip(self, image: bytes, *, face: FaceChoice = "dominant") -> Chip:
        """Cut the aligned chip of the face that `face` means, and do not embed it. Raises ImageError or FaceError."""
        return self._prepare(image, face).chip

    def embed(self, image: bytes, *, face: FaceChoice = "dominant") -> Embedding:
        """The embedding of the face that `face` means. Raises ImageError or FaceError."""
        prepared = self._prepare(image, face)
        (vector,), timings = self._embed_prepared([prepared])
        return Embedding(vector, self.identity, prepared.chip.sample, timings)

    def embed_chips(self, chips: Chips) -> Vectors:
        """Run the network once over chips as they are, uint8 RGB (n, 150, 150, 3): float32 (n, 128).

        A face's embedding is this, or where the card says so the mean of it over the chip and its mirror image:
        `embed_faces`.
        """
        if chips.dtype != np.uint8 or chips.ndim != 4 or chips.shape[1:] != (CHIP_SIZE_PX, CHIP_SIZE_PX, 3):  # noqa: PLR2004 - n, height, width, channels
            raise ValueError(f"chips must be uint8 of shape (n, 150, 150, 3), not {chips.dtype} of shape {chips.shape}")
        return self._network(chips) if len(chips) else np.empty((0, EMBEDDING_SIZE), np.float32)

    def embed_faces(self, chips: Chips) -> Vectors:
        """Embed faces from their chips, uint8 RGB (n, 150, 150, 3), as the card says: float32 (n, 128)."""
        if not self.card.architecture.mirror:
            return self.embed_chips(chips)
        both = self.embed_chips(np.concatenate([chips, chips[:, :, ::-1]]))
        return (both[: len(chips)] + both[len(chips) :]) * np.float32(0.5)

    def verify(
        self,
        probe: bytes,
        reference: bytes,
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN,
    ) -> Comparison:
        """Do two images show one person?

        The threshold is the caller's own, or that of the card's point by its name (`fmr-1e-4`) or by a false match rate
        (`fmr=1e-4`: the nearest point that is at least that strict), or that of the default point. `prior` is the
        probability of one person before the photos are seen, between 0 and 1. Raises OperatingPointUnavailable, and
        ImageError or FaceError whose `image` says which one is at fault.
        """
        batch = self.verify_many(
            probe, [reference], face=face, threshold=threshold, operating_point=operating_point, prior=prior
        )
        (result,) = batch.results
        if isinstance(result, SampleError):
            raise result
        return result

    def verify_many(
        self,
        probe: bytes,
        references: Sequence[bytes],
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN,
    ) -> ComparisonBatch:
        """Verify one probe against several references in one pass; a faulty reference leaves its error in its place."""
        standard = standard_of(self.card, threshold=threshold, operating_point=operating_point, prior=prior)
        with blaming("probe"):
            prepared_probe = self._prepare(probe, face)
        outcomes = [self._prepare_reference(image, face) for image in references]
        prepared = [prepared_probe, *(outcome for outcome in outcomes if isinstance(outcome, _Prepared))]
        vectors, timings = self._embed_prepared(prepared)
        judgements = standard.judge(vectors[0], vectors[1:])
        results = tuple(
            self._comparison(prepared_probe, outcome, next(judgements), standard, timings)
            if isinstance(outcome, _Prepared)
            else outcome
            for outcome in outcomes
        )
        return ComparisonBatch(results, self.identity, timings)

    def compare(
        self,
        probe: ArrayLike,
        references: ArrayLike,
        *,
        model_digest: str,
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN,
    ) -> Distances:
        """Compare an embedding (128,) with others (n, 128) of the same model, judged as by `verify`.

        Raises DigestMismatch, OperatingPointUnavailable.
        """
        if model_digest != self.card.digest:
            raise DigestMismatch(self.card.digest, model_digest)
        standard = standard_of(self.card, threshold=threshold, operating_point=operating_point, prior=prior)
        judgements = standard.judge(np.asarray(probe, np.float32), np.asarray(references, np.float32))
        return Distances(tuple(judgements), standard.threshold, standard.operating_point, standard.prior)

    def _prepare_reference(self, image: bytes, face: FaceChoice) -> _Prepared | SampleError:
        try:
            with blaming("reference"):
                return self._prepare(image, face)
        except SampleError as error:
            return error

    def _prepare(self, image: bytes, choice: FaceChoice) -> _Prepared:
        if choice not in RULES:
            raise ValueError(f"face must be one of {', '.join(RULES)}, not {choice!r}")
        start = perf_counter()
        picture = read(image, self._limits)
        decoded = perf_counter()
        faces = self._finder(picture)
        face = choose(faces, choice, (picture.width / 2, picture.height / 2))
        chip = cut_chip(picture, face.landmarks, self.card.alignment)
        sample = Sample(face, choice, len(faces))
        return _Prepared(Chip(chip, sample), decoded - start, perf_counter() - decoded)

    def _embed_prepared(self, prepared: Sequence[_Prepared]) -> tuple[Vectors, Timings]:
        start = perf_counter()
        vectors = self.embed_faces(np.stack([item.chip.pixels for item in prepared]))
        seconds = (
            sum(item.decode_s for item in prepared),
            sum(item.detect_s for item in prepared),
            perf_counter() - start,
        )
        return vectors, Timings(*(1000 * part for part in seconds))

    def _comparison(
        self, probe: _Prepared, reference: _Prepared, judgement: Judgement, standard: Standard, timings: Timings
    ) -> Comparison:
        return Comparison(
            same=judgement.same,
            distance=judgement.distance,
            threshold=standard.threshold,
            operating_point=standard.operating_point,
            probability=judgement.probability,
            log_likelihood_ratio=judgement.log_likelihood_ratio,
            prior=standard.prior,
            probe=probe.chip.sample,
            reference=reference.chip.sample,
            model=self.identity,
            timings_ms=timings,
        )


def load(
    path: str | os.PathLike[str] | None = None, *, limits: Limits | None = None, mirror: bool | None = None
) -> FaceEmbedder:
    """Load a model bundle, by default the built-in one, ready to use offline. Raises BundleError.

    `mirror` overrules the card: are embeddings means over a chip and its mirror image? Other embeddings have another
    digest, and no operating points.
    """
    bundle = read_bundle(Path(path) if path is not None else BUILT_IN)
    if mirror is not None:
        bundle = Bundle(bundle.card.with_mirror(mirror=mirror), bundle.tensors)
    finder = FaceFinder(Cascade(load_networks(), CascadeSettings()))
    return FaceEmbedder(bundle.card, TorchEmbedder(bundle), finder, limits or Limits())
