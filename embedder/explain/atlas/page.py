"""The atlas as one HTML file to look at. It shows faces of the people it was made of: biometric data."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..colors import painted
from ..sheet import png
from .atlas import Atlas, Channel
from .faces import Faces
from .words import Correlation

N_FACES = 6  # at each end of a channel
HISTOGRAM_PX, TOGETHER_PX = (200, 60), 512
BAR_PX = 150  # from r = -1 to 1
TEMPLATE = Path(__file__).parent / "atlas.html"


def page(atlas: Atlas, faces: Faces) -> str:
    """Draw it all; no request leaves it."""
    failed = sum(atlas.failed.values())
    told = (
        f"{atlas.n_faces:,} faces of {atlas.n_people:,} people; {failed:,} photos had no usable face. "
        f"The 128 channels spread like {atlas.effective_dimension:.1f} independent ones."
    )
    return (
        TEMPLATE.read_text("utf-8")
        .replace("{{model}}", escape(f"{atlas.model.name}  {atlas.model.digest[:19]}"))
        .replace("{{told}}", escape(told))
        .replace("{{together}}", _picture(_together(atlas.together), "How the channels go with each other"))
        .replace("{{index}}", "".join(_indexed(channel) for channel in atlas.channels))
        .replace("{{channels}}", "".join(_section(channel, faces) for channel in atlas.channels))
    )


def _indexed(channel: Channel) -> str:
    number = channel.channel
    return f'<li><a href="#c{number}"><b>{number}</b> {escape(channel.sentence.en)}</a></li>'


def _section(channel: Channel, faces: Faces) -> str:
    ratio = (
        ""
        if np.isnan(channel.between_over_within)
        else f"between over within people: {channel.between_over_within:.2f}"
    )
    lowest, highest = _ends(faces.vectors[:, channel.channel], faces.people)
    return (
        f'<section id="c{channel.channel}"><h2>Channel {channel.channel} '
        f"<span>{escape(channel.sentence.en)}</span></h2>"
        f'<p lang="zh">{escape(channel.sentence.zh)}</p><div class="row">'
        f"<figure>{_row(faces, highest)}<figcaption>highest</figcaption></figure>"
        f"<figure>{_row(faces, lowest)}<figcaption>lowest</figcaption></figure>"
        f'<figure><img alt="" src="{channel.maximising}"><figcaption>maximised</figcaption></figure>'
        f"<figure>{_picture(_looked_at(channel.looks_at), 'Where it looks')}<figcaption>looks at</figcaption></figure>"
        f"<figure>{_histogram(channel)}<figcaption>its values; {ratio}</figcaption></figure>"
        f"</div>{_table(channel.correlations)}</section>"
    )


def _ends(values: NDArray[np.float32], people: NDArray[np.intp]) -> tuple[list[int], list[int]]:
    """The faces of the lowest and of the highest values, the farthest first, each of another person."""
    order = np.argsort(values, kind="stable")
    return _of_other_people(order, people), _of_other_people(order[::-1], people)


def _of_other_people(order: NDArray[np.intp], people: NDArray[np.intp]) -> list[int]:
    found: dict[int, int] = {}
    for place in order.tolist():
        found.setdefault(int(people[place]), place)
        if len(found) == N_FACES:
            break
    return list(found.values())


def _row(faces: Faces, places: list[int]) -> str:
    return "".join(f'<img alt="" src="{_uri(faces.small[place], "jpeg")}">' for place in places)


def _table(correlations: tuple[Correlation, ...]) -> str:
    known = sorted((each for each in correlations if not np.isnan(each.r)), key=lambda each: -abs(each.r))
    return f"<table>{''.join(_correlated(each) for each in known)}</table>"


def _correlated(each: Correlation) -> str:
    """A line of the table: the trait, a bar with its interval, the numbers."""
    middle = BAR_PX / 2
    left, right = sorted((middle, middle * (1 + each.r)))
    low, high = middle * (1 + each.low), middle * (1 + each.high)
    kind = "sure" if each.is_sure else "unsure"
    bar = (
        f'<svg width="{BAR_PX}" height="12" class="{kind}"><line x1="{middle}" x2="{middle}" y1="0" y2="12"/>'
        f'<rect x="{left:.1f}" y="2" width="{right - left:.1f}" height="8"/>'
        f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="6" y2="6"/></svg>'
    )
    numbers = f"{each.r:+.2f} [{each.low:+.2f}, {each.high:+.2f}]"
    return f"<tr><td>{escape(each.trait.en)}</td><td>{bar}</td><td>{numbers}</td></tr>"


def _histogram(channel: Channel) -> str:
    width, height = HISTOGRAM_PX
    counts = channel.histogram.counts
    step, most = width / len(counts), max(counts)
    return (
        f'<svg class="histogram" width="{width}" height="{height}">{"".join(_bars(counts, step, height / most))}</svg>'
    )


def _bars(counts: tuple[int, ...], step: float, per_face: float) -> Iterator[str]:
    for place, count in enumerate(counts):
        height = count * per_face
        top = HISTOGRAM_PX[1] - height
        yield f'<rect x="{place * step:.1f}" y="{top:.1f}" width="{step - 1:.1f}" height="{height:.1f}"/>'


def _looked_at(changes: NDArray[np.float64]) -> Image.Image:
    pixels = painted(changes.astype(np.float32), (0.0, float(changes.max())))
    return Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC)


def _together(correlations: NDArray[np.float64]) -> Image.Image:
    pixels = painted(correlations.astype(np.float32), (-1.0, 1.0))
    return Image.fromarray(pixels).resize((TOGETHER_PX, TOGETHER_PX), Image.Resampling.NEAREST)


def _picture(picture: Image.Image, words: str) -> str:
    return f'<img alt="{words}" src="{_uri(png(picture), "png")}">'


def _uri(image: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(image).decode()}"
