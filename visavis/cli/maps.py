"""`visavis maps`: draw a layer's feature maps for a face, and its kernels."""

import click
from PIL.Image import Image

from embedder import FaceEmbedder, SampleError, load, png, read_bundle
from embedder.explain import Explainer, FeatureMaps, inspect_bundle, kernels_sheet, maps_sheet, stacked

from .options import PRIVATE, face_option, model_option, read_file, stop, write_file

N_SHOWN = 8


@click.command()
@click.argument("image", required=False)
@click.option("--layer", required=True, metavar="NAME", help="The layer's name in visavis describe, such as conv3.")
@click.option("--out", "file", metavar="FILE", help="The PNG file; default: the layer's name with .png.")
@click.option("--kernels", is_flag=True, help="Also draw the kernels; IMAGE is then optional.")
@face_option
@model_option
def maps(*, image: str | None, layer: str, file: str | None, kernels: bool, face: str, model_path: str | None) -> None:
    """Draw the feature maps of one layer for the face in IMAGE, the most responsive first, on a common scale.

    IMAGE may be - for standard input.

    Kernels are drawn on a common scale too: kernels over three channels as RGB images, others slice by slice.

    Exit status: 0, or 2 if the layer does not exist or no face can be used.
    """
    if image is None and not kernels:
        stop("give an IMAGE to draw its maps, or --kernels")
    photo = None if image is None else read_file(image)
    sheets: list[Image] = []
    if photo is not None:
        result = _maps(load(model_path), photo, layer, face)
        click.echo(_as_text(result))
        sheets.append(maps_sheet(result))
    if kernels:
        sheets.append(_kernels_drawn(model_path, layer))
    file = f"{layer}.png" if file is None else file
    write_file(file, png(stacked(sheets)), PRIVATE)
    click.echo(f"written to {file}")


def _maps(embedder: FaceEmbedder, photo: bytes, layer: str, face: str) -> FeatureMaps:
    try:
        return Explainer(embedder).maps(photo, layer=layer, face=face)
    except SampleError as error:
        stop(f"IMAGE: {error}")


def _kernels_drawn(model_path: str | None, layer: str) -> Image:
    inside = inspect_bundle(read_bundle(model_path))
    kernels = inside.kernels(layer)
    if kernels is None:
        stop(f"{layer} is a pooling layer without kernels; omit --kernels, or choose a convolution")
    return kernels_sheet(inside.layer(layer), kernels)


def _as_text(result: FeatureMaps) -> str:
    strongest = ", ".join(f"{each.channel} ({each.peak:.3g})" for each in result.responses[:N_SHOWN])
    return f"{result.layer.name}: {result.layer.notation}\nmost responsive channels, with their peaks: {strongest}"
