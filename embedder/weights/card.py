"""The model card: the single source of all metadata of a model's weights. Independent of files and torch."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..backbones.registry import IMPORTED
from ..errors import OperatingPointUnavailable
from ..types import LARGEST_EMBEDDING, PRECISIONS, SMALLEST_EMBEDDING, ModelIdentity, Precision
from .card_parts import (
    CalibrationData,
    CardPart,
    Count,
    Digest,
    Finite,
    LogLikelihoodRatio,
    OperatingPoint,
    QualityPenalty,
    TrainingRecord,
    is_missing,
)

Triple = tuple[Finite, Finite, Finite]
LandmarkPoint = tuple[Finite, Finite]
ChipSide = Annotated[int, Field(ge=32, le=512)]  # px
CropSide = Annotated[int, Field(ge=32, lt=512, multiple_of=2)]  # px
EmbeddingSize = Annotated[int, Field(ge=SMALLEST_EMBEDDING, le=LARGEST_EMBEDDING)]  # channels
UNIT_ROUNDING = 0.02  # of the length of an embedding that a network has scaled to 1, in its coarsest precision
SHORTEST_MEAN = 0.5  # of two of length 1, of a face and its mirror image; further apart they would be two people's
ScoreKind = Literal["normalized", "plain"]  # normalized: distances plus penalties for poor photos; plain: distances


def _is_empty(parts: tuple[object, ...]) -> bool:
    return not parts


class Calibration(CardPart):
    """The calibration behind operating points and probability. It is valid for the embeddings of one digest only."""

    model_digest: Digest
    data: CalibrationData  # FNMR and evidence are measured on it; FMR too, if there are no further populations
    # Further photos: each point keeps its FMR on those that carry it too. Omitted if there are none.
    populations: Annotated[tuple[CalibrationData, ...], Field(exclude_if=_is_empty)] = ()
    face: Literal["dominant", "only", "largest", "center"]  # selects the face in an image of `data`
    log_likelihood_ratio: LogLikelihoodRatio
    n_resamples: Count  # of identities, behind every interval
    seed: int

    @property
    def measured_on(self) -> tuple[CalibrationData, ...]:
        """All data sets that the error rates were measured on, the main one first."""
        return (self.data, *self.populations)

    @model_validator(mode="after")
    def _each_population_has_a_name_of_its_own(self) -> Self:
        names = [data.name for data in self.measured_on]
        if len(set(names)) < len(names):
            raise ValueError(f"populations must have different names, not {names}")
        return self


class Preprocessing(CardPart):
    """How a chip becomes the network's input: x = (pixel - mean) / scale, channel by channel.

    Chips are RGB; an imported network may take its input in another order.
    """

    input_size_px: Annotated[int, Field(gt=0, le=1024)]
    # Side of the central crop of the chip, before resizing; null: the whole chip. Omitted if null, so that the digests
    # of older models without a crop do not change.
    crop_px: Annotated[CropSide | None, Field(exclude_if=is_missing)] = None
    color_order: Literal["RGB", "BGR"]
    mean: Triple  # in pixel values, 0..255; of red, green, blue
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Alignment(CardPart):
    """The target positions of the five landmarks in the chip, in px; pixel centres are at integers."""

    chip_size_px: ChipSide
    points: tuple[LandmarkPoint, LandmarkPoint, LandmarkPoint, LandmarkPoint, LandmarkPoint]
    landmark_offset_px: Finite  # added to the detector's landmarks, whose origin is the pixel's corner


class Architecture(CardPart):
    """The network: a backbone by name, then the head."""

    backbone: str
    embedding_size: EmbeddingSize
    # Channels before a learned projection, the last layer; null: there is none. Omitted if null, as crop_px.
    projected_from: Annotated[EmbeddingSize | None, Field(exclude_if=is_missing)] = None
    unit_length: bool  # whether embeddings are scaled to length 1
    mirror: bool  # whether an embedding is the mean over a chip and its mirror image

    def makes_length(self, length: float) -> bool:
        """Whether an embedding may have this length. Without `unit_length` any may.

        A short embedding, as of zeros, would be nearer to every face than the thresholds of a unit-length model.
        """
        shortest = SHORTEST_MEAN if self.mirror else 1.0
        return not self.unit_length or shortest - UNIT_ROUNDING <= length <= 1.0 + UNIT_ROUNDING


class DetectorFacts(CardPart):
    """The detector that finds the faces and the landmarks for alignment."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    weights_sha256: Digest


