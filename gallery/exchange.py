"""Galleries as files: export, import, and import of encodings made by face_recognition or dlib.

An export is JSON, with a line for each person between a first and a last line, so it takes little memory, and one that
ends too early is noticed. It contains biometric data, and only its owner can read it.
"""

import base64
import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from embedder import (
    MEASURES,
    PRECISIONS,
    Advance,
    Architecture,
    Job,
    ModelCard,
    Progress,
    Quality,
    open_regular_file,
    replacing,
)

from .errors import InvalidValue, NoSuchPerson
from .store import Store
from .types import Consent, NewTemplate, Person, PersonFacts, TemplateFacts
from .values import EMBEDDING_FORM, check_name, check_templates, length_of

PAGE = 500  # people read at a time
MAX_LINE_BYTES = 2**26  # of one person: some 50,000 templates
DLIB_MODEL, N_DLIB_CHANNELS = "dlib-resnet29-128", 128
SHORTEST_DLIB, LONGEST_DLIB = 1.1, 2.0  # embeddings of dlib's network: their lengths are 1.22 to 1.71 over LFW View 1
IMPORTED = "face_recognition"  # instead of a request's id


@dataclass(frozen=True, slots=True)
class PortablePerson:
    """A person with all templates, outside a store."""

    id: str  # the caller's
    facts: PersonFacts
    templates: tuple[NewTemplate, ...]


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was exported."""

    n_people: int
    n_templates: int


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What was imported."""

    n_people: int
    n_templates: int
    n_already_there: int  # people who are in the gallery; they are left as they are
    n_expired: int  # people whose time to be forgotten has come


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class _FirstLine(_Line):
    format: Literal["visavis-gallery/1"] = "visavis-gallery/1"
    gallery: str
    exported_at: AwareDatetime


class _Consent(_Line):
    reference: str
    given_on: date


class _Template(_Line):
    model_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    embedding: str  # base64 of float32, little-endian
    quality: dict[str, float]
    enrolled_at: AwareDatetime
    request_id: str | None


class _PersonLine(_Line):
    person: str
    note: str | None
    consent: _Consent | None
    forget_at: AwareDatetime | None
    templates: tuple[_Template, ...]


class _LastLine(_Line):
    n_people: int
    n_templates: int


LineT = TypeVar("LineT", bound=_Line)


def export_gallery(store: Store, gallery: str, path: Path, advance: Advance) -> ExportSummary:
    """Write a gallery to a private file, which appears when it is complete. Raises OSError, NoSuchGallery.

    `advance` is called for each person. A person is written as at one time, the gallery is not.
    """
    store.gallery(gallery)
    n_people = n_templates = 0
    with replacing(path) as file:
        _write(file, _FirstLine(gallery=gallery, exported_at=datetime.now(UTC)))
        for line in _person_lines(store, gallery):
            _write(file, line)
            n_people, n_templates = n_people + 1, n_templates + len(line.templates)
            advance(1)
        _write(file, _LastLine(n_people=n_people, n_templates=n_templates))
    return ExportSummary(n_people, n_templates)


def read_export(path: Path, cards: Sequence[ModelCard] = ()) -> Iterator[PortablePerson]:
    """Yield the people of an exported file. Raises OSError; InvalidValue, also at the end of a file that is cut.

    Templates of the models with these `cards` must have the length that the card says.
    """
    n_people = n_templates = 0
    architectures = {each.digest_in(precision): each.architecture for each in cards for precision in PRECISIONS}
    with open_regular_file(path) as file:
        _parsed(_FirstLine, file.readline(MAX_LINE_BYTES), 1)
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), start=2):
            if line.startswith(b'{"n_people"'):
                last = _parsed(_LastLine, line, number)
                break
            person = _portable(_parsed(_PersonLine, line, number), number)
            _check_lengths(person.templates, architectures, number)
            n_people, n_templates = n_people + 1, n_templates + len(person.templates)
            yield person
        else:
            raise InvalidValue("the file ends too early; export the gallery again")
    if (last.n_people, last.n_templates) != (n_people, n_templates):
        raise InvalidValue("the file has lost lines; export the gallery again")


def read_encodings(path: Path, card: ModelCard) -> Iterator[PortablePerson]:
    """Yield the people of a CSV file, whose lines have a person's id and the 128 numbers of an encoding.

    The encodings must be made by dlib's network, whose built-in bundle has this `card`. The quality of their photos is
    not known, and taken as usual, without a penalty. Raises OSError, InvalidValue.
    """
    quality, people = _usual_quality(card), dict[str, list[NewTemplate]]()
    with open_regular_file(path) as file, TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        for number, fields in enumerate(_csv_lines(text), start=1):
            person, *numbers = fields
            template = NewTemplate(_encoding(numbers, number), quality, card.digest, IMPORTED)
            people.setdefault(person, []).append(template)
    for person, templates in people.items():
        check_name(person, "a person's id")
        yield PortablePerson(person, PersonFacts(), tuple(templates))


def import_people(
    store: Store, gallery: str, read: Callable[[], Iterator[PortablePerson]], now: datetime, progress: Progress
) -> ImportSummary:
    """Add people to a gallery, each with all templates or not at all.

    All of them are read and checked before the first is added, and nothing is decided anew about their photos. An
    import that was stopped may be run again. Raises NoSuchGallery, and what `read` raises.
    """
    store.gallery(gallery)
    n_people = 0
    for person in read():
        check_name(person.id, "a person's id")
        n_people += 1
    outcomes, n_templates = Counter[str](), 0
    with progress(Job("importing", n_people, "people")) as advance:
        for person in read():
            outcome = _imported(store, gallery, person, now)
            outcomes[outcome] += 1
            n_templates += len(person.templates) if outcome == "added" else 0
            advance(1)
    return ImportSummary(outcomes["added"], n_templates, outcomes["already there"], outcomes["expired"])


