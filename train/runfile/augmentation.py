"""How chips are changed before the network sees them; each change with its probability."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from .part import Positive, RunConfig, Share

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
