"""Kill enrolments and forgettings at each write, or fill the disk there; then see what the store holds.

`python benchmarks/failing_store.py URL` prints a line of JSON for each: what was told to the caller, and what is wrong.
With PostgreSQL, it kills either the client, or the server's process for it (`--server`, as a user who may trace that).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import count, product
from pathlib import Path
from typing import IO, get_args

import psycopg
from traced_calls import WALL, CallTracer, Mode, stop_to_be_traced

from gallery import NoSuchPerson, Store, StoreUnavailable, open_store

sys.path.append(str(Path(__file__).parents[1] / "tests" / "made"))

from stored_templates import new_template

WRITES = frozenset(
    ("write", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate", "unlink", "unlinkat", "fallocate")
)
SENDS = frozenset(("write", "sendto", "sendmsg"))  # by which a client talks to its server
GALLERY, OLD, NEW, FIRST = "staff", "old", "new", 100
N_OLD, N_NEW = 2, 3
MODES: tuple[Mode, ...] = get_args(Mode)
RECOVERY_S = 60.0

Act = Callable[[Store], object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found after one write failed; `problem` None = what was told to the caller is true."""

    act: str
    mode: Mode
    n_call: int
    told: tuple[str, ...]  # "done", "refused"
    is_done: bool
    problem: str | None = None


def enrol(store: Store) -> None:
    store.add_templates(GALLERY, NEW, [new_template(FIRST + number) for number in range(N_NEW)])


def forget(store: Store) -> None:
    store.forget_person(GALLERY, NEW)


ACTS: dict[str, Act] = {"enrol": enrol, "forget": forget}


def prepare(store: Store, act: str) -> None:
    """Bring the store to where an act starts."""
    if GALLERY not in [each.name for each in store.galleries()]:
        store.create_gallery(GALLERY)
        store.add_templates(GALLERY, OLD, [new_template(1), new_template(2)])
    if not _n_templates(store, NEW):
        enrol(store)
    if act == "enrol":
        forget(store)  # so there is always free room of the same kind, and always the same number of calls


def found(store: Store, act: str, told: list[str]) -> tuple[bool, str | None]:
    """Whether the act is done, and what is wrong."""
    n_new, n_old = _n_templates(store, NEW), _n_templates(store, OLD)
    is_done = n_new == {"enrol": N_NEW, "forget": 0}[act]
    if n_old != N_OLD:
        return is_done, "another person's templates are lost"
    if n_new not in (0, N_NEW):
        return is_done, f"{n_new} of {N_NEW} templates are there"
    if told[-1:] == ["done"] and not is_done:
        return is_done, "what was acknowledged is not done"
    if store.gallery(GALLERY).n_templates != _counted(store):
        return is_done, "the templates are not those of the people"
    return is_done, None


def _n_templates(store: Store, person: str) -> int:
    try:
        return len(store.person(GALLERY, person).templates)
    except NoSuchPerson:
        return 0


def _counted(store: Store) -> dict[str, int]:
    digests = [it.model_digest for person in store.people(GALLERY, limit=10) for it in person.templates]
    return {digest: digests.count(digest) for digest in digests}


def _attempt(store: Store, act: Act, tell: Callable[[str], None], *, n_attempts: int) -> None:
    """Act; once more after a refusal, if asked to."""
    for _ in range(n_attempts):
        try:
            act(store)
        except StoreUnavailable:
            tell("refused")
            continue
        except NoSuchPerson:  # an attempt before had forgotten the person
            pass
        tell("done")
        return


