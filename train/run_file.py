"""The schema of a run file, as pydantic models. Margins and learning rates are defined only here.

A loss is a weighted sum of terms. A term is a metric loss (distance, miner and reducer), a classification loss, or the
distance to a teacher's embeddings.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from embedder import LARGEST_EMBEDDING, SMALLEST_EMBEDDING

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]


def _given(value: object) -> object:
    if value == "":
        raise ValueError("an empty path; is a variable unset?")
    return value


GivenPath = Annotated[Path, BeforeValidator(_given)]


class RunConfig(BaseModel):
    """The base of all sections: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Quality = Annotated[int, Field(ge=1, le=100)]
Side = Annotated[int, Field(ge=8, le=512)]  # px


class Flip(RunConfig):
    """Horizontal flip."""

    probability: Share = 0.5


class Crop(RunConfig):
    """Random shift, zoom and stretch of the face; shares of the chip's side."""

    probability: Share = 0.8
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.04
    zoom: Annotated[float, Field(ge=0, le=0.5)] = 0.08
    stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.05


class Rotation(RunConfig):
    """Rotation about the centre by at most `degrees`."""

    probability: Share = 0.3
    degrees: Annotated[float, Field(ge=0, le=45)] = 6.0


class Color(RunConfig):
    """Random brightness, contrast, saturation and hue; factors of up to 1 + amount (hue: a share of the circle)."""

    probability: Share = 0.5
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.25
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.25
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.25
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02


class Blur(RunConfig):
    """Gaussian blur; sigma in px of the chip."""

    probability: Share = 0.1
    sigma_px: tuple[Positive, Positive] = (0.5, 2.5)


class Jpeg(RunConfig):
    """JPEG compression."""

    probability: Share = 0.1
    quality: tuple[Quality, Quality] = (20, 80)


class LowResolution(RunConfig):
    """Downsampling to a side of `size_px` and upsampling to the original size."""

    probability: Share = 0.1
    size_px: tuple[Side, Side] = (24, 100)


class Grey(RunConfig):
    """Conversion to greyscale."""

    probability: Share = 0.1


class Augmentation(RunConfig):
    """All augmentations, in the order in which they are applied."""

    mirror: Flip = Flip()
    crop: Crop = Crop()
    rotation: Rotation = Rotation()
    color: Color = Color()
    grey: Grey = Grey()
    low_resolution: LowResolution = LowResolution()
    blur: Blur = Blur()
    jpeg: Jpeg = Jpeg()

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        ranges = {
            "blur.sigma_px": self.blur.sigma_px,
            "jpeg.quality": self.jpeg.quality,
            "low_resolution.size_px": self.low_resolution.size_px,
        }
        for name, (low, high) in ranges.items():
            if low > high:
                raise ValueError(f"{name}: the first number must not be greater than the second; set [{high}, {low}]")
        return self


def only_flip(mirror: Flip) -> Augmentation:
    """Return an augmentation that flips and changes nothing else."""
    return Augmentation(
        mirror=mirror,
        crop=Crop(probability=0),
        rotation=Rotation(probability=0),
        color=Color(probability=0),
        grey=Grey(probability=0),
        low_resolution=LowResolution(probability=0),
        blur=Blur(probability=0),
        jpeg=Jpeg(probability=0),
    )


class Term(RunConfig):
    """Fields of every term: its weight, and the steps over which the weight rises from 0."""

    weight: Positive = 1.0
    warm_up_steps: Annotated[int, Field(ge=0)] = 0


class MetricLossTerm(Term):
    """A metric loss, optionally with a memory of the embeddings of earlier batches (cross-batch memory)."""

    memory: Annotated[int, Field(ge=0)] = 0  # embeddings kept; 0: none
    memory_after_steps: Annotated[int, Field(ge=0)] = 0  # steps before the memory is used


class Contrastive(MetricLossTerm):
    """Contrastive loss: positive pairs within one margin, negative pairs beyond another."""

    kind: Literal["contrastive"]
    positive_margin: NotNegative = 0.0
    negative_margin: Positive = 1.0


class Triplet(MetricLossTerm):
    """Triplet loss, with a margin of the Euclidean distance (not squared).

    With `soft`, log(1 + exp) replaces the hinge, without a margin.
    """

    kind: Literal["triplet"]
    margin: NotNegative = 0.2
    miner: Literal["all", "hard", "semi-hard"] = "semi-hard"
    soft: bool = False


class MultiSimilarity(MetricLossTerm):
    """Multi-similarity loss with the miner of the same paper; `base` is the similarity that weights refer to."""

    kind: Literal["multi-similarity"]
    alpha: Positive = 2.0
    beta: Positive = 50.0
    base: Annotated[float, Field(ge=-1, le=1)] = 0.5
    epsilon: NotNegative = 0.1  # of the miner


class ArcFace(Term):
    """Classification with an angular margin."""

    kind: Literal["arcface"]
    scale: Positive = 64.0
    margin_degrees: Annotated[float, Field(ge=0, lt=90)] = 28.6


class CosFace(Term):
    """Classification with a cosine margin."""

    kind: Literal["cosface"]
    scale: Positive = 64.0
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.35


class Distillation(Term):
    """Distance to the embeddings that another bundle, the teacher, computes for the same chips."""

    kind: Literal["distillation"]
    teacher: str = "built-in"  # or the path of a bundle
    measure: Literal["cosine", "mse"] = "mse"


