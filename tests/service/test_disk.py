"""No upload touches the disk: whatever is sent, no file is opened for writing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from untraced import untraced_environment

WATCHED = Path(__file__).with_name("watched_uploads.py")


@pytest.fixture(scope="module")
def opened(examples: Path) -> dict[str, list[object]]:
    """Status and opened files of each kind of request with images of 5 MiB."""
    command = [sys.executable, str(WATCHED), str(examples / "001-neutral.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=untraced_environment())
    assert done.returncode == 0, done.stderr
    seen: dict[str, list[object]] = json.loads(done.stdout)
    return seen


def test_a_large_form_opens_no_file_for_writing(opened: dict[str, list[object]]) -> None:
    assert opened["_form"] == [200, []]


def test_large_json_opens_no_file_for_writing(opened: dict[str, list[object]]) -> None:
    assert opened["_json"] == [200, []]


def test_many_large_images_open_no_file_for_writing(opened: dict[str, list[object]]) -> None:
    assert opened["_many"] == [200, []]


def test_the_watch_sees_a_part_that_is_spooled_to_disk(opened: dict[str, list[object]]) -> None:
    status, files = opened["_spooled"]
    assert (status, files == []) == (200, False)
