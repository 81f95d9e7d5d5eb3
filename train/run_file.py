"""What a run file may say, as pydantic models. The only owner of margins and learning rates.

A loss is a sum of terms; each is distance x miner x reducer, or a classification, or the distance to a teacher's
embeddings.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Quality = Annotated[int, Field(ge=1, le=100)]
Side = Annotated[int, Field(ge=8, le=512)]  # px


class Flip(RunConfig):
    """Left and right exchanged."""

    probability: Share = 0.5


class Crop(RunConfig):
    """The face a little off its place, larger or smaller, or stretched; as a share of the chip's side."""

    probability: Share = 0.8
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.04
    zoom: Annotated[float, Field(ge=0, le=0.5)] = 0.08
    stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.05


class Rotation(RunConfig):
    """Turned about the middle."""

    probability: Share = 0.3
    degrees: Annotated[float, Field(ge=0, le=45)] = 6.0


class Color(RunConfig):
    """Brightness, contrast, saturation and hue, each by a factor up to 1 + its amount (hue: a share of the circle)."""

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
    """Compressed and read again."""

    probability: Share = 0.1
    quality: tuple[Quality, Quality] = (20, 80)


class LowResolution(RunConfig):
    """Shrunk and enlarged again; the side in px that a chip is shrunk to."""

    probability: Share = 0.1
    size_px: tuple[Side, Side] = (24, 100)


class Grey(RunConfig):
    """Without colour."""

    probability: Share = 0.1


class Augmentation(RunConfig):
    """All changes, in the order in which they are made."""

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
                raise ValueError(f"{name}: the first of the two numbers must not be greater, as in [{high}, {low}]")
        return self


def only_flip(mirror: Flip) -> Augmentation:
    """No change but that one."""
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
    """What every term has: how much it weighs, and over how many steps that weight rises from 0."""

    weight: Positive = 1.0
    warm_up_steps: Annotated[int, Field(ge=0)] = 0


class Mined(Term):
    """A metric loss: it may compare a batch with the embeddings of earlier ones too (cross-batch memory)."""

    memory: Annotated[int, Field(ge=0)] = 0  # embeddings kept; 0: none
    memory_after_steps: Annotated[int, Field(ge=0)] = 0  # steps before the memory takes part


class Contrastive(Mined):
    """Positive pairs nearer than one margin, negative ones farther than another."""

    kind: Literal["contrastive"]
    positive_margin: NotNegative = 0.0
    negative_margin: Positive = 1.0


class Triplet(Mined):
    """Every positive nearer to the anchor than the negative, by a margin of the Euclidean distance (not squared).

    Or softly, by the log of 1 + exp, which has no margin.
    """

    kind: Literal["triplet"]
    margin: NotNegative = 0.2
    miner: Literal["all", "hard", "semi-hard"] = "semi-hard"
    soft: bool = False


class MultiSimilarity(Mined):
    """Pairs weighted by how they lie to each other and to a base similarity, with the miner of the same paper."""

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
    """Classification with a margin of the cosine."""

    kind: Literal["cosface"]
    scale: Positive = 64.0
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.35


class Distillation(Term):
    """How far the embeddings are from those that another bundle gives to the same chips."""

    kind: Literal["distillation"]
    teacher: str = "built-in"  # or the path of a bundle
    measure: Literal["cosine", "mse"] = "mse"


LossTerm = Annotated[
    Contrastive | Triplet | MultiSimilarity | ArcFace | CosFace | Distillation, Field(discriminator="kind")
]


class DataConfig(RunConfig):
    """Where the chips lie, and who is held out. Folders are those that `visavis prepare` makes."""

    train: GivenPath
    validation: GivenPath | None = None  # other people's; None: some of `train` are held out
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of train's people
    min_images: Count = 2  # people with fewer are left out


class NetworkConfig(RunConfig):
    """The network that learns, and what it starts from."""

    backbone: str | None = None  # None: that of `start`
    start: str | None = None  # "built-in" or the path of a bundle; None: from scratch
    weights: GivenPath | None = None  # the backbone's, in a file of its own format (inception_resnet_v1 alone)
    input_size_px: Annotated[int, Field(ge=32, le=300)] | None = None  # None: that of `start`, or the backbone's own
    crop_px: Annotated[int, Field(ge=32, le=512, multiple_of=2)] | None = (
        None  # the chip's middle that is seen; None: as `start`, or all
    )
    unit_length: bool | None = None  # None: that of `start`, or true
    mirror: bool | None = (
        None  # is the embedding the mean over a chip and its mirror image? None: that of `start`, or no
    )
    frozen: tuple[str, ...] = ()  # stages that do not learn; "backbone" is all but the head
    rates: dict[str, NotNegative] = Field(
        default_factory=dict
    )  # stage -> factor on the learning rate (1 where it is not named)

    @model_validator(mode="after")
    def _something_is_built(self) -> Self:
        if self.backbone is None and self.start is None:
            raise ValueError("say network.backbone, or network.start for the weights of a bundle")
        return self


class SamplingConfig(RunConfig):
    """A batch is so many people, and so many images of each."""

    people: Annotated[int, Field(ge=2)] = 32
    images: Annotated[int, Field(ge=2)] = 4


class OptimizerConfig(RunConfig):
    """SGD with momentum, or AdamW."""

    kind: Literal["sgd", "adamw"] = "adamw"
    rate: Positive = 1e-3
    classifier_factor: Positive = 1.0  # on the rate, for the class weights of ArcFace and CosFace
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # of SGD
    weight_decay: NotNegative = 5e-4
    pull: NotNegative = 0.0  # of the weights towards those at the start (L2-SP), in place of towards 0


class ScheduleConfig(RunConfig):
    """How the learning rate rises and falls over the run."""

    kind: Literal["cosine", "poly", "constant"] = "cosine"
    power: Positive = 2.0  # of poly
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.05  # share of the run
    last: Share = 0.01  # of the full rate, at the end


class LoopConfig(RunConfig):
    """How long, how precise, and what is averaged."""

    steps: Count | None = None  # the same run every time
    minutes: Positive | None = None  # as many steps as fit: another number on another machine
    precision: Literal["auto", "f32", "bf16", "fp16"] = "auto"  # auto: bf16 where the processor computes in it
    clip: Positive = 5.0  # of the gradient's norm
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the weights, at each step; 0: none
    checkpoint_every: Count = 200  # steps
    blend: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the learnt weights with those at the start; 1: none of these

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("say loop.steps or loop.minutes, one of the two")
        return self


class ValidationConfig(RunConfig):
    """How often people held out are looked at, and when that ends the run."""

    every: Count = 200  # steps
    patience: Count | None = None  # looks without a lower error rate before the run stops; None: it never does
    keep: Literal["best", "last"] = "last"  # which weights become the bundle


class GuardConfig(RunConfig):
    """When a run counts as collapsed. It is looked at every few steps."""

    every: Count = 10  # steps
    patience: Count = 5  # looks in a row that must find it collapsed
    is_on: bool = True


class BundleConfig(RunConfig):
    """What the card of the new bundle says that no program can know."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
    license: Annotated[str, Field(min_length=1)]  # of the weights, given what they were trained on
    trained_on: Annotated[str, Field(min_length=1)]  # whom the photos show, where they are from, in words
    summary: str = ""
    degrade: bool = True  # fit what a poor photo costs, if people suffice and their photos still lie in place


class RunFile(RunConfig):
    """All of it. Paths are as the file gives them; `reading` has made them start from the right folder."""

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
            raise ValueError("loop.blend and optimizer.pull go back to a start: say network.start, or leave them out")
        return self
