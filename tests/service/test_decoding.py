"""The service decodes in processes of its own: they write no log, may be killed, and end with it."""

import os
import signal
import sys
import time
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from child_processes import children, is_running
from PIL import Image
from serving_process import PATIENCE_S, serving

if sys.platform != "linux":
    pytest.skip("elsewhere the service decodes in its own process", allow_module_level=True)


def broken_tiff(examples: Path) -> bytes:
    """A file about which libtiff complains on file descriptor 2."""
    out = BytesIO()
    Image.open(examples / "001-neutral.jpg").save(out, "TIFF", compression="tiff_adobe_deflate")
    return out.getvalue()[:8] + b"\x55" * 8 + out.getvalue()[16:]


def test_processes_that_decode_write_no_log_may_be_killed_and_end_with_the_service(examples: Path) -> None:
    face = (examples / "001-neutral.jpg").read_bytes()
    with serving() as (process, url), httpx2.Client(base_url=url, timeout=PATIENCE_S) as client:
        (server,) = children(process.pid)
        refused = client.post("/v1/faces", files={"image": broken_tiff(examples)})
        assert refused.json()["code"] == "image_unreadable"
        workers = children(server)
        assert workers
        for pid in (*workers, server):
            os.kill(pid, signal.SIGKILL)
        assert client.post("/v1/verify", files={"probe": face, "reference": face}).json()["same"]
        (server,) = children(process.pid)
        workers = children(server)
        process.kill()
        process.wait()
        end = time.monotonic() + 2
        while any(map(is_running, [server, *workers])) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(map(is_running, [server, *workers]))
        said = process.stderr.read() if process.stderr else ""
    assert [line for line in said.splitlines() if "visavis.access" not in line] == []
