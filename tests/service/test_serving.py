"""`visavis serve` as a process: it says when it is ready, tells trouble in one line, and stops when told."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from embedder import copy_bundle, read_bundle
from service.serving import _listening

COMMAND = [sys.executable, "-c", "from visavis.cli.serve import serve; serve()"]
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


@contextmanager
def _serving(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service on a free port; gives the process and its address, once it says that it is ready."""
    env = {**os.environ, **environment}
    command = [*COMMAND, "--port", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    try:
        assert process.stderr is not None
        assert "loading" in process.stderr.readline()
        ready = process.stderr.readline()
        found = re.search(r"visavis is ready on (http://\S+) \(API: (\S+)\)", ready)
        assert found, ready
        assert found[2] == f"{found[1]}/docs"
        yield process, found[1]
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def _refused(*arguments: str, **environment: str) -> str:
    """Start in vain; gives what was said."""
    ended = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr


def test_it_answers_as_soon_as_it_says_so_and_stops_in_order_on_sigterm(examples: Path) -> None:
    photos = {"probe": "001-neutral", "reference": "001-smiling"}
    files = {part: (examples / f"{name}.jpg").read_bytes() for part, name in photos.items()}
    with _serving() as (process, url):
        assert httpx2.get(f"{url}/readyz").json() == {"status": "ready"}
        assert httpx2.post(f"{url}/v1/verify", files=files, timeout=PATIENCE_S).json()["same"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        said = process.stderr.read() if process.stderr else ""
    assert re.search(r"POST /v1/verify 200 \d+ ms", said)
    assert said.rstrip().endswith("visavis has stopped.")
    assert "Traceback" not in said


def test_it_stops_in_order_on_ctrl_c() -> None:
    with _serving("--host", "localhost") as (process, url):
        assert url.startswith("http://localhost:")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert "Traceback" not in (process.stderr.read() if process.stderr else "")


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = _refused("--port", str(taken.getsockname()[1]))
    assert "another program uses this port" in said
    assert "--port" in said


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--model", "dlib-resnet29-128"), {}), ((), {"VISAVIS_MODEL": "dlib-resnet29-128"})],
)
def test_a_built_in_model_is_served_by_its_name(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    with _serving(*arguments, **environment) as (_, url):
        assert httpx2.get(f"{url}/v1/model").json()["name"] == "dlib-resnet29-128"


def test_a_model_that_is_not_built_in_is_told_at_the_start_with_its_card_digest(tmp_path: Path) -> None:
    card = read_bundle().card.model_copy(update={"summary": "Another summary."})
    copy_bundle(None, tmp_path / "bundle", card)
    command = [*COMMAND, "--port", "0", "--model", str(tmp_path / "bundle")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stderr is not None
            lines = [process.stderr.readline() for _ in range(3)]
        finally:
            process.kill()
    assert lines[1] == f"model: sface-128 (not built in), card digest {card.card_digest}\n"
    assert "ready" in lines[2]


def test_an_unknown_model_is_told_with_the_names_of_the_built_in_ones() -> None:
    said = _refused("--port", "0", VISAVIS_MODEL="vgg")
    assert "the built-in ones are sface-128 and dlib-resnet29-128" in said


def test_a_bad_bundle_is_told(tmp_path: Path) -> None:
    assert "the model cannot be served" in _refused("--port", "0", "--model", str(tmp_path))


def test_an_answer_does_not_wait_for_its_beginning_to_be_acknowledged() -> None:
    with _listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_host_that_is_none_is_told() -> None:
    assert "check --host" in _refused("--port", "0", "--host", "no host")


def test_a_misspelt_variable_is_told() -> None:
    assert "VISAVIS_PROT (did you mean VISAVIS_PORT?)" in _refused(VISAVIS_PROT="8000")


@pytest.mark.parametrize("module", ["torch", "fastapi", "uvicorn", "pydantic_settings"])
def test_its_help_needs_nothing_heavy(module: str) -> None:
    program = f"import sys, visavis.cli.serve; print({module!r} in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.strip() == "False"
