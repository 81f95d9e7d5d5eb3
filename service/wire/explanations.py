"""The answers about a network's layers, its feature maps, and the explanation of a comparison."""

from typing import Annotated, Literal

from pydantic import Field

from .answers import Answer, ModelIdentity, Sample, VerifyResponse

LayerKind = Literal["convolution", "depthwise convolution", "dense", "max pool", "mean pool"]


class Layer(Answer):
    """One layer of the network, with the sum and the activation that follow it."""

    name: Annotated[str, Field(description="The layer's name, as in the option `layer` of POST /v1/maps.")]
    kind: LayerKind
    notation: Annotated[
        str, Field(description="As in `3@112x112 -> 32 kernels 3@3x3, stride 1, padding 1 -> 32@112x112`.")
    ]
    takes: Annotated[
        str,
        Field(
            description="The source of its input maps: a layer; `a x b`, a product; `a / b`, a quotient; "
            "`a & b`, a concatenation."
        ),
    ]
    adds: Annotated[str, Field(description="The layer whose maps are added to its output; empty = none.")]
    activation: Annotated[str, Field(description="The activation after the sum; empty = none.")]
    shape: Annotated[tuple[int, int, int], Field(description="Channels, height and width of its output maps.")]
    receptive_field_px: Annotated[
        int,
        Field(description="Side of the square of the network's input that one value depends on; may exceed the input."),
    ]
    mixes: Annotated[
        Literal["channels", "space", "both", "neither"],
        Field(description="Whether a value depends on several channels, several places, both or neither."),
    ]
    parameters: Annotated[int, Field(description="Weights and biases, with normalisations folded in.")]
    macs: Annotated[int, Field(description="Multiply-accumulate operations for one chip.")]


class LayersResponse(Answer):
    """The answer of GET /v1/layers: the layers in running order."""

    layers: list[Layer]
    total_macs: Annotated[int, Field(description="Of convolutions and dense layers.")]
    total_parameters: int
    stored_parameters: Annotated[
        int, Field(description="Parameters in the model's file, before normalisations are folded in.")
    ]
    model: ModelIdentity


class Response(Answer):
    """The response of one channel to a face."""

    channel: Annotated[int, Field(description="Number of the channel in the layer, from 0.")]
    peak: Annotated[float, Field(description="The value farthest from 0, in the layer's unit.")]
    mean: Annotated[float, Field(description="Mean of the map.")]


class MapsResponse(Answer):
    """The answer of POST /v1/maps. The picture shows the face: treat it like the photo."""

    layer: Layer
    maps: Annotated[list[Response], Field(description="All channels, largest peak first, as in the picture.")]
    columns: Annotated[int, Field(description="Cells in each row of the picture.")]
    cell_px: Annotated[int, Field(description="Side of a cell; the first cell starts at the upper left corner.")]
    scale: Annotated[
        tuple[float, float], Field(description="Values of the first and last colour; values beyond are clipped.")
    ]
    colors: Annotated[list[str], Field(description="Evenly spaced from the scale's low to its high end: #rrggbb.")]
    picture: Annotated[
        str, Field(description="data: URI of a PNG: a cell per map, below its number; transparent between cells.")
    ] = Field(repr=False)
    sample: Sample
    model: ModelIdentity
    request_id: str


Picture = Annotated[str, Field(description="data: URI of a PNG.", repr=False)]
Region = Literal["left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "forehead", "chin", "outside"]


class ChipPicture(Answer):
    """The aligned face, which is the network's input; its side is the model card's `alignment.chip_size_px`.

    It shows the face: treat it like the photo.
    """

    picture: Picture
    landmarks: Annotated[
        list[tuple[float, float]], Field(description="As in `probe` and `reference`, but in px of this picture.")
    ] = Field(repr=False)


class Chips(Answer):
    """Both aligned faces."""

    probe: ChipPicture
    reference: ChipPicture


class Sentence(Answer):
    """A sentence in English and Chinese."""

    en: str
    zh: str


class ChannelShare(Answer):
    """The share of one channel of the embeddings in the distance. Its values are biometric data."""

    channel: Annotated[int, Field(description="Number of the channel, from 0.")]
    probe: Annotated[float, Field(description="Value for the probe.", repr=False)]
    reference: Annotated[float, Field(description="Value for the reference.", repr=False)]
    share: Annotated[
        float, Field(description="Share of the squared distance; the sum is 1, or 0 at distance 0.", ge=0, le=1)
    ]
    sentences: Annotated[
        Sentence | None,
        Field(description="The channel's strongest correlation in the model's atlas; null if it has no atlas."),
    ]


class RegionShare(Answer):
    """The influence of one region of a face on the distance."""

    region: Annotated[Region, Field(description="Left and right as in the image.")]
    share: Annotated[float, Field(description="Share of the total influence; the sum over a face is 1, or 0.")]
    toward: Annotated[
        float, Field(description="The part that decreases the distance minus the part that increases it.")
    ]


class Saliency(Answer):
    """The influence of each place of a face on the distance, with the other face unchanged."""

    map: Annotated[
        list[list[float]],
        Field(
            description="30 rows of 30 places, from edge to edge of the chip, -1 to 1: positive = decreases the "
            "distance, negative = increases it; the largest magnitude is near 1.",
            repr=False,
        ),
    ]
    regions: Annotated[list[RegionShare], Field(description="Largest share first.")]


class Saliencies(Answer):
    """The saliency of both faces."""

    probe: Saliency
    reference: Saliency


class ExplainResponse(VerifyResponse):
    """The answer of POST /v1/explain: the answer of POST /v1/verify and an explanation of the plain distance."""

    chips: Chips
    channels: Annotated[list[ChannelShare], Field(description="All channels, largest share first.")]
    saliency: Annotated[Saliencies | None, Field(description="Null if the request has `saliency=false`.")]
