"""`visavis gallery enrol` and `migrate`: photos of people become templates, or are refused by name."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from embedder import Job, SampleError, image_file, is_folder, is_named_as_photo, load, printable, show_progress
from gallery import (
    Consent,
    EnrolKeywords,
    EnrolmentRefused,
    Galleries,
    InvalidValue,
    PersonFacts,
    PhotoRefusal,
    Store,
)

from .gallery_options import every_person, opened_store, require_gallery, search_option, store_option
from .main import EXIT_INTERRUPTED, MAX_PATH
from .options import future_time, json_option, model_option, only_face_option, running_options, stop

AT_A_TIME = 64  # photos of one person that are held in memory
REFUSED = 1  # exit status if a photo was refused
PLACE = re.compile(r"photos\[(\d+)\]")  # in the words of a refusal


@dataclass(frozen=True, slots=True)
class PersonPhotos:
    """The photos to enrol as one person."""

    person: str
    paths: tuple[Path, ...]


@dataclass(slots=True)
class PersonOutcome:
    """What became of the photos of one person."""

    person: str
    n_enrolled: int = 0
    n_already_there: int = 0
    refused: list[dict[str, str | None]] = field(default_factory=list)  # of photos, as in the JSON output


@click.command()
@click.argument("gallery")
@click.argument(
    "photos", nargs=-1, required=True, metavar="FOLDER|PHOTOS", type=click.Path(exists=True, path_type=Path)
)
@click.option("--person", metavar="ID", help="Whom all of the photos show, instead of a person for each folder.")
@only_face_option
@click.option(
    "--allow-duplicate", is_flag=True, help="Enrol photos of somebody who is enrolled as another person, too."
)
@click.option("--skip-refused", is_flag=True, help="Enrol the other photos of a person if some are refused.")
@click.option("--note", help="A note to store with the person.")
@click.option("--consent", metavar="REFERENCE", help="Your reference of the person's consent, given today.")
@click.option(
    "--forget-at", callback=future_time, metavar="90d|DATE", help="When to forget the person; default: never."
)
@store_option
@search_option
@model_option
@running_options
@json_option
def enrol(url: str, gallery: str, *, photos: tuple[Path, ...], person: str | None, as_json: bool, **given: Any) -> None:
    """Enrol people in GALLERY: the photos in FOLDER/<person>/, or with a person named, PHOTOS and all in folders.

    All photos of a person are enrolled, or none: they must be sharp and show one face, uncovered and not turned away,
    the same person, and nobody who is enrolled as another person. The photos are not kept. Photos that are enrolled
    already are no second templates, so that the command can be run again. Of a person with many photos, 64 at a time
    are enrolled.

    Exit status: 0 all enrolled, 1 photos refused, 2 error.
    """
    people = [PersonPhotos(person, tuple(_photos_in(photos)))] if person else _people_in(photos)
    with opened_store(url, search=given["search"]) as store:
        require_gallery(store, gallery)
        with load(given["model_path"], running=given["running"]) as embedder:
            enrol_one = partial(_enrolled, Galleries(store, embedder), gallery, options=_keywords(given))
            outcomes = _for_each(people, enrol_one)
    click.echo(json.dumps(_record(gallery, outcomes), indent=2) if as_json else _text(gallery, outcomes))
    sys.exit(REFUSED if any(each.refused for each in outcomes) else 0)


@click.command()
@click.argument("gallery")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@only_face_option
@click.option("--skip-refused", is_flag=True, help="Enrol the other photos of a person if some are refused.")
@store_option
@search_option
@model_option
@running_options
@json_option
def migrate(url: str, gallery: str, *, folder: Path | None, as_json: bool, **given: Any) -> None:
    """List the people of GALLERY without a template of the model, and enrol those with photos in FOLDER/<person>/.

    Templates of other models stay, and are never compared with those of this one.

    Exit status: 0 nobody is left without a template of the model, 1 somebody is, 2 error.
    """
    with opened_store(url, search=given["search"]) as store:
        require_gallery(store, gallery)
        with load(given["model_path"], running=given["running"]) as embedder:
            waiting = _without_template(store, gallery, embedder.identity.digest)
            people = [each for each in _people_in((folder,)) if each.person in waiting] if folder else []
            outcomes = _for_each(
                people, partial(_enrolled, Galleries(store, embedder), gallery, options=_keywords(given))
            )
            waiting = _without_template(store, gallery, embedder.identity.digest)
    if as_json:
        click.echo(json.dumps(_record(gallery, outcomes) | {"to_enrol_anew": waiting}, indent=2))
    else:
        enrolled = [_text(gallery, outcomes)] if folder and (outcomes or waiting) else []
        left = [f"to be enrolled anew: {each}" for each in waiting] or [f"{gallery}: nobody has to be enrolled anew"]
        click.echo("\n".join([*enrolled, *left]))
    sys.exit(REFUSED if waiting else 0)


def _keywords(given: Mapping[str, Any]) -> EnrolKeywords:
    note, reference, forget_at = (given.get(name) for name in ("note", "consent", "forget_at"))
    consent = None if reference is None else Consent(reference, datetime.now(UTC).date())
    return {
        "face": given["face"],
        "allow_duplicate": given.get("allow_duplicate", False),
        "skip_refused": given["skip_refused"],
        "facts": PersonFacts(note, consent, forget_at),
    }


def _without_template(store: Store, gallery: str, digest: str) -> list[str]:
    return [
        person.id
        for person in every_person(store, gallery)
        if not any(each.model_digest == digest for each in person.templates)
    ]


def _people_in(folders: Sequence[Path]) -> list[PersonPhotos]:
    """The people who have folders in the only folder given."""
    if len(folders) != 1 or not folders[0].is_dir():
        raise click.UsageError("give one FOLDER with a folder of photos for each person, or name the --person")
    with _listing(folders[0]), os.scandir(folders[0]) as found:
        entries = sorted((each for each in found if not each.name.startswith(".")), key=lambda each: each.name)
    loose = [each.name for each in entries if not is_folder(each) and is_named_as_photo(each.name)]
    if loose:
        raise click.UsageError(
            f"{folders[0] / loose[0]} is not in a folder of a person; move it to one, or name the --person"
        )
    people = [PersonPhotos(each.name, tuple(_photos_in([Path(each.path)]))) for each in entries if is_folder(each)]
    return [each for each in people if each.paths]


def _photos_in(given: Sequence[Path]) -> Iterator[Path]:
    """The photos of folders, by suffix, and all files that are given themselves."""
    for path in given:
        if path.is_dir():
            with _listing(path):
                photos = sorted(each for each in path.iterdir() if is_named_as_photo(each.name))
            yield from photos
        else:
            yield path


@contextmanager
def _listing(folder: Path) -> Iterator[None]:
    """Exit with an error if the folder cannot be read: to leave it out would not be noticed."""
    try:
        yield
    except OSError as error:
        stop(f"{folder}: cannot be read: {error.strerror}")


def _for_each(
    people: Sequence[PersonPhotos], enrol_one: Callable[[PersonPhotos], PersonOutcome]
) -> list[PersonOutcome]:
    """Enrol people, with progress; exit if the user interrupts."""
    outcomes = []
    try:
        with show_progress(Job("enrolling", sum(len(each.paths) for each in people))) as advance:
            for each in people:
                outcomes.append(enrol_one(each))
                advance(len(each.paths))
    except KeyboardInterrupt:
        click.echo("visavis: stopped; who is enrolled stays so: run the same command again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    return outcomes


def _enrolled(galleries: Galleries, gallery: str, photos: PersonPhotos, options: EnrolKeywords) -> PersonOutcome:
    outcome = PersonOutcome(photos.person)
    for start in range(0, len(photos.paths), AT_A_TIME):
        _enrol_some(galleries, gallery, photos.paths[start : start + AT_A_TIME], options, outcome)
    return outcome


def _enrol_some(
    galleries: Galleries, gallery: str, paths: Sequence[Path], options: EnrolKeywords, outcome: PersonOutcome
) -> None:
    """Enrol some photos of a person, and add what became of them to the outcome."""
    images = {path: _readable(path, outcome) for path in paths}
    usable = {path: image for path, image in images.items() if image is not None}
    if not usable or (len(usable) < len(images) and not options.get("skip_refused")):
        return
    try:
        enrolment = galleries.enrol(gallery, outcome.person, list(usable.values()), **options)
    except EnrolmentRefused as error:
        outcome.refused += _refusals(error.refusals, list(usable))
    except InvalidValue as error:
        outcome.refused.append({"image": None, "code": error.code, "detail": str(error), "person": None})
    else:
        outcome.n_enrolled += len(enrolment.added)
        outcome.n_already_there += len(usable) - len(enrolment.refused) - len(enrolment.added)
        outcome.refused += _refusals(enrolment.refused, list(usable))


def _readable(path: Path, outcome: PersonOutcome) -> bytes | None:
    try:
        return image_file(path)
    except OSError as error:
        code, detail = "not_readable", f"{error.strerror or error}; give the path of an image file"
    except SampleError as error:
        code, detail = error.code, str(error)
    outcome.refused.append({"image": str(path), "code": code, "detail": detail, "person": None})
    return None


def _refusals(refusals: Sequence[PhotoRefusal], paths: Sequence[Path]) -> list[dict[str, str | None]]:
    """Refusals with the names of the user's files instead of the places of photos."""
    return [
        {
            "image": str(paths[each.photo]),
            "code": each.code,
            "detail": PLACE.sub(lambda place: paths[int(place[1])].name, each.detail),
            "person": each.person,
        }
        for each in refusals
    ]


