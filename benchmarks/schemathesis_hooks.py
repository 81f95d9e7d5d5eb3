"""What schemathesis sends to visavis: real pictures and names in valid requests, and no option twice.

The schema says that an image is text or a file; that it must show a face, that a gallery must be there, and that an
option stands in the query or in the body, it cannot say. Invalid requests stay as schemathesis makes them. It runs in
.venv-tools.
"""

import base64
import math
import os
import random
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.core.parameters import ParameterLocation

IMAGES = ("probe", "reference", "image")
FILES = tuple(path.read_bytes() for path in sorted(Path(os.environ["FUZZ_IMAGES"]).iterdir()))
# Those that enrolments of mutated_requests.py makes, and one that is created and forgotten again and again.
NAMES = {"gallery": ("staff", "G\N{LATIN SMALL LETTER A WITH DIAERESIS}ste 2"), "person": ("p-1", "p-2", "p-3")}
COMPARE = "/v1/embeddings/compare"
GONE, GALLERY = "gone", "/v1/galleries/{gallery}"
TEXTS = ("note", "reference")  # in which control characters are refused
FUTURE, CURSOR = "2099-01-01T00:00:00Z", "cC0x"
N_CHANNELS = 128  # of the built-in model; the schema allows those of any model
CHOICE = random.Random(0)  # noqa: S311 - no secrets

schemathesis.openapi.format("binary", strategies.sampled_from(FILES))  # of a form's files


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        # What holds no text, such as an empty list or null, would be sent as no option at all, which is valid.
        query = {name: value if _has_text(value) else "[]" for name, value in (case.query or {}).items()}
        component = case.meta and case.meta.components.get(ParameterLocation.QUERY)
        is_invalid = component is not None and component.mode is GenerationMode.NEGATIVE
        case.query = query or ({"an option that was null": "[]"} if is_invalid else {})
        return
    _name(case)
    if isinstance(case.body, dict):
        _fill(case, case.body)


def _has_text(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_text, value.values()))
    return any(map(_has_text, value)) if isinstance(value, list) else value is not None


def _fill(case: Case, body: dict[str, Any]) -> None:
    """Put pictures into a body, and send no option both in it and in the query."""
    if case.media_type == "application/json":
        body |= {name: _pictures(body[name]) for name in IMAGES if name in body}
    if case.path == COMPARE:
        body["probe"] = _embedding(body["probe"])
        body["references"] = [_embedding(each) for each in body["references"]]
    query = dict(case.query or {})
    if "operating_point" in body or "operating_point" in query:
        body.pop("threshold", None)
        query.pop("threshold", None)
    case.query = {name: value for name, value in query.items() if name not in body}
    if body.get("forget_at") is not None:
        body["forget_at"] = FUTURE
    for part in (body, body.get("consent") or {}):
        part |= {name: _printable(part[name]) for name in TEXTS if isinstance(part.get(name), str)}


def _name(case: Case) -> None:
    """Put names that are known into an address, but for those that a link took from an answer, and a known cursor."""
    given = case.path_parameters or {}
    for name in NAMES.keys() & given.keys():
        given[name] = CHOICE.choice(NAMES[name])
    if case.path == GALLERY and case.method != "GET":
        given["gallery"] = GONE
    if "cursor" in (case.query or {}):
        case.query["cursor"] = CURSOR
    if "If-Match" in (case.headers or {}):
        case.headers.pop("If-None-Match", None)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)


def _embedding(numbers: list[float]) -> list[float]:
    """Make an embedding of the model's size and length of numbers."""
    padded = (numbers + [0.0] * N_CHANNELS)[:N_CHANNELS]
    length = math.hypot(*padded)
    return [each / length for each in padded] if length > 0 else [1.0] + [0.0] * (N_CHANNELS - 1)


def _pictures(given: object) -> object:
    """Put pictures in place of texts; lists of numbers are embeddings."""
    if isinstance(given, list):
        return [_pictures(each) for each in given]
    return base64.b64encode(CHOICE.choice(FILES)).decode() if isinstance(given, str) else given
