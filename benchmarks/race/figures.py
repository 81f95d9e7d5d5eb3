"""The results of a race as records: each is one line of JSON and one line of the table."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured figure: the median, minimum and maximum of its rounds."""

    part: str  # of the race
    case: str  # which photographs, how many clients
    who: str
    unit: str
    median: float
    least: float
    most: float
    n: int
    at_least: float | None = None  # the bars that it was held against
    at_most: float | None = None

    @property
    def verdict(self) -> str:
        """Return the comparison with its bar as text."""
        bars = []
        if self.at_least is not None:
            bars.append(f"at least {self.at_least:g}: {'held' if self.median >= self.at_least else 'MISSED'}")
        if self.at_most is not None:
            bars.append(f"at most {self.at_most:g}: {'held' if self.median <= self.at_most else 'MISSED'}")
        return ", ".join(bars)

    def as_text(self) -> str:
        spread = f"({short(self.least)} to {short(self.most)}, {self.n})" if self.n > 1 else ""
        value = f"{short(self.median):>8} {self.unit}"
        return f"  {self.who:<52} {value:<18} {spread:<24} {self.verdict}".rstrip()


def figure(place: tuple[str, str], who: str, unit: str, values: Sequence[float], **bars: float) -> Figure:
    part, case = place
    return Figure(part, case, who, unit, statistics.median(values), min(values), max(values), len(values), **bars)


def short(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100:  # noqa: PLR2004 - where the third digit stands before the point
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Telling:
    """Prints every figure when it is measured, and stores all for the JSON lines."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._part = ""

    def head(self, facts: dict[str, object]) -> None:
        """Print and store the facts of the machine and the pipelines."""
        self._lines.append(json.dumps({"part": "facts", **facts}))
        for name, value in facts.items():
            print(f"{name}: {value}", flush=True)

    def __call__(self, found: Figure) -> None:
        part = f"{found.part}: {found.case}"
        if part != self._part:
            print(f"\n{part}", flush=True)
            self._part = part
        print(found.as_text(), flush=True)
        self._lines.append(json.dumps(asdict(found)))

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def write(self, file: Path | None) -> None:
        """Lines of JSON into the file, or printed below the table."""
        text = "\n".join(self._lines) + "\n"
        if file is None:
            print(f"\n{text}", end="")
        else:
            file.write_text(text, encoding="utf-8")
