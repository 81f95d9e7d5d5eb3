"""The client alone: what importing it brings in, and what it shows."""

import json
import subprocess
import sys

import service.client

HEAVY = (
    "torch",
    "torchvision",
    "fastapi",
    "starlette",
    "uvicorn",
    "embedder",
    "train",
    "safetensors",
    "numpy",
    "PIL",
    "anyio._backends",
)


def modules_after(statement: str) -> set[str]:
    """What a fresh interpreter holds after one statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def test_importing_the_client_imports_no_torch_no_numpy_no_server_and_no_embedder() -> None:
    modules = modules_after("from service.client import FaceClient, AsyncFaceClient")
    assert "httpx2" in modules
    assert {name for name in modules if name.startswith(HEAVY)} == set()


def test_the_probe_of_modules_would_see_a_heavy_one() -> None:
    assert "starlette" in modules_after("import starlette")


def test_every_name_of_the_door_is_there() -> None:
    assert sorted(service.client.__all__) == list(service.client.__all__)
    assert all(hasattr(service.client, name) for name in service.client.__all__)
