"""`visavis audit`: exit statuses, anchors kept elsewhere, and counts by key and day."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.audit.log import AuditLog
from visavis.cli.main import main

START = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", *arguments])


def _decision(key: str | None, *, same: bool) -> tuple[str, dict[str, object]]:
    return "request", {"key": key, "status": 200, "decided": {"same": (same,)}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of two keys."""
    now = START
    log = AuditLog(tmp_path / "audit", now=lambda: now)
    log.append([_decision("k1", same=True), _decision("k1", same=False), _decision("k2", same=True)])
    now += timedelta(days=1)
    log.append([_decision("k1", same=True), ("request", {"status": 400, "problem": {"code": "malformed_request"}})])
    log.append([("refusals", {"counts": [{"key": None, "code": "unauthorized", "n": 1234}]})])
    log.close()
    return tmp_path / "audit"


def test_a_whole_log_is_told_with_its_anchor(folder: Path) -> None:
    verified = _run("verify", str(folder))
    assert verified.exit_code == 0
    anchor = _run("anchor", str(folder)).output.strip()
    assert verified.stdout == f"9 lines in 2 files are whole; anchor {anchor}\n"


def test_a_changed_line_is_told_with_its_place(folder: Path) -> None:
    path = folder / "audit-000001.jsonl"
    path.write_text(path.read_text().replace('"k2"', '"k1"'))
    verified = _run("verify", str(folder))
    assert verified.exit_code == 1
    assert verified.stdout.startswith("audit-000001.jsonl line 4: the line was changed")
    assert _run("anchor", str(folder)).exit_code == 1


def test_a_cut_end_shows_by_an_anchor_given_as_text_or_in_a_file(folder: Path, tmp_path: Path) -> None:
    anchor = _run("anchor", str(folder)).stdout
    (tmp_path / "anchors").write_text(f"{anchor}\n")
    last = max(folder.glob("audit-*"))
    last.write_text("".join(last.read_text().splitlines(keepends=True)[:-2]))
    assert _run("verify", str(folder)).exit_code == 0
    for given in (anchor.strip(), str(tmp_path / "anchors")):
        verified = _run("verify", str(folder), "--anchor", given)
        assert (verified.exit_code, "cut off" in verified.stdout) == (1, True)


@pytest.mark.parametrize("given", ["no-such-file", "7:abc", "/dev/zero", "pipe"])
def test_an_anchor_that_is_none_is_told_in_one_line(given: str, folder: Path, tmp_path: Path) -> None:
    if given == "pipe":
        os.mkfifo(tmp_path / given)
        given = str(tmp_path / given)
    verified = _run("verify", str(folder), "--anchor", given)
    assert (verified.exit_code, verified.output.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["verify", "anchor", "summary"])
def test_a_folder_without_a_log_is_told_in_one_line(command: str, tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "missing"):
        told = _run(command, str(given))
        assert (told.exit_code, told.stderr.splitlines()[-1][:9]) == (2, "visavis: ")


def test_the_summary_counts_by_day_and_key(folder: Path) -> None:
    days = json.loads(_run("summary", str(folder), "--json").stdout)["days"]
    assert [list(day.values()) for day in days] == [
        ["2026-11-28", "k1", 2, 1, 1, 0, 0],
        ["2026-11-28", "k2", 1, 1, 0, 0, 0],
        ["2026-11-29", None, 1, 0, 0, 1, 1234],
        ["2026-11-29", "k1", 1, 1, 0, 0, 0],
    ]
    table = _run("summary", str(folder)).stdout.splitlines()
    assert len(table) == 5
    assert table[3].split() == ["2026-11-29", "(no", "key)", "1", "0", "0", "1", "1,234"]


def test_the_summary_of_a_changed_log_says_so(folder: Path) -> None:
    path = folder / "audit-000001.jsonl"
    path.write_text(path.read_text().replace('"k2"', '"\\u001b[31m"'))
    summary = _run("summary", str(folder))
    assert summary.exit_code == 1
    assert "the log is not whole" in summary.stderr
    assert "\x1b" not in summary.output


def test_the_summary_leaves_out_counts_that_are_absurd(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.append([("refusals", {"counts": [{"key": "k1", "n": n} for n in (10**4_299, -1, True, 5)]})])
    log.close()
    assert [day["refused"] for day in json.loads(_run("summary", str(tmp_path), "--json").stdout)["days"]] == [5]
