"""Let the calls to the system by which keys, audit log and settings are written fail one by one, or kill at each."""

import errno
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from service.access.keys import KeyFile, KeyFileError, KeyGrant, KeyRecord
from service.audit.chain import AuditFolderError, ChainReader
from service.audit.log import AuditLog
from service.settings import SettingsError, load_settings

Mode = Literal["undisturbed", "failed", "failed half way", "killed before", "killed after"]
WATCHED = ("open", "write", "fsync", "ftruncate", "replace", "unlink", "mkdir", "fdopen", "fstat", "stat", "listdir")
SMALL_FILE = 1_200  # bytes of a file of the audit log: some four lines
N_REQUESTS = 12
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
GRANT, OTHER = KeyGrant("app", ("verify",)), KeyGrant("other", ("embed",))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found after one call failed; `problem` None = all that was acknowledged is there, and whole."""

    scenario: str
    mode: Mode
    n_call: int
    n_acknowledged: int
    problem: str | None = None


class _Written(io.FileIO):
    """A file whose writes are calls of `os.write`, which can fail here."""

    def write(self, content: Any) -> int:
        return os.write(self.fileno(), content)


def _file_of(handle: int) -> io.BufferedWriter:
    return io.BufferedWriter(_Written(handle, "wb"))


class FailingCalls:
    """Counts the calls of WATCHED; at number `fails_at` one fails, or the process is killed. For a child process."""

    def __init__(self, fails_at: int, mode: Mode) -> None:
        self.n_calls, self._fails_at, self._mode = 0, fails_at, mode

    def install(self) -> None:
        """Replace the functions of `os`, for the rest of this process."""
        for name in WATCHED:
            setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.n_calls += 1
            is_due = self.n_calls == self._fails_at
            if is_due:
                self._disturb(name, real, given)
            try:
                return _file_of(given[0]) if name == "fdopen" and "w" in given[1] else real(*given, **named)
            finally:
                if is_due:  # it was to be killed afterwards
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    def _disturb(self, name: str, real: Callable[..., Any], given: tuple[Any, ...]) -> None:
        if name == "write" and self._mode == "failed half way":
            real(given[0], bytes(given[1])[: len(given[1]) // 2])
        if self._mode.startswith("failed"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self._mode == "killed before":
            os.kill(os.getpid(), signal.SIGKILL)


Act = Callable[[Path, Callable[[object], None]], None]  # does something, and tells what it has acknowledged
Check = Callable[[Path, list[Any], Mode], str | None]  # returns what is wrong afterwards


def disturbed(act: Act, folder: Path, fails_at: int, mode: Mode) -> tuple[list[Any], int]:
    """Act in a child process in which one call fails; gives what it acknowledged, and how many calls it made."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        tell = os.write
        layer = FailingCalls(fails_at, mode)
        layer.install()
        try:
            act(folder, lambda fact: void(tell(writing, json.dumps(["acknowledged", fact]).encode() + b"\n")))
            tell(writing, json.dumps(["calls", layer.n_calls]).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        facts = [json.loads(line) for line in told]
    os.waitpid(child, 0)
    n_calls = sum(fact for kind, fact in facts if kind == "calls")
    return [fact for kind, fact in facts if kind == "acknowledged"], n_calls


def void(_: object) -> None:
    """Take a value that nobody needs."""


def _change_keys(change: Callable[[KeyFile, str], Any]) -> Act:
    def act(folder: Path, acknowledge: Callable[[object], None]) -> None:
        try:
            done = change(_key_file(folder), (folder / "id").read_text())
        except KeyFileError:
            return
        acknowledge((done if isinstance(done, KeyRecord) else done.record).model_dump(mode="json"))

    return act


def _key_file(folder: Path) -> KeyFile:
    return KeyFile(folder / "keys.json", now=lambda: NOW)


def _prepare_keys(folder: Path) -> None:
    (folder / "id").write_text(_key_file(folder).create(GRANT).record.id)


def _check_keys(folder: Path, acknowledged: list[Any], _mode: Mode) -> str | None:
    """The old state or the new one, never a part of it; the new one if it was acknowledged."""
    try:
        found = _key_file(folder).read()
    except KeyFileError as error:
        return str(error)
    if found[0].id != (folder / "id").read_text():
        return "the old key is gone"
    if any(KeyRecord.model_validate(each) not in found for each in acknowledged):
        return "an acknowledged change is lost"
    has_successor = [each.name for each in found] == [GRANT.name] * 2
    return "a rotation is half done" if has_successor != (found[0].expires is not None) else None


def _write_audit(folder: Path, acknowledge: Callable[[object], None]) -> None:
    """Append pairs of lines, over several files, as a service that goes on after each failure."""
    log: AuditLog | None = None
    for number in range(0, N_REQUESTS, 2):
        try:
            log = log or AuditLog(folder / "audit", max_file_bytes=SMALL_FILE)
            log.append([("request", {"n": number}), ("request", {"n": number + 1})])
        except (OSError, AuditFolderError):
            continue
        acknowledge(number)
        acknowledge(number + 1)
    if log is not None:
        log.close()


def _check_audit(folder: Path, acknowledged: list[Any], mode: Mode) -> str | None:
    """All that was confirmed is in a whole chain, and nothing else but a pair that was written when it was killed."""
    for n_goes_on in range(2):
        found, reader = _numbers(folder / "audit")
        extra = [number for number in found if number not in acknowledged]
        if reader.faults:
            return str(reader.faults[0])
        if [number for number in found if number in acknowledged] != acknowledged:
            return "a confirmed line is lost"
        if len(extra) > (2 if mode.startswith("killed") else 0):
            return f"lines {extra} were not confirmed"
        if n_goes_on == 0:
            AuditLog(folder / "audit").close()  # as the next service does
    return None


def _numbers(folder: Path) -> tuple[list[int], ChainReader]:
    folder.mkdir(exist_ok=True)
    reader = ChainReader(folder)
    return [int(str(line.fields["n"])) for line in reader if line.fields["event"] == "request"], reader


def _prepare_settings(folder: Path) -> None:
    (folder / "visavis.toml").write_text('port = 8123\nlog_level = "debug"\n')


def _read_settings(folder: Path, acknowledge: Callable[[object], None]) -> None:
    try:
        settings = load_settings(str(folder / "visavis.toml"))
    except SettingsError:
        return
    acknowledge([settings.port, settings.log_level])


def _check_settings(_folder: Path, acknowledged: list[Any], _mode: Mode) -> str | None:
    return None if acknowledged in ([], [[8123, "debug"]]) else f"the settings {acknowledged} were used"


SCENARIOS: dict[str, tuple[Callable[[Path], None], Act, Check]] = {
    "keys create": (_prepare_keys, _change_keys(lambda file, _: file.create(OTHER)), _check_keys),
    "keys revoke": (_prepare_keys, _change_keys(lambda file, key: file.revoke(key)), _check_keys),
    "keys rotate": (
        _prepare_keys,
        _change_keys(lambda file, key: file.rotate(key, timedelta(hours=1))),
        _check_keys,
    ),
    "audit": (void, _write_audit, _check_audit),
    "settings": (_prepare_settings, _read_settings, _check_settings),
}


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Run each scenario in each mode with each call disturbed once."""
    for scenario, (prepare, act, check) in SCENARIOS.items():
        place = _new(folder / scenario.replace(" ", "-"), prepare)
        acknowledged, n_calls = disturbed(act, place, 0, "undisturbed")
        problem = (
            check(place, acknowledged, "undisturbed") if acknowledged else "nothing is acknowledged without a fault"
        )
        yield Outcome(scenario, "undisturbed", 0, len(acknowledged), problem)
        for mode in get_args(Mode)[1:]:
            for n_call in range(1, n_calls + 1):
                place = _new(folder / f"{scenario}-{mode}-{n_call}".replace(" ", "-"), prepare)
                acknowledged, _ = disturbed(act, place, n_call, mode)
                yield Outcome(scenario, mode, n_call, len(acknowledged), check(place, acknowledged, mode))


def _new(folder: Path, prepare: Callable[[Path], None]) -> Path:
    folder.mkdir()
    prepare(folder)
    return folder
