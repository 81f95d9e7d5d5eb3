"""`visavis gallery identify`: who is on photos, as text and as records for JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from embedder import RuntimeOptions, load, percent, printable, rate_in_words
from gallery import (
    DEFAULT_FPIR,
    DEFAULT_LIMIT,
    MOST_CANDIDATES,
    Claim,
    Galleries,
    Identified,
    IdentifiedFace,
)

from .gallery_options import opened_store, require_gallery, search_option, store_option
from .main import MAX_PATH
from .options import a_probability, face_or_all_option, json_option, model_option, running_options
from .output import OutputFormat, answer_each, sample_record


@click.command()
@click.argument("gallery")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS")
@face_or_all_option
@click.option(
    "--fpir",
    type=float,
    default=DEFAULT_FPIR,
    show_default=True,
    callback=a_probability,
    metavar="RATE",
    help="The false positive identification rate to claim: how often somebody who is not in the gallery is taken for "
    "anybody in it.",
)
@click.option(
    "--prior",
    type=float,
    callback=a_probability,
    metavar="P",
    help="Prior probability that a photo shows a given person; default: 1 / (number of people + 1).",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_CANDIDATES),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="The largest number of candidates.",
)
@store_option
@search_option
@model_option
@running_options
@json_option
def identify(
    url: str,
    gallery: str,
    *,
    photos: tuple[str, ...],
    model_path: str | None,
    running: RuntimeOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Find out who is on PHOTOS, if anybody in GALLERY. One of them may be - for standard input.

    Exit status: 0, or 2 if a photo cannot be used; the other photos are processed anyway.
    """
    with opened_store(url, search=options.pop("search")) as store:
        require_gallery(store, gallery)
        with load(model_path, running=running) as embedder:
            work = partial(Galleries(store, embedder).identify, gallery, **options)
            answer_each(photos, work, OutputFormat(_identified_text, _identified_record), as_json=as_json)


def _identified_record(found: Identified) -> dict[str, object]:
    return {"faces": [_face_record(each) for each in found.faces], "model": asdict(found.model)}


def _face_record(face: IdentifiedFace) -> dict[str, object]:
    answer = face.identification
    return {
        "person": answer.match.person if answer.match else None,
        "candidates": [asdict(each) for each in answer.candidates],
        "claim": None if answer.claim is None else asdict(answer.claim),
        "prior": answer.prior,
        "sample": sample_record(face.sample),
    }


def _identified_text(path: str, found: Identified) -> str:
    name = printable(path, MAX_PATH)
    if not found.faces:
        return f"{name}: no face"
    if len(found.faces) == 1:
        return "\n".join([f"{name}: {_answer(found.faces[0])}", *_reasons(found.faces[0])])
    lines = [f"{name}: {len(found.faces)} faces"]
    for place, face in enumerate(found.faces):
        lines += [f"  {place}: {_answer(face)}", *(f"  {each}" for each in _reasons(face))]
    return "\n".join(lines)


def _answer(face: IdentifiedFace) -> str:
    match = face.identification.match
    if match is not None:
        return click.style(printable(match.person), fg="green", bold=True)
    if face.sample.grade is not None and face.sample.grade.is_too_poor:
        return "too poor to be compared"
    return click.style("nobody in the gallery", fg="yellow", bold=True)


def _reasons(face: IdentifiedFace) -> Iterator[str]:
    answer = face.identification
    if answer.claim is not None:
        yield f"  claim        {_claim_in_words(answer.claim)}"
    for each in answer.candidates:
        sign = "<" if each.is_match else ">="
        sure = "" if each.probability is None else f", {percent(each.probability)} probable"
        yield f"  candidate    {printable(each.person)}: {each.normalized_distance:.3f} {sign} the threshold{sure}"


def _claim_in_words(claim: Claim) -> str:
    fnir = (
        ""
        if claim.fnir is None
        else f"; misses {rate_in_words(claim.fnir, claim.fnir_interval)} of those who are in it"
    )
    missed = "" if claim.is_exact else "; pgvector proposed the templates, and may have missed the nearest"
    return (
        f"threshold {claim.threshold:.3f}: takes {rate_in_words(claim.fpir, claim.fpir_interval)} of strangers for "
        f"somebody, among {claim.n_templates:,} templates{fnir}{missed}"
    )
