"""The audit log on disk: its chain, what verification finds, and what happens when a write fails."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.audit.chain import (
    GENESIS,
    MAX_LINE_BYTES,
    Anchor,
    AuditFolderError,
    ChainReader,
    read_anchors,
    verify_chain,
)
from service.audit.log import AuditLog, check_audit_folder

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SMALL_FILE = 2_000  # bytes; some six lines


def _append(log: AuditLog, *numbers: int) -> None:
    log.append([("request", {"key": "k1", "n": number}) for number in numbers])


def _numbers(folder: Path) -> list[int]:
    """The numbers of all requests in a log that must be whole."""
    reader = ChainReader(folder)
    found = [line.fields["n"] for line in reader if line.fields["event"] == "request"]
    assert reader.faults == []
    return [number for number in found if isinstance(number, int)]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A log of 20 requests in several files."""
    log = AuditLog(tmp_path / "audit", max_file_bytes=SMALL_FILE)
    for number in range(20):
        _append(log, number)
    log.close()
    return tmp_path / "audit"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("audit-*.jsonl"))


def test_each_line_has_the_hash_of_itself_and_of_the_line_before(whole: Path) -> None:
    lines = [line for file in _files(whole) for line in file.read_text().splitlines()]
    previous = "0" * 64
    for number, line in enumerate(lines, start=1):
        record = json.loads(line)
        without_hash = line.replace(f',"hash":"{record["hash"]}"', "")
        assert record["hash"] == hashlib.sha256(without_hash.encode()).hexdigest()
        assert (record["seq"], record["previous"]) == (number, previous)
        previous = record["hash"]
    assert verify_chain(whole).last == Anchor(len(lines), previous)


def test_a_file_is_for_its_owner_alone_and_old_ones_are_not_written_again(whole: Path) -> None:
    assert [file.stat().st_mode & 0o777 for file in _files(whole)] == [0o600] * len(_files(whole))
    before = {file: file.read_bytes() for file in _files(whole)}
    log = AuditLog(whole)
    _append(log, 20)
    log.close()
    assert {file: file.read_bytes() for file in before} == before
    assert _numbers(whole) == list(range(21))


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    now = NOON
    log = AuditLog(tmp_path, now=lambda: now)
    _append(log, 1)
    now += timedelta(days=1)
    _append(log, 2)
    log.close()
    assert [len(file.read_text().splitlines()) for file in _files(tmp_path)] == [2, 3]
    assert _numbers(tmp_path) == [1, 2]


def _edit(folder: Path, file: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = _files(folder)[file]
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b'"k1"', b'"k2"'), *lines[3:]], "line 3: the line was changed"),
        (lambda lines: [*lines[:2], *lines[3:]], r"line 3: lines \d+ to \d+ of the log are missing before it"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "line 4: .* out of order"),
        (lambda lines: [*lines[:3], *lines[2:]], "line 4: .* or twice"),
        (lambda lines: lines[:-1], r"audit-000003.jsonl line 1: lines \d+ to \d+ of the log are missing"),
        (lambda lines: [*lines[:2], b"{}\n", *lines[2:]], "line 3: the line was changed"),
        (lambda lines: [*lines[:2], b"\n", *lines[2:]], "line 3: "),
        (lambda lines: [*lines[:2], b"x" * 3 * MAX_LINE_BYTES + b"\n", *lines[3:]], "line 3: the line is over"),
        (lambda lines: [*lines[:-1], lines[-1][:50]], r"line \d: the line is incomplete"),
        (lambda _: [], "audit-000003.jsonl line 1: lines"),
    ],
    ids=["changed", "removed", "swapped", "twice", "end of a file", "added", "blank", "huge", "torn", "emptied"],
)
def test_verification_finds_it_and_says_where(
    change: Callable[[list[bytes]], list[bytes]], message: str, whole: Path
) -> None:
    assert verify_chain(whole).n_faults == 0
    _edit(whole, 1, change)
    assert re.search(message, "\n".join(map(str, verify_chain(whole).faults)))


def _resealed(line: bytes, old: bytes, new: bytes) -> bytes:
    """A line that was changed by someone who knows how to compute its hash."""
    body = line[: line.rindex(b',"hash"')].replace(old, new) + b"}"
    return body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def test_a_change_with_a_right_hash_shows_at_the_next_line(whole: Path) -> None:
    _edit(whole, 1, lambda lines: [*lines[:2], _resealed(lines[2], b'"k1"', b'"k2"'), *lines[3:]])
    faults = verify_chain(whole).faults
    assert [fault.line for fault in faults] == [4]
    assert "was changed or replaced" in faults[0].message


