"""The format of log lines: text, or JSON with one object a line. What a client sends can never begin a line.

A line states no query, no body and no path except the route's pattern.
"""

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

ACCESS = "visavis.access"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})  # that the service answers
OTHER = "other"
NO_ROUTE = "(no route)"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
INDENT = "\n    "  # of all lines of a message after the first, so that none looks like a line of its own


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """What is logged and counted of a request. All but the id and the key come from short fixed lists."""

    request_id: str
    method: str
    route: str  # the pattern, such as /v1/verify
    status: int | None  # None = no answer was begun
    code: str | None  # of the problem, if the answer is one
    duration_ms: float
    key_id: str | None  # of the caller
    traceparent: str | None = None  # as the caller sent it, by W3C Trace Context
    stages_ms: Mapping[str, float] = field(default_factory=dict)  # receive, wait, decode, detect, embed: as known

    def __str__(self) -> str:
        code = "" if self.code is None else f" code={self.code}"
        key = "" if self.key_id is None else f" key={self.key_id}"
        return f"{self.method} {self.route} {self.status} {self.duration_ms:.0f} ms id={self.request_id}{code}{key}"


def log_request(outcome: RequestOutcome) -> None:
    """Write the access line of a request."""
    logging.getLogger(ACCESS).info("%s", outcome, extra={"outcome": outcome})


def log_formatter(log_format: Literal["text", "json"]) -> logging.Formatter:
    """Return the formatter of a format; both are thread-safe."""
    return JsonFormatter() if log_format == "json" else TextFormatter()


class TextFormatter(logging.Formatter):
    """`time level logger message`, with control characters escaped and further lines indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines of a record."""
        return CONTROL.sub(_escaped, super().format(record)).replace("\n", INDENT)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII; that of a request has its facts as keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        outcome = getattr(record, "outcome", None)
        if isinstance(outcome, RequestOutcome):
            line |= {name: value for name, value in asdict(outcome).items() if value is not None}
            line["duration_ms"] = round(outcome.duration_ms, 2)
            line["stages_ms"] = {stage: round(spent, 2) for stage, spent in outcome.stages_ms.items()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
