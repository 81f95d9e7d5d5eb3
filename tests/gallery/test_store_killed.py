"""Killed or out of space at any write: what was acknowledged is there, what was refused is not, and the store opens."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from postgres_server import new_database, running_postgres
from traced_calls import IS_POSSIBLE
from untraced import untraced_environment

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "failing_store.py"
pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="needs ptrace, on Linux and x86-64")


def _outcomes(url: str, *options: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(SCRIPT), url, *options]
    environment = untraced_environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _require_all_right(outcomes: list[dict[str, Any]]) -> None:
    """Nothing is wrong; each act was done or not by when it was killed, and was done when it was not disturbed."""
    assert [each for each in outcomes if each["problem"]] == []
    for act in ("enrol", "forget"):
        killed = [each for each in outcomes if (each["act"], each["mode"]) == (act, "killed")]
        assert not killed[0]["is_done"]  # at the first call nothing is
        assert [each["told"] for each in killed if each["told"]] == [["done"]]  # the last one, which nothing disturbs


def test_a_sqlite_store_killed_or_full_at_any_write(tmp_path: Path) -> None:
    outcomes = _outcomes(f"sqlite:///{tmp_path}/gallery.db")
    _require_all_right(outcomes)
    full = [each["told"] for each in outcomes if each["mode"] == "disk full"]
    assert full.count(["refused", "done"]) >= 20  # refused, and done when there is space again
    assert not [told for told in full if told[-1] != "done"]


def test_a_client_of_postgres_killed_at_any_message(postgres: Any) -> None:
    _require_all_right(_outcomes(new_database(postgres), "--mode", "killed"))


@pytest.mark.skipif(os.geteuid() != 0, reason="the server runs as another user, whose processes only root may trace")
def test_a_server_killed_or_full_at_any_write() -> None:
    with running_postgres() as server:  # one of its own: it falls each time
        outcomes = _outcomes(new_database(server), "--server")
    assert [each for each in outcomes if each["problem"]] == []
    assert {"killed", "disk full"} == {each["mode"] for each in outcomes if each["told"] == ["refused"]}
