"""What is answered about a network's layers, and about why two faces matched or not."""

from typing import Annotated, Literal

from pydantic import Field

from .answers import Answer, ModelIdentity, Sample, VerifyResponse

LayerKind = Literal["convolution", "depthwise convolution", "dense", "max pool", "mean pool"]


class Layer(Answer):
    """One layer of the network, with the sum and the activation that follow it."""

    name: Annotated[str, Field(description="As POST /v1/maps takes it.")]
    kind: LayerKind
    notation: Annotated[
        str, Field(description="As in `3@112x112 -> 32 kernels 3@3x3, stride 1, padding 1 -> 32@112x112`.")
    ]
    takes: Annotated[
        str,
        Field(
            description="Whose maps it is given: a layer; `a x b`, their product; `a / b`, one divided by the other; "
            "`a & b`, side by side."
        ),
    ]
    adds: Annotated[str, Field(description="Whose maps are added to those it makes; empty = nobody's.")]
    activation: Annotated[str, Field(description="What follows the sum; empty = nothing.")]
    shape: Annotated[tuple[int, int, int], Field(description="Channels, height and width of the maps it makes.")]
    receptive_field_px: Annotated[
        int,
        Field(description="Side of the square of the network's input that one value depends on; may exceed the input."),
    ]
    mixes: Annotated[
        Literal["channels", "space", "both", "neither"],
        Field(description="Is a value made from several channels, from several places, from both or neither?"),
    ]
    parameters: Annotated[int, Field(description="Weights and biases, with normalisations folded in.")]
    macs: Annotated[int, Field(description="Multiplications with an addition each, for one chip.")]


class LayersResponse(Answer):
    """The answer of GET /v1/layers: the layers in running order."""

    layers: list[Layer]
    total_macs: Annotated[int, Field(description="Of convolutions and dense layers.")]
    total_parameters: int
    stored_parameters: Annotated[
        int, Field(description="As they lie in the model's file, before normalisations are folded in.")
    ]
    model: ModelIdentity


class Response(Answer):
    """How one channel answers to a face."""

    channel: Annotated[int, Field(description="Its number in the layer, from 0.")]
    peak: Annotated[float, Field(description="Its value farthest from 0, in the layer's own unit.")]
    mean: Annotated[float, Field(description="Over its map.")]


class MapsResponse(Answer):
    """The answer of POST /v1/maps. The picture shows the face: treat it like the photo."""

    layer: Layer
    maps: Annotated[list[Response], Field(description="Every channel, the largest peak first, as in the picture.")]
    columns: Annotated[int, Field(description="Cells in each row of the picture.")]
    cell_px: Annotated[int, Field(description="Side of a cell; the first one begins at the upper left corner.")]
    scale: Annotated[
        tuple[float, float], Field(description="The values drawn in the first and the last colour; beyond, the same.")
    ]
    colors: Annotated[
        list[str], Field(description="From the scale's low end to its high end, at even distances: #rrggbb.")
    ]
    picture: Annotated[
        str, Field(description="data: URI of a PNG: a cell for each map, under its number; transparent between them.")
    ] = Field(repr=False)
    sample: Sample
    model: ModelIdentity
    request_id: str


Picture = Annotated[str, Field(description="data: URI of a PNG.", repr=False)]
Region = Literal["left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "forehead", "chin", "outside"]


class ChipPicture(Answer):
    """The aligned face as the network sees it: its side is the model card's `alignment.chip_size_px`.

    It shows the face: treat it like the photo.
    """

    picture: Picture
    landmarks: Annotated[
        list[tuple[float, float]], Field(description="As in `probe` and `reference`, but in px of this picture.")
    ] = Field(repr=False)


class Chips(Answer):
    """Both faces that were compared."""

    probe: ChipPicture
    reference: ChipPicture


class Sentence(Answer):
    """One thing said in two languages."""

    en: str
    zh: str


class ChannelShare(Answer):
    """What one of the 128 channels adds to the distance. Its values are biometric data."""

    channel: Annotated[int, Field(description="Its number, from 0.")]
    probe: Annotated[float, Field(description="Its value for the probe.", repr=False)]
    reference: Annotated[float, Field(description="Its value for the reference.", repr=False)]
    share: Annotated[
        float, Field(description="Of the squared distance; they add up to 1, or to 0 at distance 0.", ge=0, le=1)
    ]
    sentences: Annotated[
        Sentence | None, Field(description="What the channel goes with, by the model's atlas; null where it has none.")
    ]


class RegionShare(Answer):
    """What one region of a face does to the distance."""

    region: Annotated[Region, Field(description="Left and right as in the picture.")]
    share: Annotated[float, Field(description="Of all influence; those of a face add up to 1, or to 0.")]
    toward: Annotated[
        float, Field(description="How much of it brings the faces together, less how much drives them apart.")
    ]


class Saliency(Answer):
    """Which places of a face matter to the distance, the other face being as it is."""

    map: Annotated[
        list[list[float]],
        Field(
            description="30 rows of 30 places, from edge to edge of the chip, -1 to 1: positive = brings the faces "
            "together, negative = drives them apart; the farthest from 0 is near 1.",
            repr=False,
        ),
    ]
    regions: Annotated[list[RegionShare], Field(description="The largest share first.")]


class Saliencies(Answer):
    """Of both faces."""

    probe: Saliency
    reference: Saliency


class ExplainResponse(VerifyResponse):
    """The answer of POST /v1/explain: what POST /v1/verify says, and why. It is about the plain distance."""

    chips: Chips
    channels: Annotated[list[ChannelShare], Field(description="All 128, the largest share first.")]
    saliency: Annotated[Saliencies | None, Field(description="Null where it was not asked for.")]
