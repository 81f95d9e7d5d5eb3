"""`visavis gallery`: galleries and the people in them. The commands that look at photos are in files of their own."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import TypeVar

import click

from embedder import Job, ModelCard, ModelError, known_bundles, percent, printable, read_bundle, show_progress
from gallery import (
    DLIB_MODEL,
    GalleryFacts,
    Person,
    Receipt,
    Store,
    export_gallery,
    import_people,
    largest_gallery,
    read_encodings,
    read_export,
    strictest_fpir,
    upgrade_store,
)

from .gallery_enrol import enrol, migrate
from .gallery_identify import identify
from .gallery_options import SQLITE, every_person, opened_store, require_gallery, store_option
from .options import json_option, model_option, stop

T = TypeVar("T")
CLAIMS = 1e-1, 1e-2, 1e-3  # FPIRs in `stats`


@click.group()
def gallery() -> None:
    """Enrol people, identify them on photos, list, export and forget them.

    The store holds embeddings and no photos. Embeddings are biometric data: protect the store like the photos.
    """


for command in (enrol, identify, migrate):
    gallery.add_command(command)


@gallery.command()
@click.argument("gallery")
@store_option
def create(gallery: str, url: str) -> None:
    """Make an empty GALLERY, and the store if there is none."""
    with opened_store(url, must_exist=False) as store:
        store.create_gallery(gallery)
    click.echo(f"{gallery}: made; enrol people: visavis gallery enrol {gallery} FOLDER")


@gallery.command("list")
@click.argument("gallery", required=False)
@store_option
@json_option
def list_command(gallery: str | None, url: str, *, as_json: bool) -> None:
    """List the galleries, or the people of GALLERY."""
    with opened_store(url) as store:
        if gallery is None:
            _print_list(store.galleries(), _gallery_record if as_json else _gallery_line, as_json=as_json)
        else:
            require_gallery(store, gallery)
            people = every_person(store, gallery)
            _print_list(people, _person_record if as_json else _person_line, as_json=as_json)


@gallery.command()
@click.argument("gallery")
@click.argument("person")
@store_option
@json_option
def show(gallery: str, person: str, url: str, *, as_json: bool) -> None:
    """Show what is stored of a PERSON, without the embeddings."""
    with opened_store(url) as store:
        found = store.person(gallery, person)
    click.echo(json.dumps(_person_record(found), indent=2) if as_json else _person_text(found))


@gallery.command()
@click.argument("gallery")
@click.argument("person", required=False)
@click.argument("template", required=False)
@click.option("--all", "is_all", is_flag=True, help="Forget the whole gallery.")
@store_option
@json_option
def forget(gallery: str, person: str | None, template: str | None, url: str, *, is_all: bool, as_json: bool) -> None:
    """Forget a PERSON, one TEMPLATE of a person, or with all of GALLERY. It cannot be undone."""
    if (person is None) != is_all:
        raise click.UsageError("name the PERSON to forget, or forget the whole gallery with --all")
    with opened_store(url) as store:
        if person is None:
            receipt = store.forget_gallery(gallery)
        elif template is None:
            receipt = store.forget_person(gallery, person)
        else:
            receipt = store.forget_template(gallery, person, template)
        _print_receipts(store, url, [receipt], as_json=as_json)


@gallery.command()
@store_option
@json_option
def expire(url: str, *, as_json: bool) -> None:
    """Forget the people of all galleries whose time to be forgotten has come."""
    with opened_store(url) as store:
        _print_receipts(store, url, store.forget_expired(datetime.now(UTC)), as_json=as_json)


@gallery.command()
@store_option
def erase(url: str) -> None:
    """Remove what is left of forgotten people in the files of the store. PostgreSQL needs it, and time for it.

    Exit status: 0, or 2 if something could not be removed.
    """
    with opened_store(url) as store:
        left = store.erase()
    if left:
        stop("; ".join(left))
    click.echo("no byte of what was forgotten is left in the files of the store")


@gallery.command()
@click.argument("gallery")
@store_option
@model_option
@json_option
def stats(gallery: str, url: str, model_path: str | None, *, as_json: bool) -> None:
    """Show how much GALLERY holds, and what an identification in it can claim."""
    card = read_bundle(model_path).card
    with opened_store(url) as store:
        require_gallery(store, gallery)
        facts = store.gallery(gallery)
    n = facts.n_templates.get(card.digest, 0)
    strictest = strictest_fpir(card, n) if n else None
    largest = {fpir: largest_gallery(card, fpir) for fpir in CLAIMS}
    if as_json:
        record = _gallery_record(facts) | {"model": card.digest, "strictest_fpir": strictest, "largest_n": largest}
        click.echo(json.dumps(record, indent=2))
        return
    click.echo(_gallery_line(facts))
    claim = "none" if strictest is None else percent(strictest)
    click.echo(f"{n:,} templates of {card.name}; the strictest FPIR to claim: {claim}")
    for fpir, most in largest.items():
        click.echo(f"  FPIR {percent(fpir)}: up to {most:,} templates")


@gallery.command("export")
@click.argument("gallery")
@click.argument("file", type=click.Path(path_type=Path))
@store_option
def export_command(gallery: str, file: Path, url: str) -> None:
    """Write the people of GALLERY with their embeddings to FILE, which only you can read. It is biometric data."""
    with opened_store(url) as store:
        require_gallery(store, gallery)
        try:
            with show_progress(Job("exporting", store.gallery(gallery).n_people, "people")) as advance:
                summary = export_gallery(store, gallery, file, advance)
        except OSError as error:
            stop(f"{file}: cannot be written: {error.strerror}; name another file")
    click.echo(f"{file}: {summary.n_people:,} people with {summary.n_templates:,} templates. It is biometric data.")


@gallery.command("import")
@click.argument("gallery")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--encodings", is_flag=True, help="FILE is CSV: a person's id and the 128 numbers of face_recognition or dlib."
)
@store_option
@json_option
def import_command(gallery: str, file: Path, url: str, *, encodings: bool, as_json: bool) -> None:
    """Add the people of an exported FILE to GALLERY. Those who are in it already are left as they are.

    Encodings become templates of the model dlib-resnet29-128, and are compared by it alone.
    """
    cards = [read_bundle(DLIB_MODEL).card] if encodings else _known_cards()
    read = (lambda: read_encodings(file, cards[0])) if encodings else (lambda: read_export(file, cards))
    with opened_store(url) as store:
        require_gallery(store, gallery)
        try:
            summary = import_people(store, gallery, read, datetime.now(UTC), show_progress)
        except OSError as error:
            stop(f"{file}: cannot be read: {error.strerror}")
    if as_json:
        click.echo(json.dumps(asdict(summary), indent=2))
        return
    left = [
        f"{n:,} {what}"
        for n, what in ((summary.n_already_there, "there already"), (summary.n_expired, "to be forgotten by now"))
        if n
    ]
    click.echo("; ".join([f"{gallery}: {summary.n_people:,} people with {summary.n_templates:,} templates", *left]))


def _known_cards() -> list[ModelCard]:
    cards = list[ModelCard]()
    for folder in known_bundles().values():
        with suppress(ModelError):  # `visavis models` tells of a broken one; no import needs it
            cards.append(read_bundle(folder).card)
    return cards


@gallery.command()
@store_option
def upgrade(url: str) -> None:
    """Bring the store's tables to this version of visavis. Make a backup first."""
    done = upgrade_store(url)
    click.echo(f"schema {done.after}" + ("" if done.before == done.after else f", before {done.before or 'none'}"))


