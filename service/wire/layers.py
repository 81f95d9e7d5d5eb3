"""What is answered about a network's layers."""

from typing import Annotated, Literal

from pydantic import Field

from .answers import Answer, ModelIdentity, Sample

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