class Provenance(CardPart):
    """The origin, licence and training data of the weights."""

    license: Annotated[str, Field(min_length=1)]
    source: str
    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    trained_on: str
    stored_parameters: Annotated[int, Field(gt=0)]


class ModelCard(CardPart):
    """The metadata of a model: everything except its weights."""

    format: Literal["visavis-bundle/1"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
    summary: str
    limits: tuple[str, ...]  # what the model does not do, in words
    architecture: Architecture
    preprocessing: Preprocessing
    alignment: Alignment
    detector: DetectorFacts
    metric: Literal["euclidean"]
    # Thresholds are distances, penalties included; empty: the model is not calibrated yet.
    operating_points: tuple[OperatingPoint, ...]
    default_point: str | None  # null if there is none
    calibration: Calibration | None = None  # null: thresholds without a probability
    # Penalties for poor photos, by measure. Omitted if the model has none.
    quality_penalties: Annotated[tuple[QualityPenalty, ...], Field(exclude_if=_is_empty)] = ()
    provenance: Provenance
    training: Annotated[TrainingRecord | None, Field(exclude_if=is_missing)] = None  # null: not trained with visavis
    weights_sha256: Digest
    graph_sha256: Annotated[Digest | None, Field(exclude_if=is_missing)] = None  # of network.onnx; null: there is none
    int8_graph_sha256: Annotated[Digest | None, Field(exclude_if=is_missing)] = None  # of network-int8.onnx; the same
    digest: Digest

    @model_validator(mode="after")
    def _the_crop_lies_inside_the_chip(self) -> Self:
        crop_px, chip_size_px = self.preprocessing.crop_px, self.alignment.chip_size_px
        if crop_px is not None and crop_px >= chip_size_px:
            raise ValueError(
                f"preprocessing.crop_px is {crop_px}, and must be less than alignment.chip_size_px, {chip_size_px}; "
                "omit it to use the whole chip"
            )
        return self

    @model_validator(mode="after")
    def _only_an_imported_network_takes_bgr(self) -> Self:
        if self.preprocessing.color_order == "BGR" and self.architecture.backbone != IMPORTED:
            raise ValueError(f"color_order must be RGB for the backbone {self.architecture.backbone}")
        return self

    @model_validator(mode="after")
    def _points_are_named_once_and_the_default_is_one_of_them(self) -> Self:
        names: list[str | None] = [point.name for point in self.operating_points]
        if len(set(names)) < len(names):
            raise ValueError(f"operating points must have different names, not {names}")
        if self.default_point not in (names or [None]):
            raise ValueError(f"default_point {self.default_point!r} is none of {names}")
        return self

    @model_validator(mode="after")
    def _thresholds_are_distances(self) -> Self:
        for point in self.operating_points:
            if not point.threshold > 0:
                raise ValueError(f"the threshold of {point.name} must be greater than 0, not {point.threshold:g}")
        return self

    @model_validator(mode="after")
    def _each_measure_costs_once(self) -> Self:
        measures = [penalty.measure for penalty in self.quality_penalties]
        if len(set(measures)) < len(measures):
            raise ValueError(f"each measure must have one penalty curve, not {measures}")
        return self

    @model_validator(mode="after")
    def _the_calibration_is_of_these_embeddings(self) -> Self:
        if self.calibration is not None and self.calibration.model_digest != self.digest:
            raise ValueError("the calibration was made for other weights or settings: run visavis calibrate")
        return self

    @model_validator(mode="after")
    def _points_were_set_by_populations_of_the_calibration(self) -> Self:
        known: set[str | None] = {None}
        if self.calibration is not None:
            known |= {data.name for data in self.calibration.measured_on}
        for point in self.operating_points:
            if point.population not in known:
                raise ValueError(f"the population of {point.name}, {point.population!r}, is none of the calibration's")
        return self

    @model_validator(mode="after")
    def _the_digest_is_that_of_the_facts(self) -> Self:
        if self.digest != self.computed_digest():
            raise ValueError(
                "the digest does not match the card's content: the card was altered after it was made, or an earlier "
                "visavis made it, whose digests did not cover the exported network: make the bundle again"
            )
        return self

    def computed_digest(self) -> str:
        """Digest of everything that determines an embedding; see `embedding_digest`."""
        return embedding_digest(
            (self.weights_sha256, self.graph_sha256),
            self.architecture,
            self.preprocessing,
            self.alignment,
            self.detector,
        )

    @property
    def card_digest(self) -> str:
        """Digest of the whole card."""
        return _sha256_of(self.model_dump(mode="json"))

    def digest_in(self, precision: Precision) -> str:
        """Digest of everything that determines an embedding in that precision; in f32 it is the card's own.

        Embeddings of other precisions differ too much from those in f32 to be mixed with them. In int8, the quantised
        graph also determines the embedding.
        """
        if precision == "f32":
            return self.digest
        graph = {"int8_graph": self.int8_graph_sha256} if precision == "int8" else {}
        return _sha256_of({"embedding": self.digest, "precision": precision} | graph)

    def precision_of(self, digest: str) -> Precision | None:
        """Return the precision in which this model has that digest; None if it belongs to another model."""
        return next((each for each in PRECISIONS if self.digest_in(each) == digest), None)

    def identity(self, precision: Precision) -> ModelIdentity:
        """Return the model's name and digests for embeddings in that precision."""
        return ModelIdentity(self.name, self.digest_in(precision), self.card_digest)

    @property
    def score_kind(self) -> ScoreKind:
        """The default kind of score for decisions on pairs."""
        return "normalized" if self.quality_penalties else "plain"

    @property
    def must_be_calibrated(self) -> bool:
        """Whether this is an imported network that nobody has measured yet, so that it must not be served."""
        return self.architecture.backbone == IMPORTED and not self.operating_points

    @property
    def ratio(self) -> LogLikelihoodRatio | None:
        """The log-likelihood ratio as a function of distance; None if the model is not calibrated."""
        return None if self.calibration is None else self.calibration.log_likelihood_ratio

    def calibrated(
        self,
        calibration: Calibration,
        points: tuple[OperatingPoint, ...],
        default_point: str,
        quality_penalties: tuple[QualityPenalty, ...],
    ) -> Self:
        """Return the card of the same model with a new calibration, operating points and penalties."""
        facts = {"calibration": calibration, "operating_points": points, "default_point": default_point}
        return self.model_validate(dict(self) | facts | {"quality_penalties": quality_penalties})

    def with_mirror(self, *, mirror: bool) -> Self:
        """Return the card of the same weights with that `mirror` setting; a changed digest has no operating points."""
        if mirror == self.architecture.mirror:
            return self
        architecture = self.architecture.model_copy(update={"mirror": mirror})
        digest = self.model_copy(update={"architecture": architecture}).computed_digest()
        facts = {"architecture": architecture, "digest": digest, "calibration": None, "quality_penalties": ()}
        return self.model_copy(update=facts | {"operating_points": (), "default_point": None})

    def to_json(self) -> str:
        """Serialise the card as in a bundle: indented and reproducible to the byte."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


BY_RATE = "fmr="


def chosen_point(card: ModelCard, asked: str | None) -> OperatingPoint:
    """Return the point named as in `fmr-1e-4`, the loosest point with an FMR of at most X for `fmr=X`, or the default.

    Raises OperatingPointUnavailable if the card has no such point.
    """
    points = card.operating_points
    wanted = card.default_point if asked is None else asked
    fitting = [point for point in points if point.name == wanted]
    if not fitting and asked is not None and asked.startswith(BY_RATE):
        fitting = _at_least_as_strict(points, _rate(asked))
    if not fitting:
        raise OperatingPointUnavailable(asked, {point.name: point.fmr for point in points})
    return max(fitting, key=lambda point: point.threshold)


def _at_least_as_strict(points: Sequence[OperatingPoint], fmr: float) -> list[OperatingPoint]:
    measured = [point for point in points if point.fmr is not None and point.fmr <= fmr]
    return measured if 0 < fmr <= 1 else []


def _rate(asked: str) -> float:
    try:
        return float(asked.removeprefix(BY_RATE))
    except ValueError:
        return float("nan")  # no point fits


def embedding_digest(
    files_sha256: tuple[str, str | None],
    architecture: Architecture,
    preprocessing: Preprocessing,
    alignment: Alignment,
    detector: DetectorFacts,
) -> str:
    """Digest of everything that determines an embedding in f32.

    `files_sha256` are those of the weights and of the exported network, which is None if there is none. The network's
    is included because a runtime computes what its graph says, whatever the architecture is called.
    """
    weights, graph = files_sha256
    files = {"weights": weights} if graph is None else {"weights": weights, "graph": graph}
    parts = {
        "architecture": architecture,
        "preprocessing": preprocessing,
        "alignment": alignment,
        "detector": detector,
    }
    return _sha256_of(files | {name: part.model_dump(mode="json") for name, part in parts.items()})


def _sha256_of(facts: object) -> str:
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