def _print_list(items: Iterable[T], shown: Callable[[T], object], *, as_json: bool) -> None:
    """Print items as they come, for a gallery may have more than fit into memory: lines, or one JSON array."""
    n = 0
    for n, item in enumerate(items, 1):
        if as_json:
            click.echo(("[\n" if n == 1 else ",\n") + indent(json.dumps(shown(item), indent=2), "  "), nl=False)
        else:
            click.echo(shown(item))
    if as_json:
        click.echo("\n]" if n else "[]")
    elif not n:
        click.echo("none")


def _print_receipts(store: Store, url: str, receipts: Sequence[Receipt], *, as_json: bool) -> None:
    """Print receipts, and what is left to do until no byte of the forgotten is in the files."""
    records = [asdict(each) | {"forgotten_at": each.forgotten_at.isoformat()} for each in receipts]
    lines = [
        f"{each.forgotten_at:%Y-%m-%d %H:%M:%S} UTC: forgot {each.n_people:,} people and {each.n_templates:,} "
        f"templates in {each.gallery}"
        for each in receipts
    ]
    click.echo(json.dumps(records, indent=2) if as_json else "\n".join(lines) or "nobody is to be forgotten")
    if not receipts:
        return
    left = store.erase() if url.startswith(SQLITE) else ("bytes are left in the files; run visavis gallery erase",)
    for sentence in left:
        click.echo(f"visavis: {sentence}", err=True)


def _gallery_record(facts: GalleryFacts) -> dict[str, object]:
    return {
        "name": facts.name,
        "created_at": facts.created_at.isoformat(),
        "people": facts.n_people,
        "templates": dict(facts.n_templates),
    }


def _gallery_line(facts: GalleryFacts) -> str:
    n_templates = sum(facts.n_templates.values())
    return f"{facts.name}: {facts.n_people:,} people, {n_templates:,} templates of {len(facts.n_templates)} models"


def _person_record(person: Person) -> dict[str, object]:
    consent, forget_at = person.facts.consent, person.facts.forget_at
    return {
        "person": person.id,
        "note": person.facts.note,
        "consent": None if consent is None else {"reference": consent.reference, "given_on": str(consent.given_on)},
        "forget_at": None if forget_at is None else forget_at.isoformat(),
        "created_at": person.created_at.isoformat(),
        "templates": [asdict(each) | {"enrolled_at": each.enrolled_at.isoformat()} for each in person.templates],
    }


def _person_line(person: Person) -> str:
    forget_at, note = person.facts.forget_at, person.facts.note
    end = "" if forget_at is None else f", to be forgotten {forget_at:%Y-%m-%d %H:%M} UTC"
    return f"{printable(person.id)}: {len(person.templates)} templates{end}" + (f"  {printable(note)}" if note else "")


def _person_text(person: Person) -> str:
    consent = person.facts.consent
    lines = [_person_line(person)]
    if consent is not None:
        lines.append(f"  consent {printable(consent.reference)}, given on {consent.given_on}")
    lines += [
        f"  {each.id}  {each.enrolled_at:%Y-%m-%d %H:%M}  {each.model_digest[:19]}  "
        f"sharpness {each.quality.sharpness:.2f}"
        for each in person.templates
    ]
    return "\n".join(lines)
