"""The requests and answers about galleries: people, their templates, identification."""

import json
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from .answers import Answer, Judged, Judgement, ModelIdentity, Sample, Timings
from .requests import (
    FACE_FORMS,
    Base64Image,
    Base64Images,
    DecisionOptions,
    FaceOption,
    FaceSelector,
    FaceSelectorOrAll,
    Message,
    Prior,
    QualityChoice,
)

LONGEST_ID = 200  # characters of the name of a gallery, and of the id of a person
LONGEST_NOTE, LONGEST_REFERENCE = 2000, 2000
MAX_PAGE, PAGE = 1000, 100  # people of one answer
MAX_CANDIDATES, CANDIDATES = 100, 5
FPIR = 1e-2  # claimed by default
LONGEST_KEY = 255  # characters of an Idempotency-Key
LONGEST_CURSOR = 1200
TEMPLATE_ID = "^[0-9A-Za-z_-]{1,64}$"


def _identifier(text: str) -> str:
    """Accept a name that can stand in an address: printable, no slash, no blank at an end, and not . or .."""
    if not text.isprintable() or "/" in text or text != text.strip() or text in (".", ".."):
        raise PydanticCustomError(
            "identifier", "must be printable, without / and without blanks at its ends, and not . or .."
        )
    return text


def _storable(text: str) -> str:
    if not all(each.isprintable() or each == "\n" for each in text):
        raise PydanticCustomError("text", "must have no control characters other than line breaks")
    return text


Identifier = Annotated[str, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_identifier)]
Note = Annotated[str, Field(max_length=LONGEST_NOTE), AfterValidator(_storable)]
Reference = Annotated[str, Field(min_length=1, max_length=LONGEST_REFERENCE), AfterValidator(_storable)]
Rate = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class GalleryNames(Message):
    """The name in the address of a gallery."""

    gallery: Identifier


class PersonNames(GalleryNames):
    """The names in the address of a person."""

    person: Identifier


class TemplateNames(PersonNames):
    """The names in the address of a template."""

    template: Annotated[str, Field(pattern=TEMPLATE_ID)]


class GalleryRequest(Message):
    """The body of PUT /v1/galleries/{gallery}, which may be missing: a gallery has a name only."""


class ConsentRecord(BaseModel):
    """The person's agreement to be enrolled, as the caller states it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reference: Annotated[Reference, Field(description="Of the caller's own record of the consent.")]
    given_on: date


def _form_field(value: object) -> object:
    """Parse an object that is a field of a form, which is JSON, as OpenAPI has it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError):
        raise PydanticCustomError("json", "must be a JSON object, with each key once") from None


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        raise ValueError
    return keys


class PersonFacts(Message):
    """The facts about a person, besides the id."""

    note: Annotated[Note | None, Field(description="A note of the caller's.", repr=False)] = None
    consent: Annotated[
        ConsentRecord | None,
        BeforeValidator(_form_field),
        Field(description="The person's agreement to be enrolled; in a form, a field with JSON.", repr=False),
    ] = None
    forget_at: Annotated[
        AwareDatetime | None,
        Field(description="When to forget the person, with a time zone. From then on no request finds the person."),
    ] = None


class PersonRequest(PersonFacts):
    """The body of PUT .../people/{person}, which may be missing: the facts about a person. It replaces all of them."""


class PeopleOptions(Message):
    """The options of GET /v1/galleries/{gallery}/people."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, description="The largest number of people to return.")] = PAGE
    cursor: Annotated[
        str | None,
        Field(min_length=1, max_length=LONGEST_CURSOR, description="`next` of the page before; none = the first page."),
    ] = None


class EnrolOptions(PersonFacts):
    """The options of POST .../people/{person}/photos. Facts that are left out stay as they are."""

    face: Annotated[
        FaceSelector,
        Field(description=f"Which face to enrol if a photo shows several: {FACE_FORMS}."),
    ] = "only"
    allow_duplicate: Annotated[
        bool,
        Field(description="Whether to enrol a photo that shows somebody who is enrolled as another person."),
    ] = False


class EnrolRequest(EnrolOptions):
    """The JSON form of POST .../people/{person}/photos."""

    image: Base64Images = Field(repr=False)


class IdentifyOptions(Message):
    """The options of POST /v1/galleries/{gallery}/identify."""

    face: Annotated[
        FaceSelectorOrAll,
        Field(description=f"Which face to identify if the photo shows several: {FACE_FORMS}; or `all` for every face."),
    ] = "dominant"
    fpir: Annotated[
        Rate,
        Field(
            description="The false positive identification rate to claim: how often somebody who is not in the gallery "
            "is taken for anyone in it. The threshold follows from it and the number of templates."
        ),
    ] = FPIR
    prior: Annotated[
        Prior | None,
        Field(description="Prior probability that the photo shows a given person; by default 1 / (people + 1)."),
    ] = None
    limit: Annotated[
        int, Field(ge=1, le=MAX_CANDIDATES, description="The largest number of candidates for each face.")
    ] = CANDIDATES


class IdentifyRequest(IdentifyOptions):
    """The JSON form of POST /v1/galleries/{gallery}/identify."""

    probe: Base64Image = Field(repr=False)


class PersonVerifyOptions(DecisionOptions, FaceOption):
    """The options of POST .../people/{person}/verify."""

    quality: Annotated[
        QualityChoice, Field(description="Whether to refuse a photo that is too poor, or to compare it anyway.")
    ] = "refuse"


class PersonVerifyRequest(PersonVerifyOptions):
    """The JSON form of POST .../people/{person}/verify."""

    probe: Base64Image = Field(repr=False)


class GalleryFacts(Answer):
    """A gallery and how much it holds."""

    name: str
    created_at: datetime
    n_people: int
    n_templates: Annotated[
        dict[str, int],
        Field(description="By model digest: only templates of the served model are compared; see GET /v1/model."),
    ]
    etag: Annotated[str, Field(description="The version, as in the ETag header; for If-Match.")]


class GalleryResponse(GalleryFacts):
    """The answer of PUT and GET /v1/galleries/{gallery}."""

    request_id: str


class TemplateQuality(Answer):
    """Quality of the photo that was enrolled; see the quality of a sample."""

    eye_distance_px: float
    sharpness: float
    blockiness: float
    brightness: float
    contrast: float
    clipped: float
    turn: float
    detector_score: float
    eyes_visible: float
    mouth_visible: float


class TemplateFacts(Answer):
    """A template without its embedding, which no answer contains."""

    id: str
    model_digest: str
    quality: TemplateQuality
    enrolled_at: datetime
    request_id: Annotated[str | None, Field(description="Of the request that enrolled it.")]


class Consent(Answer):
    """The person's agreement to be enrolled, as the caller stated it."""

    reference: str
    given_on: date


