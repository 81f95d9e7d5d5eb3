"""`visavis model`: show the model card."""

import json

import click

from embedder import (
    Calibration,
    CalibrationData,
    ModelCard,
    OperatingPoint,
    Precision,
    QualityPenalty,
    TrainingRecord,
    int8_graph_of,
    rate_in_words,
    read_bundle,
)

from .options import json_option, model_option, precision_option

NO_PENALTY = "  poor photos  no penalty in this model's card"


@click.command()
@model_option
@precision_option
@click.option("--runtime", hidden=True, expose_value=False)  # no effect, because the command runs no network
@click.option("--device", hidden=True, expose_value=False)
@json_option
def model(model_path: str | None, precision: Precision, *, as_json: bool) -> None:
    """Show the model card: licence, training data, operating points, limits."""
    bundle = read_bundle(model_path)
    if precision == "int8":
        int8_graph_of(bundle)  # raises if the bundle has no int8 network, whose digest would be meaningless
    card, identity = bundle.card, bundle.card.identity(precision)
    served = {"digest": identity.digest, "card_digest": identity.card_digest, "precision": precision}
    facts = card.model_dump(mode="json") | served
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _as_text(card, precision))


def _as_text(card: ModelCard, precision: Precision) -> str:
    facts = [
        click.style(card.name, bold=True) + f": {card.summary}",
        f"  licence      {card.provenance.license}",
        f"  source       {card.provenance.source}",
        f"  trained on   {card.provenance.trained_on}",
        f"  digest       {card.digest_in(precision)}  (of embeddings in {precision})",
        f"  card digest  {card.card_digest}",
    ]
    return "\n".join(
        [
            *facts,
            *(_training_in_words(card.training) if card.training else []),
            *_points(card),
            *([_penalty_in_words(each) for each in card.quality_penalties] or [NO_PENALTY]),
            *(_calibration_in_words(card.calibration) if card.calibration else []),
            *(f"  limit        {limit}" for limit in card.limits),
        ]
    )


def _training_in_words(training: TrainingRecord) -> list[str]:
    began = "from scratch" if training.started_from is None else f"from {training.started_from[:19]}"
    return [
        f"  training     {training.steps:,} steps, {training.minutes:g} minutes, seed {training.seed}, {began}",
        f"    data       {training.n_images:,} images of {training.n_identities:,} people, {training.data_digest[:19]}",
        *(f"    loss       {loss}" for loss in training.losses),
    ]


def _points(card: ModelCard) -> list[str]:
    below = "normalised distance" if card.quality_penalties else "distance"
    lines = [
        line
        for point in card.operating_points
        for line in _point_in_words(point, below, is_default=point.name == card.default_point)
    ]
    return lines or ["  point        none: run visavis calibrate on your photos"]


def _point_in_words(point: OperatingPoint, below: str, *, is_default: bool) -> list[str]:
    return [
        f"  point        {point.name}: same person below {below} {point.threshold:g}{' (default)' * is_default}",
        f"    FMR        {rate_in_words(point.fmr, point.fmr_interval)}{_counted(point.n_impostor)}{_set_by(point)}",
        f"    FNMR       {rate_in_words(point.fnmr, point.fnmr_interval)}{_counted(point.n_genuine)}",
    ]


def _counted(n_comparisons: int | None) -> str:
    return "" if n_comparisons is None else f", of {n_comparisons:,} comparisons"


def _set_by(point: OperatingPoint) -> str:
    return "" if point.population is None else f"; set by {point.population}"


def _penalty_in_words(penalty: QualityPenalty) -> str:
    curve = ", ".join(
        f"{cost:.3f} at {value:.2g}" for value, cost in zip(penalty.values, penalty.penalties, strict=True)
    )
    return (
        f"  poor photos  penalty by {penalty.measure} of the better photo: {curve} (median {penalty.usual:.2g}); "
        f"refused below {penalty.min_value:.2g}"
    )


def _calibration_in_words(calibration: Calibration) -> list[str]:
    ratio = calibration.log_likelihood_ratio
    line = f"{ratio.intercept:.4g} - {-ratio.slope:.4g} x distance"
    ends = f"constant below {ratio.nearest:.3g} and above {ratio.farthest:.3g}"
    first, *others = _data_in_words(calibration.data)
    return [
        f"  measured on  {first}, face={calibration.face}",
        *others,
        *(each for data in calibration.populations for each in _population_in_words(data)),
        f"    intervals  95%, from {calibration.n_resamples:,} resamples of the people",
        f"  probability  log-likelihood ratio {line}, {ends}",
    ]


def _population_in_words(data: CalibrationData) -> list[str]:
    first, *others = _data_in_words(data)
    return [f"  FMR also on  {first}", *others]


def _data_in_words(data: CalibrationData) -> list[str]:
    images = f"{data.n_images:,} images ({data.n_without_face:,} without a usable face)"
    return [
        f"{data.name}: {data.n_identities:,} people, {images}",
        f"    people     {data.population}",
        f"    digest     {data.digest}",
    ]