def test_what_is_cut_off_or_replaced_at_the_end_shows_by_an_anchor(whole: Path) -> None:
    anchor = verify_chain(whole).last
    _edit(whole, -1, lambda lines: lines[:-1])
    assert verify_chain(whole).faults == []
    assert "without --anchor" in verify_chain(whole).notes[0]
    assert "cut off" in verify_chain(whole, [anchor]).faults[0].message
    AuditLog(whole).close()  # the service goes on, and the log is as long as before
    assert "another one than the anchor says" in verify_chain(whole, [anchor]).faults[0].message


def test_a_removed_file_shows_and_the_oldest_may_be_kept_elsewhere_with_an_anchor(whole: Path) -> None:
    first = _files(whole)[0]
    last = json.loads(first.read_text().splitlines()[-1])
    first.unlink()
    assert "lines 1 to" in verify_chain(whole).faults[0].message
    assert verify_chain(whole, [Anchor(last["seq"], last["hash"])]).faults == []
    assert verify_chain(whole, [Anchor(last["seq"], "0" * 64)]).n_faults == 1


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_not_a_file_is_told_and_not_read(kind: str, whole: Path) -> None:
    path = _files(whole)[1]
    kept = path.rename(path.with_name("elsewhere"))
    make = {"pipe": os.mkfifo, "link": lambda path: path.symlink_to(kept), "folder": Path.mkdir}
    make[kind](path)
    assert any("audit-000002.jsonl" in str(fault) for fault in verify_chain(whole).faults)
    if kind != "folder":
        with pytest.raises(AuditFolderError, match="audit-000002"):
            AuditLog(_with_last_file(path))


def _with_last_file(path: Path) -> Path:
    for later in _files(path.parent)[2:]:
        later.unlink()
    return path.parent


def test_anchors_that_contradict_each_other_are_told(whole: Path) -> None:
    anchor = verify_chain(whole).last
    with pytest.raises(AuditFolderError, match=f"two anchors of line {anchor.seq} differ"):
        verify_chain(whole, [anchor, Anchor(anchor.seq, "0" * 64)])
    assert verify_chain(whole, [anchor, anchor]).faults == []


def test_text_that_is_no_anchor_is_refused() -> None:
    assert read_anchors(f"\n{GENESIS}\n") == [GENESIS]
    for text in ("abc", "1:abc", f"-1:{'0' * 64}"):
        with pytest.raises(AuditFolderError, match="line 1 of the anchors"):
            read_anchors(text)


