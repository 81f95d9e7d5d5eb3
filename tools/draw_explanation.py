"""Draw the explanations of a pair that matches and of one that does not.

Usage: python tools/draw_explanation.py. Writes docs/pictures/explain.png from three example photos.
"""

from pathlib import Path

from PIL import Image

from embedder import load
from embedder.explain import Explainer
from embedder.explain.pair_sheet import draw_pair_sheet

ROOT = Path(__file__).parent.parent
PROBE, *REFERENCES = (
    ROOT / "examples" / "faces" / f"{name}.jpg" for name in ("001-neutral", "001-smiling", "005-neutral")
)


def main() -> None:
    embedder, probe = load(), PROBE.read_bytes()
    sheets = [draw_pair_sheet(Explainer(embedder).explain(probe, reference.read_bytes())) for reference in REFERENCES]
    whole = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)))
    for place, sheet in enumerate(sheets):
        whole.paste(sheet, (0, place * sheet.height))
    whole.save(ROOT / "docs" / "pictures" / "explain.png", optimize=True)


if __name__ == "__main__":
    main()
