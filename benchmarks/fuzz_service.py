"""Send mutated requests to a running `visavis serve` and check every answer, the log and the memory.

    python benchmarks/fuzz_service.py [--runs 20000] [--seed 0] [--no-keys] [--only N]

Checked of every answer: no 5xx but 503; an error is an RFC 9457 problem of a known code with the request's id; no
traceback and no file name; the headers that all answers have. Of the log: only our own JSON lines, none about a
failure, no file name; at most 2 s for a request without the time in which it waits; a longer one is sent again alone,
and then its processor time counts. Of the memory: it does not grow. Exit status 1 if anything was found. Request N of a
seed is always the same: `--only N` sends it again.
"""

import asyncio
import json
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from mutated_requests import FILE_NAME, KINDS, Request, RequestSource
from running_service import RunningService, running_service

from service.access.caller import Scope
from service.access.keys import KeyFile, KeyGrant
from service.problem_types import TABLE
from service.problems import MEDIA_TYPE
from service.wire import Problem

CLIENTS = 16
GIVE_UP_S = 60.0
LONGEST_S, MOST_AGAIN = 2.0, 40
MOST_CPU_S = 2 * LONGEST_S  # a request computes in two threads; an ordinary /v1/explain takes 2 s of processors
REPORT_EVERY, SAMPLE_EVERY = 1000, 100
GROWTH_MIB = 64.0  # of the second half of a run, in which nothing new is loaded
SHOWN = 20  # findings
# All but admin: a reload of the model takes as long as it takes.
SCOPES: tuple[Scope, ...] = ("verify", "embed", "explain", "enrol", "identify", "forget", "metrics")
CODES = {error.code for error in TABLE}
ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*")
HEADER = re.compile(rb"([A-Za-z0-9-]+): ([ -~]*)")
INSIDE = re.compile(r"Traceback|File \"|site-packages|\w\.py\b", re.ASCII)  # what only a traceback has
CLIENT_ERROR, SERVER_ERROR, UNAVAILABLE = 400, 500, 503
CONTINUE, NO_CONTENT, NOT_MODIFIED = 100, 204, 304
WAITING = ("receive", "wait")  # stages of a request in which nothing is computed for it
REPEATS_NAMES = ("framing", "raw")  # a change may turn the name of a file into that of a part, which a problem repeats
# 2 s for what waits for the end of a head that never comes.
ENVIRONMENT = {"VISAVIS_LOG_FORMAT": "json", "VISAVIS_HEADER_TIMEOUT_S": "2"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as it was read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a problem, or the type of another body."""
        found = re.search(rb'"code":"(\w+)"', self.body) if self.status >= CLIENT_ERROR else None
        return found[1].decode() if found else self.headers.get("content-type", "-").partition(";")[0]


class NotHttpError(Exception):
    """What the service sent is no answer."""


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool) -> Answer:
    """Read one answer strictly: no folded lines, no control characters, a body as long as stated."""
    status, headers = await _read_head(reader)
    while status == CONTINUE:
        status, headers = await _read_head(reader)
    has_body = not is_head and status not in (NO_CONTENT, NOT_MODIFIED)
    return Answer(status, headers, await reader.readexactly(int(headers["content-length"])) if has_body else b"")


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    found, pairs = STATUS_LINE.fullmatch(first), [HEADER.fullmatch(line) for line in lines]
    if found is None or None in pairs:
        raise NotHttpError("the head of the answer is malformed")
    return int(found[1]), {pair[1].decode().lower(): pair[2].decode() for pair in pairs if pair}


def faults_of(answer: Answer, kind: str, *, is_head: bool) -> Iterator[str]:
    """Give everything that is wrong with an answer."""
    given = answer.headers.get("x-request-id", "")
    text = answer.body.decode("utf-8", "replace")
    if answer.status >= SERVER_ERROR and answer.status != UNAVAILABLE:
        yield f"status {answer.status}"
    if not REQUEST_ID.fullmatch(given):
        yield f"X-Request-Id is {given!r}"
    if not ALWAYS.items() <= answer.headers.items() or "cache-control" not in answer.headers:
        yield "a header that all answers have is missing"
    if FILE_NAME in text and kind not in REPEATS_NAMES:
        yield "the answer repeats the name of a file"
    if is_head or answer.status == NOT_MODIFIED:
        return
    if answer.status >= CLIENT_ERROR:
        yield from _problem_faults(answer, given, text)
    elif answer.headers.get("content-type") == "application/json" and not _is_json(text):
        yield "the body is no strict JSON"


def _problem_faults(answer: Answer, request_id: str, text: str) -> Iterator[str]:
    if answer.headers.get("content-type") != MEDIA_TYPE:
        yield f"an error of type {answer.headers.get('content-type')!r}"
        return
    if INSIDE.search(text):
        yield "the problem shows the inside of the service"
    try:
        problem = Problem.model_validate_json(answer.body)
    except ValueError as error:
        yield f"no problem: {error}"
        return
    if (problem.status, problem.request_id) != (answer.status, request_id):
        yield f"a problem with status {problem.status} and id {problem.request_id}"
    if problem.code not in CODES:
        yield f"the unknown code {problem.code!r}"


def _is_json(text: str) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    with suppress(ValueError):
        json.loads(text, parse_constant=refuse)
        return True
    return False


def log_faults(lines: Sequence[str]) -> Iterator[str]:
    """Give what is wrong with the lines that the service wrote."""
    for line in lines:
        fields = _fields(line)
        if not str(fields.get("logger")).startswith("visavis"):
            yield f"the line in the log is not ours: {line[:200]!r}"
        if fields.get("level") == "error":
            yield f"the log says: {line[:2000]}"
        if FILE_NAME in line:
            yield f"the log has the name of a file: {line[:200]}"


def slow_ids(lines: Sequence[str]) -> Iterator[str]:
    """Give the ids of requests that took over LONGEST_S, without the time in which they waited."""
    for fields in map(_fields, lines):
        stages = fields.get("stages_ms", {})
        if stages and fields["duration_ms"] - sum(stages.get(stage, 0.0) for stage in WAITING) > 1000 * LONGEST_S:
            yield fields["request_id"]


def _fields(line: str) -> Any:
    with suppress(ValueError):
        return json.loads(line)
    return {}


@dataclass(slots=True)
class FuzzRun:
    """A run against one service, and what came of it."""

    service: RunningService
    source: RequestSource
    seed: int
    statuses: Counter[tuple[int, str]] = field(default_factory=Counter)
    longest_s: dict[str, tuple[float, int]] = field(default_factory=dict)  # by status and code: with the request
    memory: list[tuple[int, float]] = field(default_factory=list)  # answers so far, MiB
    findings: list[str] = field(default_factory=list)
    n_done: int = 0
    n_again: int = 0  # requests that were slow, and were sent again alone
    again_s: tuple[float, int] = (0.0, 0)  # the longest processor time of these, with the request
    number_of: dict[str, int] = field(default_factory=dict)  # of a request, by the id in its answer

    async def send_all(self, numbers: Sequence[int]) -> None:
        """Send the requests of these numbers by CLIENTS clients."""
        left = iter(numbers)
        await enrol(self.service, self.source)
        self._measure()
        await asyncio.gather(*(self._client(left) for _ in range(CLIENTS)))
        self._measure()
        await asyncio.sleep(1)  # for the last lines of the log
        slow = [self.number_of[each] for each in slow_ids(self.service.lines) if each in self.number_of]
        for n in slow[:MOST_AGAIN]:
            await self._send_alone(n)

    async def _send_alone(self, n: int) -> None:
        """Send a slow request again alone: what counts is the service's own work, whoever else uses the machine."""
        _, request = request_of(self.source, self.seed, n)
        start, cpu_s = time.monotonic(), self.service.cpu_s()
        await exchange(self.service, request)
        took_s, cpu_s = time.monotonic() - start, self.service.cpu_s() - cpu_s
        self.again_s = max(self.again_s, (cpu_s, n))
        self.n_again += 1
        if cpu_s > MOST_CPU_S or took_s > GIVE_UP_S / 2:
            self.findings.append(f"request {n} takes {took_s:.1f} s alone, and {cpu_s:.1f} s of processors")

    async def _client(self, left: Iterator[int]) -> None:
        for n in left:
            await self._send(n)
            self.n_done += 1
            if self.n_done % SAMPLE_EVERY == 0:
                self._measure()

    def _measure(self) -> None:
        mib = self.service.memory_mib()
        self.memory.append((self.n_done, mib))
        if self.n_done % REPORT_EVERY == 0:
            click.echo(f"{self.n_done:,} answers, {len(self.findings)} findings, {mib:.0f} MiB")

    async def _send(self, n: int) -> None:
        kind, request = request_of(self.source, self.seed, n)
        start = time.monotonic()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                answer = await exchange(self.service, request)
        except (OSError, EOFError, NotHttpError, KeyError, ValueError, TimeoutError) as error:
            self.findings.append(f"request {n} ({kind}): no answer, {type(error).__name__} {error}")
            return
        self.statuses[answer.status, answer.code] += 1
        name = f"{answer.status} {answer.code}"
        self.longest_s[name] = max(self.longest_s.get(name, (0.0, 0)), (time.monotonic() - start, n))
        self.number_of[answer.headers.get("x-request-id", "")] = n
        faults = faults_of(answer, kind, is_head=request.startswith(b"HEAD "))
        self.findings.extend(f"request {n} ({kind}): {answer.status}, {fault}" for fault in faults)

    def judge(self) -> None:
        """Add what the log and the memory show, and print everything."""
        self.findings.extend(log_faults(self.service.lines))
        half = [each for each in self.memory if each[0] >= self.n_done / 2]
        slope = statistics.linear_regression(*zip(*half, strict=True)).slope if len(half) > 1 else 0.0
        if slope * self.n_done / 2 > GROWTH_MIB:
            self.findings.append(f"the memory grows by {slope * 1000:.1f} MiB in 1,000 requests")
        click.echo("\n| status | code or type | answers | longest, s (request) |\n|---|---|---|---|")
        for (status, code), count in sorted(self.statuses.items()):
            longest_s, n = self.longest_s[f"{status} {code}"]
            click.echo(f"| {status} | {code} | {count:,} | {longest_s:.1f} ({n}) |")
        first, last = self.memory[0][1], self.memory[-1][1]
        click.echo(
            f"\nMemory: {first:.0f} MiB at the start, {last:.0f} MiB at the end, {slope * 1000:+.2f} MiB in 1,000"
        )
        click.echo(f"requests of the second half. Lines in the log: {len(self.service.lines):,}.")
        click.echo(
            f"Over {LONGEST_S:.0f} s, so sent again alone: {self.n_again}, which took at most {self.again_s[0]:.1f} s "
            f"of processors (request {self.again_s[1]})"
        )
        click.echo(f"Findings: {len(self.findings)}\n" + "\n".join(self.findings[:SHOWN]))


def request_of(source: RequestSource, seed: int, n: int) -> tuple[str, bytes]:
    """Return the kind and the bytes of a request; always the same for a seed and a number."""
    generator = random.Random(f"{seed} {n}")  # noqa: S311 - no secrets
    kind = tuple(KINDS)[n % len(KINDS)]
    return kind, source.of_kind(kind, generator) or b"\r\n"


async def exchange(service: RunningService, request: bytes) -> Answer:
    """Send a request and read its answer."""
    reader, writer = await asyncio.open_connection(*service.address, limit=2**24)
    try:
        writer.write(request)  # not awaited: it may be refused before it is read
        return await read_answer(reader, is_head=request.startswith(b"HEAD "))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def request_source(service: RunningService, key: str | None) -> RequestSource:
    """Return the source of requests to a service, which tells the digest of its embeddings."""
    source = RequestSource(service.host, key, "")
    answer = await exchange(service, bytes(Request("GET", "/v1/model", source.headers())))
    return replace(source, model_digest=str(json.loads(answer.body)["digest"]))


async def enrol(service: RunningService, source: RequestSource) -> None:
    """Create galleries and enrol people. Raises RuntimeError if that fails."""
    for request in source.enrolments():
        answer = await exchange(service, bytes(request))
        if answer.status >= CLIENT_ERROR:
            raise RuntimeError(f"{request.target}: {answer.status} {answer.body!r}")


@click.command()
@click.option("--runs", default=20_000, help="How many requests to send.")
@click.option("--seed", default=0, help="Of all requests.")
@click.option("--keys/--no-keys", "with_keys", default=True, help="Whether the service needs a key.")
@click.option("--only", type=int, help="Send this request alone, and print it.")
def main(*, runs: int, seed: int, with_keys: bool, only: int | None) -> None:
    """Start a service, send the requests, print what came of them; exit status 1 at a finding."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        key = KeyFile(file).create(KeyGrant("fuzz", SCOPES)).text if with_keys else None
        options = ("--gallery", f"sqlite:///{folder}/gallery.db", *(("--keys", str(file)) if with_keys else ()))
        with running_service(*options, environment=ENVIRONMENT) as service:
            source = asyncio.run(request_source(service, key))
            if only is not None:
                click.echo(repr(request_of(source, seed, only)))
            run = FuzzRun(service, source, seed)
            asyncio.run(run.send_all(range(runs) if only is None else (only,)))
        run.judge()
    raise SystemExit(bool(run.findings))


if __name__ == "__main__":
    main()
