"""Draw the README's table of speeds from the JSON lines of the benchmark.

Usage: python tools/draw_speed.py FILE, where FILE is written by `python benchmarks/speed.py --json FILE`. Writes
docs/pictures/speed.png; all its numbers come from that run.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "speed.png"
OURS, THEIRS, INK, QUIET = "#2a9d8f", "#c9ced3", "#222222", "#777777"
WIDTH = 0.8  # of a bar
TABLE = (  # how a line begins in the file, what it is called in the picture, and how its number is written
    ("network", "visavis, openvino f32", "network, 32 faces at once: share of the machine's own GEMM rate", "{:.0%}"),
    ("throughput", "HTTP, 8 clients: with", "over HTTP, 8 clients: share of the rate in process", "{:.0%}"),
    ("throughput", "HTTP, 8 clients: p99", "over HTTP, 8 clients: slowest 1% against the median", "{:.1f} times"),
    (
        "overload",
        "lost, or any",
        "64 clients, 34 places: requests lost, or answered by another error than 503",
        "{:.0f}",
    ),
    ("memory of the service", "after", "memory of the service after {} verifications", "{:.0f} MiB"),
    ("start", "until", "start to ready", "{:.1f} s"),
    (
        "accuracy",
        "visavis: accuracy",
        "accuracy on LFW View 1 (a photo without a face matches nobody): visavis",
        "{:.1f}%",
    ),
    (
        "accuracy",
        "OpenCV: YuNet and SFace: accuracy",
        "accuracy on LFW View 1 (a photo without a face matches nobody): OpenCV",
        "{:.1f}%",
    ),
)
Line = dict[str, Any]


def main() -> None:
    mpl.use("Agg")
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    figures = [line for line in lines if line["part"] != "facts"]
    cases = list(dict.fromkeys(line["case"] for line in figures if line["part"] == "one verification"))
    heights = [1.0] * len(cases) + [1.25]
    figure, places = plt.subplots(len(heights), 1, figsize=(11, 8.8), height_ratios=heights, layout="constrained")
    for axes, case in zip(places, cases, strict=False):
        draw_case(axes, case, [line for line in figures if line["case"] == case])
    draw_table(places[-1], figures)
    figure.suptitle(
        "One verification, bytes to decision, in process (milliseconds, logarithmic)", color=INK, fontsize=12
    )
    figure.supxlabel(machine(lines), color=QUIET, fontsize=8)
    figure.savefig(PICTURE, dpi=110, facecolor="white")


def draw_case(axes: Axes, case: str, lines: list[Line]) -> None:
    times = {line["who"].removeprefix("visavis against "): line for line in lines if line["unit"] == "times"}
    for place, line in enumerate(each for each in lines if each["unit"] == "ms"):
        who, ms = line["who"], line["median"]
        axes.barh(place, ms, WIDTH, color=OURS if who.partition(",")[0] == "visavis" else THEIRS)
        axes.annotate(
            as_text(ms, times.get(who)), (ms, place), (6, 0), textcoords="offset points", va="center", color=INK
        )
        axes.annotate(who, (1, place), (-6, 0), textcoords="offset points", ha="right", va="center", color=INK)
    axes.set(xscale="log", xlim=(1, 3e7), yticks=[])
    axes.invert_yaxis()
    axes.set_title(case, loc="left", fontsize=10, color=INK)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)


def as_text(ms: float, times: Line | None) -> str:
    if times is None:
        return f"{short(ms)} ms"
    median, least, most = (short(times[name]) for name in ("median", "least", "most"))
    return f"{short(ms)} ms: visavis is {median} times as fast ({least} to {most})"


def short(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"  # noqa: PLR2004 - where a tenth says nothing any more


def draw_table(axes: Axes, figures: list[Line]) -> None:
    axes.axis("off")
    rows = [(found[-1], name, form) for part, who, name, form in TABLE if (found := lines_of(figures, part, who))]
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    for row, (found, name, form) in enumerate(rows):
        n = found["who"].removeprefix("after ").removesuffix(" verifications")
        axes.text(0, row, name.format(n), va="center", color=INK)
        axes.text(1, row, form.format(found["median"]), va="center", ha="right", color=OURS, weight="bold")


def lines_of(figures: list[Line], part: str, who: str) -> list[Line]:
    """None of the accuracy, where the run did not measure it."""
    return [line for line in figures if line["part"] == part and line["who"].startswith(who)]


def machine(lines: list[Line]) -> str:
    facts = {name: value for line in lines if line["part"] == "facts" for name, value in line.items()}
    return f"{facts['processor']}, {facts['cores']} cores. Medians of one run, in which all took turns (least to most)."


if __name__ == "__main__":
    main()