def _record(gallery: str, outcomes: Sequence[PersonOutcome]) -> dict[str, object]:
    people = [
        {
            "person": each.person,
            "enrolled": each.n_enrolled,
            "already_there": each.n_already_there,
            "refused": each.refused,
        }
        for each in outcomes
    ]
    return {"gallery": gallery, "people": people}


def _text(gallery: str, outcomes: Sequence[PersonOutcome]) -> str:
    refused = [each for outcome in outcomes for each in outcome.refused]
    n_photos, n_there = (
        (sum(counts) for counts in zip(*((each.n_enrolled, each.n_already_there) for each in outcomes), strict=True))
        if outcomes
        else (0, 0)
    )
    n_people = sum(each.n_enrolled > 0 for each in outcomes)
    there = f"; {n_there:,} photos were there already" if n_there else ""
    nobody = sum(bool(each.refused) and not each.n_enrolled + each.n_already_there for each in outcomes)
    lines = [f"{gallery}: {n_photos:,} photos of {n_people:,} people enrolled{there}"]
    if refused:
        lines.append(
            f"{len({each['image'] for each in refused}):,} photos refused, so {nobody:,} people are not enrolled:"
        )
    lines += [f"  {printable(each['image'] or '', MAX_PATH)}: {each['detail']}" for each in refused]
    return "\n".join(lines)
