"""Commands and service connect to nothing, as a guard of the kernel sees it, and leave nothing at home."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import guarded
import httpx2
import pytest
from serving_process import serving

PROJECT = Path(__file__).parents[2]
FACES = PROJECT / "examples" / "faces"
PATIENCE_S = 120
PARTS = {"probe": "neutral", "reference": "smiling"}
ROUTES = ("/v1/verify", "/v1/verify/many", "/v1/explain")

pytestmark = pytest.mark.skipif(not guarded.IS_AVAILABLE, reason="the guard knows Linux on x86-64 only")


def under_guard(kind: str, *command: str) -> list[str]:
    return [sys.executable, guarded.__file__, kind, sys.executable, *command]


def visavis(*arguments: str) -> tuple[str, ...]:
    return "-c", "import sys; sys.argv[0] = 'visavis'; from visavis.cli.main import main; main()", *arguments


def copy_people(folder: Path) -> None:
    """A folder for each person of the example photos."""
    for photo in FACES.glob("*.jpg"):
        place = folder / photo.stem.split("-")[0] / photo.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, place)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def left_at(home: Path) -> list[str]:
    """Files in the home folder, but for Matplotlib's cache of fonts."""
    files = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
    return [str(path) for path in files if "matplotlib" not in path.parts]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


@pytest.mark.parametrize(
    ("kind", "attempt"),
    [
        ("client", "socket.socket()"),
        ("client", "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)"),
        ("server", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
        ("server", "socket.create_connection(socket.create_server(('127.0.0.1', 0)).getsockname())"),
    ],
)
def test_the_guard_ends_a_program_that_connects(kind: str, attempt: str) -> None:
    ended = subprocess.run(under_guard(kind, "-c", f"import socket; {attempt}"), check=False)
    assert ended.returncode == -signal.SIGSYS


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("verify", str(FACES / "001-neutral.jpg"), str(FACES / "005-neutral.jpg")), 1),
        (("detect", str(FACES / "001-neutral.jpg")), 0),
        (("describe",), 0),
        (("embed", str(FACES), "--out", "embedded"), 0),
        (("export", "--format", "onnx", "--out", "exported"), 0),
        (("prepare", "people", "--out", "prepared"), 0),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_a_command_connects_to_nothing(arguments: tuple[str, ...], status: int, tmp_path: Path, home: Path) -> None:
    copy_people(tmp_path / "people")
    command = under_guard("client", *visavis(*arguments))
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(home), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode >= 0, f"ended by {signal.Signals(-ended.returncode).name}"
    assert ended.returncode == status, ended.stderr
    assert left_at(home) == []


def test_the_service_connects_to_nothing(home: Path) -> None:
    with serving(prefix=(sys.executable, guarded.__file__, "server"), **environment(home)) as (process, url):
        photos = {part: (FACES / f"001-{name}.jpg").read_bytes() for part, name in PARTS.items()}
        answers = [httpx2.post(f"{url}{path}", files=photos, timeout=PATIENCE_S) for path in ROUTES]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert left_at(home) == []
