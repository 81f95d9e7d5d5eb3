"""Print the table of docs/galleries.md: how many templates a gallery may have at which FPIR, by the model's card.

    python tools/gallery_sizes.py [--model MODEL]

Each cell has the FNIR to expect and its 95% interval, for a person with one template. The last line has the largest
number of templates for which the card's evidence carries the FPIR.
"""

import argparse
from collections.abc import Iterator

from embedder import ModelCard, percent, read_bundle
from gallery import ClaimUnavailable, claim_for, largest_gallery

FPIRS = (1e-1, 1e-2, 1e-3)
SIZES = (10, 100, 1_000, 10_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="A model bundle, or the name of a built-in model.")
    print("\n".join(table(read_bundle(parser.parse_args().model).card)))


def table(card: ModelCard) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield _row("templates", (f"FNIR at FPIR {percent(fpir)}" for fpir in FPIRS))
    yield "|---" * (len(FPIRS) + 1) + "|"
    for n_templates in SIZES:
        yield _row(f"{n_templates:,}", (_expected(card, fpir, n_templates) for fpir in FPIRS))
    yield _row("at most", (f"{largest_gallery(card, fpir):,} templates" for fpir in FPIRS))


def _row(name: str, cells: Iterator[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _expected(card: ModelCard, fpir: float, n_templates: int) -> str:
    try:
        claim = claim_for(card, fpir=fpir, n_templates=n_templates)
    except ClaimUnavailable:
        return "refused"
    if claim.fnir is None or claim.fnir_interval is None:
        return "not measured"
    low, high = claim.fnir_interval
    return f"{percent(claim.fnir)} ({percent(low)} to {percent(high)})"


if __name__ == "__main__":
    main()
