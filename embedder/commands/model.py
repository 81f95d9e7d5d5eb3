"""`visavis model`: the model card."""

import json

import click

from embedder import Calibration, ModelCard, OperatingPoint, load

from .options import json_option, model_option
from .rates import rate_in_words


@click.command()
@model_option
@json_option
def model(model_path: str | None, *, as_json: bool) -> None:
    """Show what is known about the model: licence, training data, operating points, limits."""
    card = load(model_path).card
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
    points = [
        line
        for point in card.operating_points
        for line in _point_in_words(point, is_default=point.name == card.default_point)
    ]
    return "\n".join(
        [
            *facts,
            *(points or ["  point        none: run visavis calibrate on photos of yours"]),
            *(_calibration_in_words(card.calibration) if card.calibration else []),
            *(f"  beware       {limit}" for limit in card.limits),
        ]
    )


def _point_in_words(point: OperatingPoint, *, is_default: bool) -> list[str]:
    return [
        f"  point        {point.name}: same person below {point.threshold:g}{' (default)' * is_default}",
        f"    FMR        {rate_in_words(point.fmr, point.fmr_interval)}{_counted(point.n_impostor)}",
        f"    FNMR       {rate_in_words(point.fnmr, point.fnmr_interval)}{_counted(point.n_genuine)}",
    ]


def _counted(n_comparisons: int | None) -> str:
    return "" if n_comparisons is None else f", of {n_comparisons:,} comparisons"


def _calibration_in_words(calibration: Calibration) -> list[str]:
    data, ratio = calibration.data, calibration.log_likelihood_ratio
    images = f"{data.n_images:,} images ({data.n_without_face:,} without a usable face), face={calibration.face}"
    line = f"{ratio.intercept:.4g} - {-ratio.slope:.4g} x distance"
    return [
        f"  measured on  {data.name}: {data.n_identities:,} people, {images}",
        f"    people     {data.population}",
        f"    digest     {data.digest}",
        f"    intervals  95%, from {calibration.n_resamples:,} resamples of the people",
        f"  probability  log-likelihood ratio {line}, level below {ratio.nearest:.3g} and above {ratio.farthest:.3g}",
    ]