LossTerm = Annotated[
    Contrastive | Triplet | MultiSimilarity | ArcFace | CosFace | Distillation, Field(discriminator="kind")
]


class DataConfig(RunConfig):
    """The folders of chips, as `visavis prepare` writes them, and the people held out."""

    train: GivenPath
    validation: GivenPath | None = None  # chips of other people; None: hold out some people of `train`
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of train's people
    min_images: Count = 2  # people with fewer are left out


class NetworkConfig(RunConfig):
    """The network to train and its initial weights."""

    backbone: str | None = None  # None: as `start`
    start: str | None = None  # "built-in" or the path of a bundle; None: from scratch
    weights: GivenPath | None = None  # a file with the backbone's weights in its own format (inception_resnet_v1 only)
    input_size_px: Annotated[int, Field(ge=32, le=300)] | None = None  # None: as `start`, or the backbone's default
    crop_px: Annotated[int, Field(ge=32, le=512, multiple_of=2)] | None = (
        None  # side of the centre crop of a chip; None: as `start`, or no crop
    )
    embedding_size: Annotated[int, Field(ge=SMALLEST_EMBEDDING, le=LARGEST_EMBEDDING)] | None = (
        None  # channels; None: as `start`, or 128. Another size than that of `start` takes a new, untrained head
    )
    unit_length: bool | None = None  # None: as `start`, or true
    mirror: bool | None = None  # average the embedding over a chip and its horizontal flip? None: as `start`, or no
    frozen: tuple[str, ...] = ()  # stages that are not trained; "backbone" is all but the head
    rates: dict[str, NotNegative] = Field(default_factory=dict)  # stage -> factor on the learning rate (default: 1)

    @model_validator(mode="after")
    def _something_is_built(self) -> Self:
        if self.backbone is None and self.start is None:
            raise ValueError("set network.backbone, or network.start to begin with the weights of a bundle")
        return self


class SamplingConfig(RunConfig):
    """The number of people in a batch, and the number of images of each."""

    people: Annotated[int, Field(ge=2)] = 32
    images: Annotated[int, Field(ge=2)] = 4


class OptimizerConfig(RunConfig):
    """SGD with momentum, or AdamW."""

    kind: Literal["sgd", "adamw"] = "adamw"
    rate: Positive = 1e-3
    classifier_factor: Positive = 1.0  # on the rate, for the class weights of ArcFace and CosFace
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # of SGD
    weight_decay: NotNegative = 5e-4
    pull: NotNegative = 0.0  # strength of L2-SP: decay towards the initial weights instead of 0


class ScheduleConfig(RunConfig):
    """The learning rate schedule."""

    kind: Literal["cosine", "poly", "constant"] = "cosine"
    power: Positive = 2.0  # of poly
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.05  # share of the run
    last: Share = 0.01  # final learning rate, as a share of the full one


class LoopConfig(RunConfig):
    """Length of the run, precision, gradient clipping, weight averaging and checkpoints."""

    steps: Count | None = None  # reproducible
    minutes: Positive | None = None  # as many steps as fit; depends on the machine
    precision: Literal["auto", "f32", "bf16", "fp16"] = "auto"  # auto: bf16 if the processor supports it
    clip: Positive = 5.0  # maximum gradient norm
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # decay of the weights' moving average, per step; 0: none
    checkpoint_every: Count = 200  # steps
    blend: Annotated[float, Field(gt=0, le=1)] = (
        1.0  # share of the trained weights in a blend with the initial ones (WiSE-FT); 1: no blend
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("set either loop.steps or loop.minutes, not both")
        return self


class ValidationConfig(RunConfig):
    """How often the network is validated on people held out, and when the run stops early."""

    every: Count = 200  # steps
    patience: Count | None = (
        None  # validations without a lower error rate before the run stops; None: no early stopping
    )
    keep: Literal["best", "last"] = "last"  # which weights become the bundle


class GuardConfig(RunConfig):
    """When a run counts as collapsed."""

    every: Count = 10  # steps between two checks
    patience: Count = 5  # consecutive checks that must find a collapse
    is_on: bool = True


class BundleConfig(RunConfig):
    """Fields of the new bundle's card that only the author knows."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
    license: Annotated[str, Field(min_length=1)]  # of the weights, given their training data
    trained_on: Annotated[str, Field(min_length=1)]  # free text: the people in the photos and the photos' source
    summary: str = ""
    degrade: bool = True  # fit the penalty for poor photos, if there are enough people and their photos still exist


class RunFile(RunConfig):
    """A whole run file. `run_file_reading` has already resolved its relative paths."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: DataConfig
    augmentation: Augmentation = Augmentation()
    network: NetworkConfig
    losses: Annotated[tuple[LossTerm, ...], Field(min_length=1)]
    sampling: SamplingConfig = SamplingConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    loop: LoopConfig
    validation: ValidationConfig = ValidationConfig()
    guard: GuardConfig = GuardConfig()
    bundle: BundleConfig

    @model_validator(mode="after")
    def _there_is_a_start_to_go_back_to(self) -> Self:
        if self.network.start is None and (self.loop.blend < 1 or self.optimizer.pull > 0):
            raise ValueError("loop.blend and optimizer.pull need initial weights: set network.start, or remove them")
        return self
