"""`visavis import-onnx`: make a bundle of a network in an ONNX file of others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from embedder import ImportedNetwork, import_onnx, read_facts

from .data_options import PATH

ALIGNMENTS = ("arcface", "dlib", "eyes")


def _numbers(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | list[float] | None:
    """Read one number, or numbers with commas between them."""
    if value is None:
        return None
    try:
        numbers = [float(each) for each in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"must be a number, or numbers with commas between them, not {value}") from None
    return numbers[0] if len(numbers) == 1 else numbers


def _alignment(context: click.Context, option: click.Parameter, value: str | None) -> str | list[list[float]] | None:
    if value is None or value in ALIGNMENTS:
        return value
    numbers = _numbers(context, option, value)
    if not isinstance(numbers, list) or len(numbers) != 10:  # noqa: PLR2004 - five points
        raise click.BadParameter(f"must be {', '.join(ALIGNMENTS)} or x,y of five points with commas, not {value}")
    return [numbers[start : start + 2] for start in range(0, len(numbers), 2)]


@click.command("import-onnx")
@click.argument("file", type=PATH)
@click.option("--out", "folder", type=PATH, required=True, metavar="BUNDLE", help="A new folder for the bundle.")
@click.option("--facts", "facts_file", type=PATH, metavar="FILE.toml", help="The facts below as TOML; options win.")
@click.option("--faces", type=PATH, metavar="DIR", help="Try the facts on two photos each of people, one folder each.")
@click.option("--name", help="Of the model: lower-case letters, digits, dots and dashes.")
@click.option("--licence", help="Of the weights.")
@click.option("--color-order", type=click.Choice(["rgb", "bgr"]), help="The order of the input's channels.")
@click.option("--normalisation", type=click.Choice(["inside"]), help="The network takes pixel values, 0 to 255.")
@click.option("--mean", callback=_numbers, metavar="X|R,G,B", help="Subtracted from pixel values, 0 to 255.")
@click.option("--scale", type=float, metavar="X", help="By which the difference is divided.")
@click.option(
    "--alignment",
    callback=_alignment,
    metavar="arcface|dlib|eyes|X,Y,...",
    help="The places of the face in the chip: by name, or eyes, nose and corners of the mouth in px.",
)
@click.option("--chip-side", type=int, metavar="PX", help="That the five points refer to; default: the input's side.")
@click.option("--input-size", type=int, metavar="PX", help="The input's side; it must be that of the file.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Of the input; it must be that of the file.")
@click.option("--unit-length/--no-unit-length", default=None, help="Scale embeddings to length 1 (default).")
@click.option("--mirror/--no-mirror", default=None, help="Average a chip and its mirror image (default: no).")
@click.option("--source", help="Where the file is from.")
@click.option("--trained-on", help="Whose photos the network was trained on.")
@click.option("--sha256", help="That the file must have.")
def import_onnx_command(file: Path, folder: Path, facts_file: Path | None, faces: Path | None, **given: Any) -> None:
    """Make a model bundle of a face network in FILE, an ONNX file of others.

    The network must take a picture and return one vector of 64 to 1,024 channels. State its name, licence, colour
    order, alignment, and mean and scale (or --normalisation inside), as options or in a TOML file with the same keys.
    The file is checked, and run in a process of its own, within limits of memory and time.

    The bundle has no operating points, so it decides nothing until visavis calibrate has measured it on your photos.

    Exit status: 0, or 2 if the network cannot be imported.
    """
    facts = read_facts(facts_file, {key: value for key, value in given.items() if value is not None})
    imported = import_onnx(file, folder, facts, faces)
    click.echo("\n".join(_as_text(imported, folder)))
    for line in _cautions(imported):
        click.echo(f"visavis: {line}", err=True)


def _as_text(imported: ImportedNetwork, folder: Path) -> Iterator[str]:
    card = imported.card
    yield click.style(str(folder), bold=True) + f": {card.name}, {card.digest}"
    yield f"  {card.architecture.embedding_size} channels, from chips of {card.alignment.chip_size_px} px"
    yield f"  largest difference from the file's network: {imported.difference:.2g}"
    if imported.n_people and imported.better is None:
        yield f"  facts tried on photos of {imported.n_people} people: no other colour order or scale is clearly better"
    yield f"  not measured: run visavis calibrate --model {folder} with your photos"


def _cautions(imported: ImportedNetwork) -> Iterator[str]:
    if not imported.n_people:
        yield "the colour order and the scale were not tried on faces; give --faces DIR"
    if imported.better is not None:
        found = imported.better
        yield (
            f"caution: with {found.better} one person's photos are clearly closer to each other than with "
            f"{found.stated}: {1 - found.better_closeness:.0%} of the distance of lookalikes, instead of "
            f"{1 - found.stated_closeness:.0%}; check the facts and import the file again"
        )