def disturbed(url: str, act: str, at: int, mode: Mode) -> tuple[list[str], int]:
    """Act in a child of which one call is disturbed; gives what it told, and the number of its calls."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with open_store(url) as store:
            store.gallery(GALLERY)
            stop_to_be_traced()
            _attempt(store, ACTS[act], lambda word: _tell(writing, word), n_attempts=2 if mode == "disk full" else 1)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        tracer = CallTracer(child, WRITES if url.startswith("sqlite") else SENDS, at, mode)
        tracer.start()
        tracer.run(lambda first: _ends_fault(tracer, mode, first == writing))
        return told.read().decode().split(), tracer.n_calls


def _tell(pipe: int, word: str) -> None:
    os.write(pipe, word.encode() + b"\n")


def _ends_fault(tracer: CallTracer, mode: Mode, is_telling: bool) -> bool:  # noqa: FBT001 - a step of `disturbed`
    """After the first word to the parent the disk has space again. It may also be killed before it says that word."""
    tracer.is_over |= is_telling and mode == "disk full"
    return tracer.is_over


def disturbed_server(url: str, act: str, at: int, mode: Mode) -> tuple[list[str], int]:
    """Act in a child; disturb one call of the server's process that does its work."""
    (reading, writing), (started, start) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with open_store(url) as store:
            store.gallery(GALLERY)
            _tell(writing, "ready")
            os.read(started, 1)
            _attempt(store, ACTS[act], lambda word: _tell(writing, word), n_attempts=1)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as told:
        told.readline()
        [backend] = _backends(url)
        tracer = CallTracer(backend, WRITES, at, mode)
        tracer.attach()
        os.write(start, b"x")
        _trace_until_child_ends(tracer, backend, child)
        for handle in (started, start):
            os.close(handle)
        return told.read().decode().split(), tracer.n_calls


def _trace_until_child_ends(tracer: CallTracer, backend: int, child: int) -> None:
    is_traced = True
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        process, status = os.waitpid(backend, os.WNOHANG | WALL) if is_traced else (0, 0)
        if process:
            is_traced = tracer.step(status)
        else:
            time.sleep(0.0005)
    tracer.is_over = True
    if is_traced:  # it ends too, because its client has
        tracer.run()


def _backends(url: str) -> list[int]:
    """The server's processes for open stores; there is none at a SQLite file. Waits for a server that starts again."""
    if url.startswith("sqlite"):
        return []
    until = time.monotonic() + RECOVERY_S
    while True:
        try:
            with closing(psycopg.connect(url.replace("+psycopg", ""))) as connection:
                query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'visavis'"
                return [row[0] for row in connection.execute(query)]
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _opened_alone(url: str) -> Store:
    """Open the store when the server has ended what a killed client has sent."""
    while _backends(url):
        time.sleep(0.01)
    return open_store(url)


def outcomes(url: str, modes: Sequence[Mode], *, of_server: bool) -> Iterator[Outcome]:
    """Do each act with each of its calls disturbed once; the last one of each mode is not disturbed any more."""
    run = disturbed_server if of_server else disturbed
    for act, mode in product(ACTS, modes):
        for at in count(1):
            with _opened_alone(url) as store:
                prepare(store, act)
            told, n_calls = run(url, act, at, mode)
            with _opened_alone(url) as store:
                is_done, problem = found(store, act, told)
                is_known = (
                    not of_server or mode != "killed"
                )  # a client whose server is killed while it commits is not told
                if is_done and told == ["refused"] and is_known:
                    problem = "what was refused is done"
                if act == "forget" and is_done and _is_left(url):
                    problem = "a forgotten embedding is left in the files"
                yield Outcome(act, mode, at, tuple(told), is_done, problem)
            if n_calls < at:
                break


def _is_left(url: str) -> bool:
    """Whether a piece of a forgotten embedding is in the files of a SQLite store."""
    if not url.startswith("sqlite"):
        return False
    path = Path(url.removeprefix("sqlite:///"))
    content = b"".join(each.read_bytes() for each in path.parent.glob(path.name + "*"))
    pieces = [new_template(FIRST + number).vector.tobytes()[:32] for number in range(N_NEW)]
    return any(piece in content for piece in pieces)


def main(output: IO[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--server", action="store_true", help="disturb the process of PostgreSQL, not its client")
    parser.add_argument("--mode", action="append", choices=MODES, help="may be repeated; all if there is none")
    given = parser.parse_args()
    for outcome in outcomes(given.url, given.mode or MODES, of_server=given.server):
        print(json.dumps(asdict(outcome)), file=output, flush=True)


if __name__ == "__main__":
    main(sys.stdout)
