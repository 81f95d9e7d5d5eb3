"""`visavis serve --check` tells everything that is wrong at once, and serves nothing."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from embedder import BUILT_IN, copy_bundle, read_bundle
from service.startup_check import Finding, check

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from visavis.cli.serve import serve; serve()", "--check"]


def _wrong(findings: list[Finding]) -> dict[str, str]:
    return {each.subject: each.text for each in findings if each.is_wrong}


def test_with_the_defaults_nothing_is_wrong_and_the_model_is_named() -> None:
    findings = check(port=0)
    assert _wrong(findings) == {}
    assert findings[0].subject == "settings"
    assert any("sface-128, digest " in each.text for each in findings)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_PROT", "8000")
    file = tmp_path / "visavis.toml"
    file.write_text('max_waiting = "many"\nmemory_bytes = 1000000000000000')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        findings = check(str(file), port=taken.getsockname()[1], model=str(tmp_path))
    assert {"settings", "port", "memory", "model"} <= _wrong(findings).keys()
    assert len([each for each in findings if each.subject == "settings"]) == 2


@pytest.mark.parametrize("file", ["weights.safetensors", "network.onnx"])
def test_a_broken_bundle_is_told(file: str, tmp_path: Path) -> None:
    bundle = shutil.copytree(BUILT_IN, tmp_path / "bundle")
    (bundle / file).write_bytes(b"nothing")
    assert "cannot be served" in _wrong(check(port=0, model=str(bundle)))["model"]


def test_access_and_tls_are_checked(tmp_path: Path) -> None:
    findings = check(port=0, host="0.0.0.0", tls_certificate=str(tmp_path / "none.pem"))  # noqa: S104 - it is refused
    wrong = _wrong(findings)
    assert [each.is_wrong for each in findings if each.subject == "access"] == [True]
    assert "without keys" in wrong["access"]
    assert "needed together" in wrong["tls"]
    assert "VISAVIS_KEYS" in _wrong(check(port=0, keys=str(tmp_path / "none.json")))["access"]


def test_a_pipe_in_place_of_a_certificate_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    wrong = _wrong(check(port=0, tls_certificate=str(tmp_path / "pipe"), tls_key=str(tmp_path / "pipe")))
    assert "not a regular file" in wrong["tls"]


def test_a_card_that_is_not_built_in_is_told(tmp_path: Path) -> None:
    card = read_bundle().card.model_copy(update={"summary": "Another summary."})
    copy_bundle(None, tmp_path / "bundle", card)
    told = [each.text for each in check(port=0, model=str(tmp_path / "bundle"))]
    assert f"sface-128 is not built in; card digest {card.card_digest}" in told


def test_one_port_for_two_things_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert "both" in _wrong(check(port=port, metrics_port=port))["port"]


@pytest.mark.parametrize(("arguments", "status"), [(["--port", "0"], 0), (["--port", "0", "--model", "vgg"], 1)])
def test_the_command_exits_with_the_outcome(arguments: list[str], status: int) -> None:
    ran = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert ran.returncode == status, json.dumps([ran.stdout, ran.stderr])
    assert "nothing was served" in ran.stdout
    assert ("wrong  model" in ran.stdout) == (status == 1)