def _imported(
    store: Store, gallery: str, person: PortablePerson, now: datetime
) -> Literal["added", "already there", "expired"]:
    if person.facts.forget_at is not None and person.facts.forget_at <= now:
        return "expired"
    try:
        store.person(gallery, person.id)
    except NoSuchPerson:
        pass
    else:
        return "already there"
    if person.templates:
        store.add_templates(gallery, person.id, person.templates, facts=person.facts)
    else:
        store.put_person(gallery, person.id, person.facts)
    return "added"


def _write(file: IO[bytes], line: _Line) -> None:
    file.write(line.model_dump_json().encode() + b"\n")


def _person_lines(store: Store, gallery: str) -> Iterator[_PersonLine]:
    after = None
    while page := store.people(gallery, after=after, limit=PAGE):
        for person in page:
            try:
                yield _person_line(store, gallery, person)
            except NoSuchPerson:  # forgotten meanwhile
                continue
        after = page[-1].id


def _person_line(store: Store, gallery: str, person: Person) -> _PersonLine:
    digests = sorted({each.model_digest for each in person.templates})
    blocks = [store.templates_of(gallery, person.id, digest) for digest in digests]
    vectors = {name: vector for block in blocks for name, vector in zip(block.ids, block.vectors, strict=True)}
    consent = person.facts.consent
    return _PersonLine(
        person=person.id,
        note=person.facts.note,
        consent=None if consent is None else _Consent(reference=consent.reference, given_on=consent.given_on),
        forget_at=person.facts.forget_at,
        templates=tuple(_template_record(each, vectors[each.id]) for each in person.templates if each.id in vectors),
    )


def _template_record(facts: TemplateFacts, vector: NDArray[np.float32]) -> _Template:
    return _Template(
        model_digest=facts.model_digest,
        embedding=base64.b64encode(vector.astype("<f4").tobytes()).decode(),
        quality=asdict(facts.quality),
        enrolled_at=facts.enrolled_at,
        request_id=facts.request_id,
    )


def _parsed(kind: type[LineT], line: bytes, number: int) -> LineT:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidValue(
            f"line {number} is none of an exported gallery: {place or 'JSON'}: {first['msg']}; give a file that "
            "visavis gallery export has written"
        ) from None


def _portable(line: _PersonLine, number: int) -> PortablePerson:
    consent = None if line.consent is None else Consent(line.consent.reference, line.consent.given_on)
    facts = PersonFacts(line.note, consent, line.forget_at)
    try:
        templates = tuple(map(_new_template, line.templates))
        if templates:
            check_templates(templates)
    except (TypeError, ValueError):
        raise InvalidValue(
            f"line {number} has a template that is not {EMBEDDING_FORM} with all measures of quality; "
            "export the gallery again"
        ) from None
    return PortablePerson(line.person, facts, templates)


def _check_lengths(templates: Sequence[NewTemplate], architectures: Mapping[str, Architecture], number: int) -> None:
    """Raise InvalidValue for an embedding that its model cannot have made: a short one is near to every face."""
    for each in templates:
        architecture, length = architectures.get(each.model_digest), length_of(each.vector)
        if architecture is not None and not architecture.makes_length(length):
            raise InvalidValue(
                f"line {number} has a damaged template: its embedding has the length {length:.3g}, which "
                "its model cannot make; export the gallery again"
            )


def _new_template(record: _Template) -> NewTemplate:
    """Raises ValueError or TypeError for a template that is none."""
    vector = np.frombuffer(base64.b64decode(record.embedding, validate=True), "<f4").astype(np.float32)
    return NewTemplate(vector, Quality(**record.quality), record.model_digest, record.request_id, record.enrolled_at)


def _csv_lines(text: TextIOWrapper) -> Iterator[list[str]]:
    try:
        yield from (fields for fields in csv.reader(text, strict=True) if fields)
    except (csv.Error, UnicodeDecodeError):
        raise InvalidValue("the file is no CSV in UTF-8; write each encoding as person,number,...,number") from None


def _encoding(numbers: list[str], line: int) -> NDArray[np.float32]:
    try:
        vector = np.array([float(each) for each in numbers], np.float32)
    except ValueError:
        vector = np.empty(0, np.float32)
    if vector.shape != (N_DLIB_CHANNELS,) or not np.isfinite(vector).all():
        raise InvalidValue(f"line {line} must have a person's id and {N_DLIB_CHANNELS} numbers")
    length = length_of(vector)
    if not SHORTEST_DLIB <= length <= LONGEST_DLIB:
        raise InvalidValue(
            f"line {line} is no encoding by dlib's network: its length is {length:.2f}, and theirs are "
            f"{SHORTEST_DLIB} to {LONGEST_DLIB}; enrol the photos instead"
        )
    return vector


def _usual_quality(card: ModelCard) -> Quality:
    """The measures of a usual photo by the card; 0 for those that it has no penalty for, and 1 for what is visible."""
    visible = {"eyes_visible": 1.0, "mouth_visible": 1.0}
    usual = {rule.measure: max(rule.usual, rule.values[-1]) for rule in card.quality_penalties}
    return Quality(**(dict.fromkeys(MEASURES, 0.0) | usual | visible))
