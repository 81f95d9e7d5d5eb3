"""What can be checked of the Dockerfile without Docker, beside hadolint in `make check`: what it copies."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def copied() -> set[str]:
    """What the Dockerfile copies from the build context."""
    lines = (PROJECT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return {name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]}


def test_the_image_gets_every_package_of_the_wheel() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= copied()


def test_the_dockerignore_lets_in_only_what_is_copied() -> None:
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied()
