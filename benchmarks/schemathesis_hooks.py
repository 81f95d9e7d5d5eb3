"""What schemathesis sends to visavis: real pictures in valid requests, and no option twice. It runs in .venv-tools.

The schema says that an image is text or a file; that it must show a face, and that an option stands in the query or in
the body, it cannot say. Invalid requests stay as schemathesis makes them.
"""

import base64
import os
import random
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis import Case, GenerationMode, HookContext

IMAGES = ("probe", "reference", "image")
FILES = tuple(path.read_bytes() for path in sorted(Path(os.environ["FUZZ_IMAGES"]).iterdir()))
CHOICE = random.Random(0)  # noqa: S311 - no secrets

schemathesis.openapi.format("binary", strategies.sampled_from(FILES))  # of a form's files


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE or not isinstance(case.body, dict):
        return
    if case.media_type == "application/json":
        case.body |= {name: _pictures(case.body[name]) for name in IMAGES if name in case.body}
    query = dict(case.query or {})
    if "operating_point" in case.body or "operating_point" in query:
        case.body.pop("threshold", None)
        query.pop("threshold", None)
    case.query = {name: value for name, value in query.items() if name not in case.body}


def _pictures(given: object) -> object:
    """Put pictures in place of texts; lists of numbers are embeddings."""
    if isinstance(given, list):
        return [_pictures(each) for each in given]
    return base64.b64encode(CHOICE.choice(FILES)).decode() if isinstance(given, str) else given