def test_a_torn_last_line_is_noted_and_the_log_goes_on_from_the_line_before(
    whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _edit(whole, -1, lambda lines: [*lines[:-1], lines[-1][:40]])
    assert verify_chain(whole).notes[0].endswith("ends with 40 bytes of a line that is not complete")
    log = AuditLog(whole)
    assert "40 bytes of a line that was never completed" in caplog.text
    _append(log, 20)
    log.close()
    reader = verify_chain(whole)
    assert reader.faults == []
    assert any("last 40 bytes were never confirmed" in note for note in reader.notes)
    opening = json.loads(_files(whole)[-1].read_text().splitlines()[0])
    assert opening["abandoned"]["file"] == _files(whole)[-2].name


def test_a_kill_while_a_file_is_begun_leaves_nothing_behind(whole: Path) -> None:
    (whole / f"audit-{len(_files(whole)) + 1:06}.jsonl").write_bytes(b'{"seq":')
    log = AuditLog(whole)
    _append(log, 20)
    log.close()
    assert _numbers(whole) == list(range(21))


def test_a_log_whose_last_line_is_damaged_is_not_continued(whole: Path) -> None:
    _edit(whole, -1, lambda lines: [*lines[:-1], b"{}\n"])
    with pytest.raises(AuditFolderError, match="its last complete line is damaged"):
        AuditLog(whole)


def test_a_folder_is_checked_before_a_start_and_left_as_it_is(whole: Path, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in whole.iterdir()}
    check_audit_folder(whole)
    check_audit_folder(tmp_path / "new" / "audit")
    assert {file: file.read_bytes() for file in whole.iterdir()} == before
    assert not (tmp_path / "new").exists()
    with pytest.raises(AuditFolderError, match="is not a folder"):
        check_audit_folder(_files(whole)[0])
    _edit(whole, -1, lambda lines: [*lines[:-1], b"{}\n"])
    with pytest.raises(AuditFolderError, match="damaged"):
        check_audit_folder(whole)


def test_a_second_process_cannot_write_the_same_folder(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    program = f"from pathlib import Path; from service.audit.log import AuditLog; AuditLog(Path({str(tmp_path)!r}))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "another process writes this audit log" in ran.stderr
    log.close()


def test_a_closed_log_takes_no_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.close()
    with pytest.raises(OSError, match="closed"):
        _append(log, 1)


@contextmanager
def _failing(fails_at: int, *, leaves_half: bool) -> Iterator[list[str]]:
    """Let one of the calls that write a log fail; a failing write may leave half of its bytes. Gives the calls."""
    calls = list[str]()

    def watched(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*given: Any) -> object:
            calls.append(name)
            if len(calls) == fails_at:
                if name == "write" and leaves_half:
                    real(given[0], given[1][: len(given[1]) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*given)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "ftruncate", "write", "fsync", "close"):
            patch.setattr(os, name, watched(name, getattr(os, name)))
        yield calls


def _scenario(folder: Path) -> tuple[list[int], list[int]]:
    """Write 12 requests in pairs, over several files; give those that were confirmed, and those that failed."""
    confirmed, failed = list[int](), list[int]()
    try:
        log = AuditLog(folder, max_file_bytes=SMALL_FILE)
    except AuditFolderError:
        log = AuditLog(folder, max_file_bytes=SMALL_FILE)
    for number in range(0, 12, 2):
        try:
            _append(log, number, number + 1)
            confirmed += [number, number + 1]
        except OSError:
            failed += [number, number + 1]
    log.close()
    return confirmed, failed


@pytest.mark.parametrize("leaves_half", [False, True])
def test_whichever_call_fails_all_that_was_confirmed_is_in_a_whole_chain(tmp_path: Path, *, leaves_half: bool) -> None:
    with _failing(0, leaves_half=False) as calls:
        _scenario(tmp_path / "counted")
    assert len(calls) > 20
    n_failed = 0
    for fails_at in range(1, len(calls) + 1):
        folder = tmp_path / str(fails_at)
        with _failing(fails_at, leaves_half=leaves_half):
            confirmed, failed = _scenario(folder)
        n_failed += len(failed)
        assert sorted(confirmed + failed) == list(range(12))
        assert _numbers(folder) == confirmed, f"call {fails_at} failed"
        log = AuditLog(folder)
        _append(log, 99)
        log.close()
        assert _numbers(folder) == [*confirmed, 99]
    assert n_failed > 10


def test_nothing_is_confirmed_while_the_file_or_the_folder_is_another_one(tmp_path: Path) -> None:
    folder, away = tmp_path / "audit", tmp_path / "away"
    log = AuditLog(folder)
    _append(log, 1)
    folder.rename(away)
    for make_other in (lambda: None, folder.mkdir, lambda: folder.symlink_to(tmp_path)):
        make_other()
        for _ in range(2):  # the file that is open, and the attempt to begin another
            with pytest.raises(OSError, match=r"No such file|replaced"):
                _append(log, 9)
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            assert _files(folder) == []
            folder.rmdir()
    away.rename(folder)
    _append(log, 2)
    assert _numbers(folder) == [1, 2]
    _files(folder)[-1].unlink()
    with pytest.raises(OSError, match="No such file"):
        _append(log, 3)
    _append(log, 4)
    log.close()
    assert "of the log are missing before it" in str(verify_chain(folder).faults[0])


@pytest.mark.parametrize("seq", ["9" * 4_300, "-1", "0", "1e9"])
def test_a_sealed_line_with_an_absurd_number_is_a_fault_and_is_not_continued(seq: str, tmp_path: Path) -> None:
    body = f'{{"seq":{seq},"time":"","event":"request","previous":"{GENESIS.hash}"}}'.encode()
    seal = f',"hash":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    (tmp_path / "audit-000001.jsonl").write_bytes(body[:-1] + seal)
    assert "no number" in str(verify_chain(tmp_path).faults[0])
    with pytest.raises(AuditFolderError, match="its last complete line is damaged"):
        AuditLog(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_confirms_nothing_and_the_log_goes_on_when_there_is_space(small_disk: Path) -> None:
    log, confirmed = AuditLog(small_disk / "audit"), 0
    with suppress(OSError):
        while True:
            _append(log, confirmed)
            confirmed += 1
    assert 100 < confirmed < 1_000
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            _append(log, 9_999)
    assert _numbers(small_disk / "audit") == list(range(confirmed))
    subprocess.run(["mount", "-o", "remount,size=256k", str(small_disk)], check=True)
    _append(log, confirmed)
    log.close()
    assert _numbers(small_disk / "audit") == list(range(confirmed + 1))
