"""From an evaluation to the text of its page: the template with pictures and chips put in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from embedder import Pixels, data_uri, jpeg

from ..against import ModelComparison
from ..as_text import HOLDS, SOURCES
from ..groups import DIFFERS, GroupReport
from ..protocols.protocol import LabeledPhoto
from ..record import Evaluation, WorstPair
from ..standard import beside_standard, standard_in_words
from ..words import DECIDES, SCORE, rate_text
from .canvas import Plot
from .opening import opening

ChipSource = Callable[[LabeledPhoto], Pixels]  # (side, side, 3) of the face that was compared

N_FAILURES = 200  # that are listed by name
QUALITY = 92  # of chips as JPEG


@dataclass(frozen=True, slots=True)
class ShownPair:
    """Two chips, ready to be shown."""

    pair: WorstPair
    probe: str  # as an address
    reference: str


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """All that the page shows."""

    found: Evaluation
    command: str
    versus: ModelComparison | None
    groups: GroupReport | None
    pictures: Sequence[Plot]
    chips: ChipSource

    def worst(self) -> dict[str, tuple[ShownPair, ...]]:
        """Return the worst comparisons of each kind with their chips."""
        kinds = {"matches": self.found.worst_false_matches, "non_matches": self.found.worst_false_non_matches}
        return {kind: tuple(self._shown(pair) for pair in pairs) for kind, pairs in kinds.items()}

    def _shown(self, pair: WorstPair) -> ShownPair:
        return ShownPair(pair, _jpeg(self.chips(pair.probe)), _jpeg(self.chips(pair.reference)))


def page(content: Content) -> str:
    """Fill in the template. A name that it misspells is an error, and every text is escaped."""
    found = content.found
    return (
        _environment()
        .get_template("page.html")
        .render(
            found=found,
            figures=found.figures,
            opening=opening(found),
            standard=tuple(standard_in_words(beside_standard(found))),
            command=content.command,
            versus=content.versus,
            groups=content.groups,
            pictures={picture.name: picture for picture in content.pictures},
            worst=content.worst(),
            n_failures=N_FAILURES,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {
        "holds": HOLDS.get,
        "source": SOURCES.get,
        "differs": DIFFERS.get,
        "score": SCORE.get,
        "decides": DECIDES.get,
    }
    environment.filters |= words | {"rate": rate_text, "number": _number}
    return environment


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _jpeg(pixels: Pixels) -> str:
    return data_uri("jpeg", jpeg(Image.fromarray(pixels), QUALITY))
