"""`visavis serve` as a process: it says when it is ready, tells trouble in one line, and stops when told."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from live_service import until
from serving_process import COMMAND, PATIENCE_S, ROOT, connected, received, serving

from embedder import copy_bundle, read_bundle
from service.access.keys import KeyFile, KeyGrant
from service.serving import listening

N_CONNECTIONS = 8


def _refused(*arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> str:
    """Start in vain; gives what was said."""
    ended = subprocess.run(
        [*prefix, *COMMAND, *arguments],
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
    with serving() as (process, url):
        assert httpx2.get(f"{url}/readyz").json() == {"status": "ready"}
        assert httpx2.post(f"{url}/v1/verify", files=files, timeout=PATIENCE_S).json()["same"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        said = process.stderr.read() if process.stderr else ""
    assert re.search(r"POST /v1/verify 200 \d+ ms", said)
    assert said.rstrip().endswith("visavis has stopped.")
    assert "Traceback" not in said


def test_it_stops_in_order_on_ctrl_c() -> None:
    with serving("--host", "localhost") as (process, url):
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
    with serving(*arguments, **environment) as (_, url):
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


def test_a_reload_that_is_asked_for_while_it_starts_does_not_end_it() -> None:
    with subprocess.Popen([*COMMAND, "--port", "0"], stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stderr is not None
            assert "loading" in process.stderr.readline()
            process.send_signal(signal.SIGHUP)
            assert "ready" in process.stderr.readline()
        finally:
            process.kill()


def test_an_unknown_model_is_told_with_the_names_of_the_built_in_ones() -> None:
    said = _refused("--port", "0", VISAVIS_MODEL="vgg")
    assert "the built-in ones are sface-128 and dlib-resnet29-128" in said


def test_a_bad_bundle_is_told(tmp_path: Path) -> None:
    assert "the model cannot be served" in _refused("--port", "0", "--model", str(tmp_path))


def test_too_little_memory_is_told_in_one_line() -> None:
    said = _refused("--port", "0", prefix=("sh", "-c", 'ulimit -v 400000; exec "$@"', "sh"))
    assert "the memory is too small" in said
    assert said.count("\n") == 2  # that it loads its model, and why it does not


@pytest.mark.parametrize("name", ["card.json", "weights.safetensors", "network.onnx"])
def test_a_damaged_file_of_a_bundle_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    bundle = shutil.copytree(ROOT / "embedder" / "weights" / "sface-128", tmp_path / "bundle")
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[: len(content) // 2])
    said = _refused("--port", "0", "--model", str(bundle))
    assert "the model cannot be served" in said
    assert said.count("\n") == 2


def test_it_serves_from_a_folder_that_it_may_not_write(tmp_path: Path, examples: Path) -> None:
    bundle = shutil.copytree(ROOT / "embedder" / "weights" / "sface-128", tmp_path / "bundle")
    for path in (*bundle.iterdir(), bundle):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = sorted(path.name for path in bundle.iterdir())
    files = {part: (examples / "001-neutral.jpg").read_bytes() for part in ("probe", "reference")}
    with serving("--model", str(bundle)) as (_, url):
        assert httpx2.post(f"{url}/v1/verify", files=files, timeout=PATIENCE_S).json()["same"]
    assert sorted(path.name for path in bundle.iterdir()) == before
    bundle.chmod(0o700)


def test_a_limit_of_file_descriptors_that_is_too_low_is_told() -> None:
    said = _refused("--port", "0", prefix=("sh", "-c", 'ulimit -n 300; exec "$@"', "sh"))
    assert "VISAVIS_MAX_CONNECTIONS=512 needs 768 file descriptors, and this process may have 300" in said
    assert said.count("\n") == 1


def test_no_process_of_it_can_dump_its_memory() -> None:
    with serving(prefix=("sh", "-c", 'ulimit -c "$(ulimit -H -c)"; exec "$@"', "sh")) as (process, _):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        pids = [str(process.pid), *children]
        limits = [Path(f"/proc/{pid}/limits").read_text() for pid in pids]
    found = [re.findall(r"^Max core file size +(\S+) +(\S+)", each, re.MULTILINE) for each in limits]
    assert {number for ((soft, hard),) in found for number in (soft, hard)} <= {"0", "1"}


def test_an_answer_does_not_wait_for_its_beginning_to_be_acknowledged() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
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


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - refused
def test_without_keys_it_listens_on_this_machine_only(host: str) -> None:
    said = _refused("--port", "0", "--host", host)
    assert "visavis keys create" in said
    assert "--insecure" in said


def test_insecure_is_told_loudly_and_serves_all_addresses() -> None:
    command = [*COMMAND, "--port", "0", "--host", "0.0.0.0"]  # noqa: S104 - closed within a second
    env = {**os.environ, "VISAVIS_INSECURE": "true"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env) as process:
        assert process.stderr is not None
        assert "WARNING: everyone" in process.stderr.readline()
        process.kill()


def _a_key(tmp_path: Path) -> tuple[str, Path]:
    file = KeyFile(tmp_path / "keys.json")
    return file.create(KeyGrant("app", ("verify",))).text, file.path


def test_with_keys_it_serves_all_addresses_and_logs_no_key(tmp_path: Path) -> None:
    key, path = _a_key(tmp_path)
    with serving("--host", "0.0.0.0", "--keys", str(path), VISAVIS_LOG_LEVEL="debug") as (process, url):  # noqa: S104
        here = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - not an address to bind
        statuses = [
            httpx2.get(f"{here}/v1/model", headers=headers).status_code
            for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"Bearer {key[:-1]}"}, {})
        ]
        statuses += [httpx2.get(f"{here}/{where}{key}").status_code for where in ("v1/model?key=", "", "%00")]
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        said = process.stderr.read() if process.stderr else ""
    assert statuses == [200, 401, 401, 401, 401, 401]
    assert "(no route) 401" in said
    assert key.split("_")[2] not in said


@pytest.mark.parametrize("damage", [b"{", None])
def test_keys_that_cannot_be_used_are_told(damage: bytes | None, tmp_path: Path) -> None:
    _, path = _a_key(tmp_path)
    path.unlink() if damage is None else path.write_bytes(damage)
    assert "VISAVIS_KEYS: the file of keys" in _refused("--port", "0", "--keys", str(path))


def test_it_speaks_tls_of_version_1_2_and_above(certificate: dict[str, str]) -> None:
    files = ("--tls-certificate", certificate["certificate"], "--tls-key", certificate["key"])
    context = ssl.create_default_context(cafile=certificate["certificate"])
    with serving("--host", "localhost", *files) as (_, url):
        assert url.startswith("https://localhost:")
        answer = httpx2.get(f"{url}/healthz", verify=context)
        assert answer.json() == {"status": "ok"}
        assert "strict-transport-security" not in answer.headers
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(certificate["certificate"])
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/healthz", verify=old)


def _is_cut(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _is_healthy(port: int) -> bool:
    """What the container's health check says of a port."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", lines, re.MULTILINE)
    assert found
    _, *arguments = (each.replace(":8000/", f":{port}/") for each in json.loads(found[1]))
    return subprocess.run([sys.executable, *arguments], check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def tls_port(certificate: dict[str, str]) -> Iterator[int]:
    """The port of a service with TLS for few connections, that waits long for each."""
    files = ("--tls-certificate", certificate["certificate"], "--tls-key", certificate["key"])
    with serving(*files, VISAVIS_MAX_CONNECTIONS=str(N_CONNECTIONS), VISAVIS_HEADER_TIMEOUT_S="300") as (_, url):
        yield int(url.rpartition(":")[2])


def test_handshakes_of_tls_count_as_connections_also_by_address(certificate: dict[str, str], tls_port: int) -> None:
    context = ssl.create_default_context(cafile=certificate["certificate"])
    other = httpx2.HTTPTransport(verify=context, local_address="127.0.0.2")
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{tls_port}"
        silent = [stack.enter_context(connected(url)) for _ in range(3 * N_CONNECTIONS)]
        until(lambda: sum(map(_is_cut, silent)) == 2 * N_CONNECTIONS)
        with httpx2.Client(transport=other) as client:
            assert client.get(url.replace("http:", "https:") + "/healthz").status_code == 200
        assert sum(map(_is_cut, silent)) == 2 * N_CONNECTIONS + 1


def test_the_health_check_of_the_container_asks_with_tls_and_without(tls_port: int) -> None:
    assert _is_healthy(tls_port)
    with serving() as (process, url):
        port = int(url.rpartition(":")[2])
        assert _is_healthy(port)
        process.kill()
        process.wait(PATIENCE_S)
        assert not _is_healthy(port)


def test_a_client_that_does_not_begin_to_speak_tls_is_cut(certificate: dict[str, str]) -> None:
    files = ("--tls-certificate", certificate["certificate"], "--tls-key", certificate["key"])
    with serving(*files, VISAVIS_HEADER_TIMEOUT_S="1") as (_, url):
        with connected(url.replace("https", "http")) as silent:
            silent.settimeout(10)
            assert received(silent) == b""
        with connected(url.replace("https", "http")) as plain:
            plain.settimeout(10)
            plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP" not in received(plain)


@pytest.mark.parametrize(
    ("used", "key"), [("certificate", "other"), ("certificate", "locked"), ("key", "key"), ("certificate", "none")]
)
def test_files_of_tls_that_do_not_fit_are_told(used: str, key: str, certificate: dict[str, str]) -> None:
    said = _refused("--port", "0", "--tls-certificate", certificate[used], "--tls-key", certificate.get(key, "none"))
    assert "VISAVIS_TLS_CERTIFICATE and VISAVIS_TLS_KEY cannot be used" in said
    assert len(said.splitlines()) == 1


def test_a_certificate_without_its_key_is_told(certificate: dict[str, str]) -> None:
    assert "needed together" in _refused("--port", "0", "--tls-certificate", certificate["certificate"])
