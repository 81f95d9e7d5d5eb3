"""`visavis explain`: explain a comparison by places and channels, as text, JSON or a picture."""

import json
from dataclasses import asdict, replace
from typing import Literal

import click

from embedder import RuntimeOptions, SampleError, VerifyOptions, load, png, read_bundle
from embedder.explain import (
    Explainer,
    Explanation,
    Saliency,
    draw_pair_sheet,
    gradient_method,
    pair_saliency,
    region_name,
)

from .options import (
    PRIVATE,
    json_option,
    model_option,
    read_file,
    require_one_stdin,
    running_options,
    stop_for,
    verify_options,
    write_file,
)
from .output import comparison_record, comparison_text

N_CHANNELS = 5  # in the text output
LEAST_SHARE = 0.01  # of a region in the text output

Method = Literal["perturbation", "gradient"]


@click.command()
@click.argument("probe")
@click.argument("reference")
@verify_options
@click.option(
    "--method",
    type=click.Choice(["perturbation", "gradient"]),
    default="perturbation",
    show_default=True,
    help="How to find the places that matter: cover parts of the faces, or use gradients (needs visavis[train]).",
)
@click.option(
    "--out", metavar="FILE.png", help="Draw both faces, the places that matter and the channels. Biometric data."
)
@model_option
@running_options
@json_option
def explain(  # noqa: PLR0913 - one for each option of the command
    probe: str,
    reference: str,
    *,
    options: VerifyOptions,
    method: Method,
    out: str | None,
    model_path: str | None,
    running: RuntimeOptions,
    as_json: bool,
) -> None:
    """Compare PROBE and REFERENCE and show which places of the faces and which channels influenced the distance most.

    One of the images may be - for standard input.

    The explanation is of the plain distance, before any threshold. Exit status: 0, or 2 on errors.
    """
    paths = {"probe": probe, "reference": reference}
    require_one_stdin([probe, reference])
    images = [read_file(path) for path in paths.values()]  # before the model is loaded, to report errors at once
    try:
        with load(model_path, running=running) as embedder:
            found = Explainer(embedder).explain(*images, saliency=method == "perturbation", **asdict(options))
    except SampleError as error:
        stop_for(error, paths)
    if method == "gradient":
        found = _by_gradients(found, model_path)
    if out is not None:
        write_file(out, png(draw_pair_sheet(found)), PRIVATE)
    click.echo(json.dumps(_record(found), indent=2) if as_json else _text(found))


def _by_gradients(found: Explanation, model_path: str | None) -> Explanation:
    """Replace the saliency maps by those from gradients."""
    bundle = read_bundle(model_path)
    return replace(found, saliency=pair_saliency(found.sides, gradient_method(bundle), bundle.card.alignment))


def _record(found: Explanation) -> dict[str, object]:
    return comparison_record(found.comparison) | {
        "saliency": None
        if found.saliency is None
        else {"probe": _saliency_record(found.saliency.probe), "reference": _saliency_record(found.saliency.reference)},
        "channels": [
            {
                "channel": each.channel,
                "probe": each.probe,
                "reference": each.reference,
                "share": each.share,
                "sentences": None if each.sentences is None else {"en": each.sentences.en, "zh": each.sentences.zh},
            }
            for each in found.channels
        ],
    }


def _saliency_record(saliency: Saliency) -> dict[str, object]:
    return {
        "map": saliency.coarse.tolist(),
        "regions": [{"region": each.region, "share": each.share, "toward": each.toward} for each in saliency.regions],
    }


def _text(found: Explanation) -> str:
    lines = [comparison_text(found.comparison)]
    if found.saliency is not None:
        lines += ["", "Places, by share of the total influence on the distance, with the other face unchanged:"]
        lines += _places("probe", found.saliency.probe) + _places("reference", found.saliency.reference)
    lines += ["", f"Channels, by share of the squared distance; the {N_CHANNELS} largest of {len(found.channels)}:"]
    return "\n".join([*lines, *_channels(found)])


def _places(name: str, saliency: Saliency) -> list[str]:
    lines = [
        f"    {region_name(each.region):12} {each.share:4.0%}  "
        f"{'decreases the distance' if each.toward > 0 else 'increases the distance'}"
        for each in saliency.regions
        if each.share >= LEAST_SHARE
    ]
    return [f"  {name}", *(lines or ["    none has any influence"])]


def _channels(found: Explanation) -> list[str]:
    return [
        f"    {each.channel:3}  {each.share:5.1%}  {each.probe:+.3f} against {each.reference:+.3f}"
        + (f"  {each.sentences.en}" if each.sentences is not None else "")
        for each in found.channels[:N_CHANNELS]
    ]