class Person(Answer):
    """A person in a gallery."""

    id: str
    note: str | None
    consent: Consent | None
    forget_at: datetime | None
    created_at: datetime
    templates: Annotated[list[TemplateFacts], Field(description="The oldest first.")]
    etag: Annotated[str, Field(description="The version, as in the ETag header; for If-Match.")]


class PersonResponse(Person):
    """The answer of PUT and GET .../people/{person}."""

    request_id: str


class PeopleResponse(Answer):
    """One page of the answer of GET /v1/galleries/{gallery}/people, in the order of their ids."""

    people: list[Person]
    next: Annotated[str | None, Field(description="`cursor` of the next page; null = this is the last one.")]
    request_id: str


class EnrolResponse(Answer):
    """The answer of POST .../people/{person}/photos. All photos of a request are enrolled, or none."""

    person: Person
    enrolled: Annotated[list[str], Field(description="The ids of the new templates.")]
    already_there: Annotated[
        list[str], Field(description="The ids of earlier templates of photos that were sent again.")
    ]
    request_id: str


class Receipt(Answer):
    """What was forgotten, and when. It holds no biometric data."""

    kind: Literal["gallery", "person", "template"]
    gallery: str
    forgotten_at: datetime
    n_people: int
    n_templates: int


class ForgetResponse(Receipt):
    """The answer of the DELETE routes."""

    request_id: str


class Claim(Answer):
    """The error rates that an identification claims, by the model card's measurements. Intervals are 95% intervals."""

    n_templates: Annotated[int, Field(description="Templates that the face was compared with.")]
    fpir: Annotated[
        float,
        Field(description="False positive identification rate: of faces of people who are not in the gallery."),
    ]
    fpir_interval: tuple[float, float] | None
    fmr: Annotated[float, Field(description="False match rate of one comparison, which follows from the two.")]
    threshold: Annotated[float, Field(description="A match has a normalized distance below it.")]
    fnir: Annotated[
        float | None,
        Field(
            description="False negative identification rate to expect for a person with one template, if photos are "
            "like those of the card: its FNMR at the threshold. In small galleries more was measured."
        ),
    ]
    fnir_interval: tuple[float, float] | None
    is_exact: Annotated[
        bool,
        Field(
            description="Whether every template was compared. If not, an index proposed some, and a person who is not "
            "among them is not found. The FPIR holds all the same."
        ),
    ]


class Candidate(Answer):
    """A person whom a face may show, by the best of the person's templates."""

    person: str
    template: Annotated[str, Field(description="The id of the nearest template.")]
    match: Annotated[bool, Field(description="Exactly `normalized_distance < claim.threshold`.")]
    distance: Annotated[float, Field(description="Euclidean distance of the embeddings; 0 = identical.")]
    normalized_distance: Annotated[
        float, Field(description="The distance plus the pair's penalty for poor photos; the threshold applies to it.")
    ]
    probability: Annotated[float | None, Field(description="Probability of one person, given `prior`.")]
    log_likelihood_ratio: Annotated[
        float | None, Field(description="Natural logarithm; positive = evidence for one person.")
    ]
    reason: Annotated[str, Field(description="Why it is a match or not, written for people: do not parse it.")]


class IdentifiedFace(Answer):
    """Who a face may be."""

    person: Annotated[str | None, Field(description="The person of the nearest match; null = nobody in the gallery.")]
    candidates: Annotated[
        list[Candidate], Field(description="Matches and, for comparison, the next people; the nearest first.")
    ]
    claim: Annotated[
        Claim | None,
        Field(description="Null for an empty gallery, and for a face too poor to be compared: nobody is identified."),
    ]
    prior: Annotated[float | None, Field(description="Prior probability that the photo shows a given person.")]
    sample: Sample


class IdentifyResponse(Answer):
    """The answer of POST /v1/galleries/{gallery}/identify."""

    faces: Annotated[list[IdentifiedFace], Field(description="One; with face=all every face, the largest first.")]
    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class PersonVerifyResponse(Judged, Judgement):
    """The answer of POST .../people/{person}/verify: the comparison with the person's nearest template."""

    template: Annotated[str, Field(description="The id of the nearest template.")]
    quality: Annotated[QualityChoice, Field(description="The request's option for photos that are too poor.")]
    probe: Sample
    model: ModelIdentity
    timings_ms: Timings
    request_id: str
