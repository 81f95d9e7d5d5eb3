"""Normalise answers so that two records can be compared.

Parts that differ from run to run (ids, times, durations, ports, temporary folders) are replaced by fixed words.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

LONGEST = 2000  # letters of a string that is kept as it is; of a longer one, its digest
MOST_LINES = 1000  # of a text that is kept as it is
OWN_ID = re.compile(r"[0-9a-f]{16}")  # a request id that the service made

# Of a process: its log, and what a command prints.
RUN_TO_RUN = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?"), "<time>"),
    (re.compile(r"\b\d+ ms id="), "<duration> ms id="),
    (re.compile(r"\bid=[0-9a-f]{16}\b"), "id=<id>"),
    (re.compile(r"(?<=http://127\.0\.0\.1:)\d+"), "<port>"),
    (re.compile(r"\b\d+\.\d+ s\b"), "<duration> s"),
)
NOT_READY = " GET /readyz 503 "
HEADERS_THAT_VARY = ("content-length", "date", "etag", "last-modified")


def digest(content: bytes) -> str:
    """Return SHA-256 and length of content that is too long to be stored."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}, {len(content)} bytes"


def file_digests(folder: Path) -> dict[str, Json]:
    """Return the digest of every file in a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest(path.read_bytes()) for path in files}


def kept(content: bytes) -> Json:
    """Return JSON as values, another text as its lines, and the digest of anything else."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return digest(content)
    try:
        return _shortened(json.loads(text))
    except ValueError:
        return _lines(text)


def kept_output(output: str, folder: Path) -> Json:
    """Return what a process printed, without paths of `folder` and of the working directory, times and durations."""
    text = output.replace(f"{folder}/", "").replace(f"{Path.cwd()}/", "")
    for pattern, word in RUN_TO_RUN:
        text = pattern.sub(word, text)
    return kept(text.encode())


def kept_log(log: str, folder: Path) -> Json:
    """Return the service's log without the requests for readiness, whose number depends on the machine."""
    return kept_output("".join(line for line in log.splitlines(keepends=True) if NOT_READY not in line), folder)


def kept_answer(status: int, headers: Mapping[str, str], body: bytes) -> Json:
    """Return an HTTP answer without its times and without a request id that the service made."""
    request_id = headers.get("x-request-id", "")
    if OWN_ID.fullmatch(request_id):
        headers = {**headers, "x-request-id": "<id>"}
        body = body.replace(request_id.encode(), b"<id>")
    steady = {name: f"<{name}>" if name in HEADERS_THAT_VARY else value for name, value in sorted(headers.items())}
    return {"status": status, "headers": {**steady}, "body": _without_timings(kept(body))}


def _without_timings(body: Json) -> Json:
    """Replace the durations of the answer itself; those of the examples in the OpenAPI document never change."""
    timings = body.get("timings_ms") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(timings, dict):
        return body
    return {**body, "timings_ms": dict.fromkeys(timings, "<duration>")}


def _shortened(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return digest(value.encode()) if isinstance(value, str) and len(value) > LONGEST else value


def _lines(text: str) -> Json:
    lines = text.replace("><", ">\n<").splitlines()  # a page of one line could not be compared
    return digest(text.encode()) if len(lines) > MOST_LINES else _shortened([*lines])
