"""What is answered about why two faces matched or not."""

from typing import Annotated, Literal

from pydantic import Field

from .answers import Answer, VerifyResponse

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
