"""`visavis maps`: what a layer makes of a face, and by which kernels, as a picture."""

import click
from PIL.Image import Image

from embedder import FaceChoice, FaceEmbedder, SampleError, load, png, read_bundle
from embedder.explain import Explainer, FeatureMaps, inspect_bundle, kernels_sheet, maps_sheet, stacked

from .options import PRIVATE, face_option, model_option, read_file, stop, write_file

N_TOLD = 8


@click.command()
@click.argument("image", required=False)
@click.option("--layer", required=True, metavar="NAME", help="A layer, by its name in visavis describe: conv3.")
@click.option("--out", "file", metavar="FILE", help="The PNG file; default: the layer's name with .png.")
@click.option("--kernels", is_flag=True, help="Draw its kernels too; IMAGE may then be left out.")
@face_option
@model_option
def maps(
    *, image: str | None, layer: str, file: str | None, kernels: bool, face: FaceChoice, model_path: str | None
) -> None:
    """Draw the feature maps of one layer for the face in IMAGE, the most responsive first, on one scale.

    Kernels are drawn on one scale too: those that see three channels as RGB pictures, others slice by slice.

    Exit status: 0, or 2 where there is no such layer or no usable face.
    """
    if image is None and not kernels:
        stop("give an IMAGE whose maps are to be drawn, or --kernels")
    photo = None if image is None else read_file(image)
    sheets: list[Image] = []
    if photo is not None:
        made = _maps(load(model_path), photo, layer, face)
        click.echo(_in_words(made))
        sheets.append(maps_sheet(made))
    if kernels:
        sheets.append(_kernels_drawn(model_path, layer))
    file = f"{layer}.png" if file is None else file
    write_file(file, png(stacked(sheets)), PRIVATE)
    click.echo(f"drawn into {file}")


def _maps(embedder: FaceEmbedder, photo: bytes, layer: str, face: FaceChoice) -> FeatureMaps:
    try:
        return Explainer(embedder).maps(photo, layer=layer, face=face)
    except SampleError as error:
        stop(f"IMAGE: {error}")


def _kernels_drawn(model_path: str | None, layer: str) -> Image:
    inside = inspect_bundle(read_bundle(model_path))
    kernels = inside.kernels(layer)
    if kernels is None:
        stop(f"{layer} is a pool, which has no kernels; leave out --kernels, or name a convolution")
    return kernels_sheet(inside.layer(layer), kernels)


def _in_words(made: FeatureMaps) -> str:
    strongest = ", ".join(f"{each.channel} ({each.peak:.3g})" for each in made.responses[:N_TOLD])
    return f"{made.layer.name}: {made.layer.notation}\nmost responsive channels, with their peaks: {strongest}"
