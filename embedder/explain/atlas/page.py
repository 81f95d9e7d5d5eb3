"""The atlas as one HTML file to look at. It shows faces of the people it was made of: biometric data."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from ...image import data_uri, png
from ..colors import painted
from .atlas import Atlas, Channel
from .faces import AtlasFaces

N_FACES = 6  # at each end of a channel
LOOKS_PX, TOGETHER_PX = 96, 512

Shown = tuple[Channel, dict[str, list[str]], str]  # with the faces at its ends, and where it looks, as addresses


def atlas_page(atlas: Atlas, faces: AtlasFaces) -> str:
    """Fill in the template. A name that it misspells is an error, every text is escaped, and no request leaves it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("atlas.html")
    return template.render(atlas=atlas, shown=_shown(atlas, faces), together=_together(atlas.together))


def _shown(atlas: Atlas, faces: AtlasFaces) -> Iterator[Shown]:
    for channel in atlas.channels:
        order = np.argsort(faces.vectors[:, channel.channel], kind="stable")
        ends = {"highest": _of_other_people(order[::-1], faces), "lowest": _of_other_people(order, faces)}
        yield channel, ends, _looked_at(channel.looks_at)


def _of_other_people(order: NDArray[np.intp], faces: AtlasFaces) -> list[str]:
    """The first faces of an order, each of another person."""
    found: dict[int, str] = {}
    for place in order.tolist():
        found.setdefault(int(faces.people[place]), data_uri("jpeg", faces.small[place]))
        if len(found) == N_FACES:
            break
    return list(found.values())


def _looked_at(changes: NDArray[np.float64]) -> str:
    pixels = painted(changes.astype(np.float32), (0.0, float(changes.max())))
    return _uri(Image.fromarray(pixels).resize((LOOKS_PX, LOOKS_PX), Image.Resampling.BICUBIC))


def _together(correlations: NDArray[np.float64]) -> str:
    pixels = painted(correlations.astype(np.float32), (-1.0, 1.0))
    return _uri(Image.fromarray(pixels).resize((TOGETHER_PX, TOGETHER_PX), Image.Resampling.NEAREST))


def _uri(picture: Image.Image) -> str:
    return data_uri("png", png(picture))
