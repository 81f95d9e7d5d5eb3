"""FaceEmbedder: image bytes -> faces -> chips -> embeddings -> comparison, one or many. Nothing is kept of them."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from .decision import EVEN_PRIOR, Comparison, ComparisonBatch, DecisionRule, Distances, Subject, Verifier, decision_rule
from .detection.detector import Detector
from .errors import DigestMismatch, SampleError
from .explain.explanation import Explanation, ProbeReference, explain_comparison, explained_face
from .explain.inspection import LazyInspector
from .explain.layers import NetworkDescription
from .explain.maps import FeatureMaps, feature_maps
from .explain.occlusion import saliency_map
from .image import Limits
from .preprocessing import FacePreprocessor, PreparedFace
from .types import (
    EMBEDDING_SIZE,
    QUALITY_CHOICES,
    Chip,
    Chips,
    Embedding,
    Face,
    FaceChoice,
    ModelIdentity,
    Precision,
    QualityChoice,
    Timings,
    Vectors,
)
from .weights.card import ModelCard


class Network(Protocol):
    """What runs the chips: uint8 (n, side, side, 3) to float32 (n, 128)."""

    @property
    def precision(self) -> Precision:
        """In which numbers it computes."""

    @property
    def way(self) -> str:
        """Runtime, precision and device, in words."""

    def __call__(self, chips: Chips) -> Vectors:
        """Run it."""


def _only(batch: ComparisonBatch) -> Comparison:
    """The result of a question with one reference. Raises what came instead of it."""
    (result,) = batch.results
    if isinstance(result, SampleError):
        raise result
    return result


class FaceEmbedder:
    """A model with all that leads to it and from it. Every method blocks, and may be called from several threads.

    `close` ends its threads, and so does the end of a `with`; after that, images and chips are refused by ValueError.
    """

    def __init__(
        self,
        card: ModelCard,
        network: Network,
        detector: Detector,
        limits: Limits,
        opening: LazyInspector,
    ) -> None:
        self.card = card
        self._opening = opening
        self._network = network
        self._judging = Verifier(card.quality_penalties, self.identity)
        self._prepare = FacePreprocessor(detector, limits, card.alignment)

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
    def way(self) -> str:
        """By which runtime, in which precision and on which device embeddings are computed, in words."""
        return self._network.way

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
        known = self._judging.known(prepared.chip.sample, vector)
        return Embedding(vector, self.identity, known.sample, timings)

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

    def verify(  # noqa: PLR0913 - one for each word that a request takes
        self,
        probe: bytes,
        reference: bytes,
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
        quality: QualityChoice = "refuse",
    ) -> Comparison:
        """Do two images show one person?

        The threshold is the caller's own, or that of the card's point by its name (`fmr-1e-4`) or by a false match rate
        (`fmr=1e-4`: the nearest point that is at least that strict), or that of the default point. `prior` is the
        probability of one person before the photos are seen, between 0 and 1. A photo that is too poor for the card's
        rule is refused, unless `quality` is "ignore". Raises OperatingPointUnavailable, and ImageError, FaceError or
        LowQuality whose `image` says which one is at fault.
        """
        batch = self.verify_many(
            probe,
            [reference],
            face=face,
            threshold=threshold,
            operating_point=operating_point,
            prior=prior,
            quality=quality,
        )
        return _only(batch)

    def verify_many(  # noqa: PLR0913 - as verify
        self,
        probe: bytes,
        references: Sequence[bytes],
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
        quality: QualityChoice = "refuse",
    ) -> ComparisonBatch:
        """Verify one probe against several references in one pass; a faulty reference leaves its error in its place."""
        standard = decision_rule(self.card, threshold=threshold, operating_point=operating_point, prior=prior)
        return self._verified((probe, references), standard, face, quality)[0]

    def explain(  # noqa: PLR0913 - as verify
        self,
        probe: bytes,
        reference: bytes,
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
        quality: QualityChoice = "refuse",
        saliency: bool = True,
    ) -> Explanation:
        """Why `verify` says of two images what it says: their places that matter, if asked for, and their channels.

        Raises what `verify` raises.
        """
        standard = decision_rule(self.card, threshold=threshold, operating_point=operating_point, prior=prior)
        batch, prepared, vectors = self._verified((probe, [reference]), standard, face, quality)
        sides = [
            explained_face(item.chip, vector, self.card.alignment)
            for item, vector in zip(prepared, vectors, strict=True)
        ]
        seek = partial(saliency_map, embed=self.embed_chips) if saliency else None
        return explain_comparison(_only(batch), ProbeReference(*sides), self.card, seek)

    def compare(
        self,
        probe: ArrayLike,
        references: ArrayLike,
        *,
        model_digest: str,
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
    ) -> Distances:
        """Compare an embedding (128,) with others (n, 128) of the same model and precision, judged as by `verify`.

        The quality of their photos is not known here, so it moves no threshold. Raises DigestMismatch,
        OperatingPointUnavailable.
        """
        if model_digest != self.identity.digest:
            raise self._mismatch(model_digest)
        standard = decision_rule(self.card, threshold=threshold, operating_point=operating_point, prior=prior)
        vectors = [np.asarray(probe, np.float32), *np.asarray(references, np.float32)]
        one, *others = [Subject(vector, None) for vector in vectors]
        return Distances(tuple(standard.judge(one, others)), standard.operating_point, standard.prior)

    def _mismatch(self, digest: str) -> DigestMismatch:
        theirs = self.card.precision_of(digest)
        return DigestMismatch(
            self.identity.digest, digest, precisions=None if theirs is None else (self.precision, theirs)
        )

    def describe(self) -> NetworkDescription:
        """The network layer by layer. Raises RuntimeUnavailable where it cannot be looked into here."""
        return self._opening().description

    def maps(self, image: bytes, *, layer: str, face: FaceChoice = "dominant") -> FeatureMaps:
        """What a layer makes of the face that `face` means. Raises UnknownLayer, ImageError, FaceError."""
        inside = self._opening()
        described = inside.layer(layer)
        chip = self.chip(image, face=face)
        return feature_maps(described, chip, self.identity, inside.maps(layer, chip.pixels))

    def _verified(
        self, images: tuple[bytes, Sequence[bytes]], standard: DecisionRule, face: FaceChoice, quality: QualityChoice
    ) -> tuple[ComparisonBatch, list[PreparedFace], Vectors]:
        """Judge a probe against references; and the faces that could be embedded, the probe's first, with vectors."""
        if quality not in QUALITY_CHOICES:
            raise ValueError(f"quality must be one of {', '.join(QUALITY_CHOICES)}, not {quality!r}")
        prepared_probe, outcomes = self._prepare.all(*images, face)
        prepared = [prepared_probe, *(outcome for outcome in outcomes if isinstance(outcome, PreparedFace))]
        vectors, timings = self._embed_prepared(prepared)
        probe, *others = map(self._judging.known, (item.chip.sample for item in prepared), vectors)
        rest = iter(others)
        references = [next(rest) if isinstance(each, PreparedFace) else each for each in outcomes]
        batch = self._judging.batch(probe, references, standard, timings, refuse=quality == "refuse")
        return batch, prepared, vectors

    def _embed_prepared(self, prepared: Sequence[PreparedFace]) -> tuple[Vectors, Timings]:
        start = perf_counter()
        vectors = self.embed_faces(np.stack([item.chip.pixels for item in prepared]))
        seconds = (
            sum(item.decode_s for item in prepared),
            sum(item.detect_s for item in prepared),
            perf_counter() - start,
        )
        return vectors, Timings(*(1000 * part for part in seconds))
