"""Progress on stderr: a bar on a terminal, one line elsewhere, and stdout kept clean."""

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORK = """
from train.evaluation.progress import progress_line
with progress_line(2000) as advance:
    for _ in range(20):
        advance(100)
"""


def test_where_stderr_is_no_terminal_there_is_one_line_and_stdout_stays_clean() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, check=True, cwd=ROOT, text=True)
    assert done.stdout == ""
    assert done.stderr == "embedding 2,000 photos\n"


def test_on_a_terminal_there_is_a_bar_that_ends_full() -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", WORK], stderr=theirs, check=True, cwd=ROOT, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "embedding 2,000 photos" in shown
    assert "100%" in shown
    assert "\n" not in shown.rstrip("\r\n\x1b[?25h")
