"""`visavis model`: the model card."""

import json

import click

from embedder import ModelCard, OperatingPoint

from .options import json_option, load_model, model_option


@click.command()
@model_option
@json_option
def model(model_path: str | None, *, as_json: bool) -> None:
    """Show what is known about the model: licence, training data, operating points, limits."""
    card = load_model(model_path).card
    facts = card.model_dump(mode="json") | {"card_digest": card.card_digest}
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _as_text(card))


def _as_text(card: ModelCard) -> str:
    facts = [
        click.style(card.name, bold=True) + f": {card.summary}",
        f"  licence      {card.provenance.license}",
        f"  source       {card.provenance.source}",
        f"  trained on   {card.provenance.trained_on}",
        f"  digest       {card.digest}",
        f"  card digest  {card.card_digest}",
    ]
    points = [_point(point, is_default=point.name == card.default_point) for point in card.operating_points]
    return "\n".join([*facts, *points, *(f"  beware       {limit}" for limit in card.limits)])


def _point(point: OperatingPoint, *, is_default: bool) -> str:
    rates = f"FMR {_rate(point.fmr)}, FNMR {_rate(point.fnmr)}"
    return f"  point        {point.name}: same person below {point.threshold:g} ({rates}){' (default)' * is_default}"


def _rate(rate: float | None) -> str:
    return "not measured" if rate is None else f"{rate:.2g}"
