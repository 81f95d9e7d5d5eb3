"""What a gallery holds and what it answers: people and their templates, candidates, claims, receipts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedder import ModelIdentity, Quality, Sample, Timings

from .errors import PhotoRefusal

GallerySearch = Literal["memory", "pgvector"]
ForgottenKind = Literal["gallery", "person", "template", "expired"]


@dataclass(frozen=True, slots=True)
class Consent:
    """The person's agreement to be enrolled, as the caller states it."""

    reference: str  # of the caller's own record of it
    given_on: date


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What a caller says about a person, besides the id."""

    note: str | None = None
    consent: Consent | None = None
    forget_at: datetime | None = None  # with a time zone; from then on the person is found by no request


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """A template without its embedding."""

    id: str
    model_digest: str  # of the embedding, which covers the detector: "sha256:..."
    quality: Quality  # of the photo
    enrolled_at: datetime
    request_id: str | None  # of the request that enrolled it


@dataclass(frozen=True, slots=True)
class Person:
    """A person in a gallery; `id` is the caller's."""

    id: str
    facts: PersonFacts
    templates: tuple[TemplateFacts, ...]  # the oldest first
    created_at: datetime
    version: int  # changes with each write to the person or the templates


@dataclass(frozen=True, slots=True, eq=False)
class NewTemplate:
    """A template to be stored. Its `repr` does not show the embedding, which is biometric data."""

    vector: NDArray[np.float32] = field(repr=False)  # (channels,)
    quality: Quality
    model_digest: str
    request_id: str | None = None
    enrolled_at: datetime | None = None  # None = now; another time comes from an export


@dataclass(frozen=True, slots=True)
class GalleryFacts:
    """A gallery and how much it holds."""

    name: str
    created_at: datetime
    version: int  # changes with each write to the gallery
    n_people: int
    n_templates: Mapping[str, int]  # by model digest


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was forgotten, without biometric data."""

    kind: ForgottenKind
    gallery: str
    forgotten_at: datetime
    n_people: int
    n_templates: int


@dataclass(frozen=True, slots=True, eq=False)
class TemplateBlock:
    """Templates of one gallery and one model digest. Its `repr` shows no embedding, which is biometric data."""

    ids: tuple[str, ...]
    persons: tuple[str, ...]  # the caller's ids
    person_numbers: NDArray[np.int64]  # (n,) the store's own, one for each person
    vectors: NDArray[np.float32] = field(repr=False)  # (n, channels); no channels if there is no template
    qualities: NDArray[np.float64]  # (n, 10), columns in the order of MEASURES
    forget_at: tuple[datetime | None, ...]  # of the persons

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What happened to the templates of one digest in a gallery since a version.

    Remove `removed` first, then add `added`: a template is in both if its person is to be forgotten at another time.
    """

    version: int  # of the gallery, to ask from next time
    is_complete: bool  # False: the version is too old to tell, so read all templates anew
    removed: frozenset[str]  # ids of templates, of any digest
    added: TemplateBlock


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key for a write that must be done once, although the request may arrive several times."""

    key: str  # only its hash is stored
    request: bytes  # whatever distinguishes the request from another one; only its hash is stored
    answer: Callable[[Person], str]  # makes the JSON to remember from the person after the write


@dataclass(frozen=True, slots=True)
class Claim:
    """The error rates that an identification claims, by the card's evidence."""

    n_templates: int  # that the probe was compared with
    fpir: float  # false positive identification rate: that of a probe whose person is not in the gallery
    fpir_interval: tuple[float, float] | None  # 95%
    fmr: float  # of one comparison, which follows from the two
    threshold: float  # of the normalised distance
    fnir: float | None  # to expect for a person with one template: the card's FNMR at the threshold
    fnir_interval: tuple[float, float] | None
    is_exact: bool = True  # False: an index proposed the templates, and what it misses is not found; FPIR stays valid


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person whom the probe may show, by the best of the person's templates."""

    person: str
    template: str  # id of the nearest template
    distance: float  # Euclidean
    normalized_distance: float  # the distance plus the penalty of the pair, which the threshold applies to
    probability: float | None  # 0..1, with the prior; None = card without calibration
    log_likelihood_ratio: float | None
    is_match: bool  # exactly normalized_distance < threshold


@dataclass(frozen=True, slots=True)
class Identification:
    """Who a face may be. No match is an answer: nobody in the gallery, at the claimed rates."""

    candidates: tuple[Candidate, ...]  # the nearest person first; matches and, for comparison, the next ones
    claim: Claim | None  # None = an empty gallery, which identifies nobody
    prior: float  # 0..1, that the probe shows a given person before seeing the photo

    @property
    def match(self) -> Candidate | None:
        """The nearest person if that is a match, else None."""
        return next((each for each in self.candidates[:1] if each.is_match), None)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of photos that were enrolled."""

    person: Person  # after it
    added: tuple[str, ...]  # ids of the new templates, in the order of their photos
    already_there: tuple[str, ...]  # ids of the earlier templates of photos that were sent again
    refused: tuple[PhotoRefusal, ...] = ()  # photos that were left out, as the request asked


@dataclass(frozen=True, slots=True)
class IdentifiedFace:
    """A face, and who it may be."""

    sample: Sample
    identification: Identification  # without a claim if the gallery is empty, or the face too poor to be compared


@dataclass(frozen=True, slots=True)
class Identified:
    """The faces of an image, and who they may be."""

    faces: tuple[IdentifiedFace, ...]  # the largest first
    model: ModelIdentity
    timings_ms: Timings
    search_ms: float  # in the gallery, for all faces
