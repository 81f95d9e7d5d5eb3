"""`visavis describe`: show a network layer by layer."""

import json

import click

from embedder import BACKBONES, read_bundle
from embedder.explain import Layer, NetworkDescription, draw_blueprint, inspect_backbone, inspect_bundle

from .options import json_option, model_option, stop, write_file
from .output import layer_record

HEADS = ("layer", "maps -> kernels -> maps", "sees", "mixes", "parameters", "MACs", "takes")
NUMBERS = ("sees", "parameters", "MACs")  # right-aligned
ABOUT = """\
sees: receptive field in px of the network's input. mixes: whether a value depends on several channels or places.
takes: the source of the input maps, if it is not the layer before; x multiplies, & concatenates."""


@click.command()
@model_option
@click.option("--backbone", type=click.Choice(list(BACKBONES)), help="Describe an untrained backbone instead.")
@json_option
@click.option("--svg", metavar="FILE", help="Also draw the network into this file.")
def describe(model_path: str | None, backbone: str | None, svg: str | None, *, as_json: bool) -> None:
    """Show the network layer by layer: maps, kernels, receptive fields, parameters, MACs.

    `3@112x112 -> 32 kernels 3@3x3, stride 2 -> 32@56x56` means: the input is 3 maps of 112x112; each of 32 kernels
    covers all 3 maps at 3x3 places and produces one of 32 maps of 56x56. Measured by running the network once.

    Exit status: 0, or 2 if the model cannot be described.
    """
    if model_path is not None and backbone is not None:
        stop("give --model or --backbone, not both")
    name, description = _described(model_path, backbone)
    if svg is not None:
        write_file(svg, draw_blueprint(name, description).encode())
    click.echo(json.dumps(_as_record(description), indent=2) if as_json else _as_text(name, description))


def _described(model_path: str | None, backbone: str | None) -> tuple[str, NetworkDescription]:
    if backbone is not None:
        return backbone, inspect_backbone(backbone).description
    bundle = read_bundle(model_path)
    return bundle.card.name, inspect_bundle(bundle).description


def _as_record(description: NetworkDescription) -> dict[str, object]:
    return {
        "layers": [layer_record(layer) for layer in description.layers],
        "total_macs": description.total_macs,
        "total_parameters": description.total_parameters,
        "stored_parameters": description.stored_parameters,
    }


def _as_text(name: str, description: NetworkDescription) -> str:
    rows = [HEADS, *_rows(description.layers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_aligned, HEADS, row, widths)).rstrip() for row in rows]
    return "\n".join([click.style(name, bold=True), *lines, _totals(description), ABOUT])


def _rows(layers: tuple[Layer, ...]) -> list[tuple[str, ...]]:
    above = ("input", *(layer.name for layer in layers))
    return [
        (
            layer.name,
            layer.notation,
            f"{layer.receptive_field_px}",
            layer.mixes,
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
            "" if layer.takes == before else layer.takes,
        )
        for layer, before in zip(layers, above, strict=False)
    ]


def _aligned(head: str, word: str, width: int) -> str:
    return word.rjust(width) if head in NUMBERS else word.ljust(width)


def _totals(description: NetworkDescription) -> str:
    stored = description.stored_parameters
    folded = f" ({stored:,} stored, before folding the normalisations)" * (stored != description.total_parameters)
    return f"{description.total_macs:,} MACs, {description.total_parameters:,} parameters{folded}"
