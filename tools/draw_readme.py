"""Draw the README's picture: two pairs of example photos, the faces found, their chips, and the verdicts.

Usage: python tools/draw_readme.py. Writes docs/pictures/verdicts.png; every number in it comes from the model.
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image

from embedder import Comparison, Sample, load

ROOT = Path(__file__).parent.parent
FACES = ROOT / "examples" / "faces"
PAIRS = (("001-neutral", "001-smiling"), ("001-neutral", "005-neutral"))
EMBEDDER = load()


def draw_photo(axes: Axes, name: str, sample: Sample) -> None:
    axes.imshow(Image.open(FACES / f"{name}.jpg"))
    box = sample.face.box
    axes.add_patch(Rectangle((box.x, box.y), box.width, box.height, fill=False, color="#2a9d8f", linewidth=2))
    axes.scatter(*zip(*sample.face.landmarks, strict=True), s=12, color="#e9c46a")
    axes.axis("off")


def draw_chip(axes: Axes, name: str) -> None:
    chip = EMBEDDER.chip((FACES / f"{name}.jpg").read_bytes()).pixels
    axes.imshow(chip)
    axes.set_title("{1}x{0} chip".format(*chip.shape), fontsize=8)
    axes.axis("off")


def draw_verdict(axes: Axes, comparison: Comparison) -> None:
    words, colour = ("same person", "#2a9d8f") if comparison.same else ("different persons", "#e76f51")
    axes.barh([0], [comparison.distance], color=colour, height=0.5)
    axes.axvline(comparison.threshold, color="black", linewidth=1.5)
    axes.set(xlim=(0, 1.6), ylim=(-1, 1), yticks=[])
    axes.set_xlabel("distance (line: threshold)")
    axes.set_title(f"{words}\n{comparison.distance:.3f} against {comparison.threshold:.3f}", color=colour, fontsize=12)


def main() -> None:
    mpl.use("Agg")
    figure, rows = plt.subplots(len(PAIRS), 5, figsize=(12, 5), layout="constrained")
    for axes, pair in zip(rows, PAIRS, strict=True):
        comparison = EMBEDDER.verify(*((FACES / f"{name}.jpg").read_bytes() for name in pair))
        for place, name, sample in zip((0, 3), pair, (comparison.probe, comparison.reference), strict=True):
            draw_photo(axes[place], name, sample)
            draw_chip(axes[1 if place == 0 else 2], name)
        draw_verdict(axes[4], comparison)
    figure.savefig(ROOT / "docs" / "pictures" / "verdicts.png", dpi=110)


if __name__ == "__main__":
    main()
