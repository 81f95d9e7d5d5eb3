"""THIRD_PARTY.md and requirements-service.txt agree with the files, with constraints.txt and with pyproject.toml."""

import hashlib
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
HASH = re.compile(r" --hash=sha256:[0-9a-f]{64}")
OF_OTHERS = ("embedder/**/*.onnx", "embedder/**/*.safetensors", "examples/faces/*.jpg", "service/web/docs/swagger*.*s*")


def rows(n_cells: int) -> list[list[str]]:
    """The rows of tables with so many cells, without heads and rules."""
    lines = (PROJECT / "THIRD_PARTY.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if len(row) == n_cells and row[0] not in ("file", "package")]


def pins() -> dict[str, str]:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}


def locked() -> dict[str, Requirement]:
    text = (PROJECT / "requirements-service.txt").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(HASH.search(line) for line in lines)
    needs = [Requirement(HASH.sub("", line).strip()) for line in lines]
    return {canonicalize_name(need.name): need for need in needs}


def test_every_package_of_the_constraints_has_a_row_with_its_version_and_a_licence() -> None:
    told = {canonicalize_name(name): (version, name_of_license) for name, version, _, name_of_license, _ in rows(5)
            if "/" not in name}  # fmt: skip
    assert {name: version for name, (version, _) in told.items()} == pins()
    assert all(name_of_license for _, name_of_license in told.values())


def test_every_file_of_others_has_a_row_with_its_digest() -> None:
    told = {row[0]: row[4] for row in rows(5) if "/" in row[0]}
    files = {path for pattern in OF_OTHERS for path in PROJECT.glob(pattern) if path.suffix in (
        ".onnx", ".safetensors", ".jpg", ".js", ".css")}  # fmt: skip
    assert told == {str(path.relative_to(PROJECT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_container_installs_the_pinned_version_of_all_that_the_service_needs_by_hash() -> None:
    with (PROJECT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    needs = {
        canonicalize_name(Requirement(line).name)
        for line in (*project["dependencies"], *extras["service"], *extras["gallery"], *extras["heif"])
        if not line.startswith("visavis[")
    }
    assert needs <= set(locked())
    here = {name: need for name, need in locked().items() if need.marker is None or need.marker.evaluate()}
    assert {name: str(need.specifier).removeprefix("==") for name, need in here.items()}.items() <= pins().items()
