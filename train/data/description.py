"""`data.json`: the description of a folder of chips, written before the first chip and completed after the last."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from embedder import Alignment, DetectorFacts, FaceChoice, PrivateFiles, read_regular_file

from ..errors import DataError

_FILES = PrivateFiles(DataError)
write_private, sole_use = _FILES.write, _FILES.sole_use


FILE = "data.json"
FORMAT = 3
MAX_BYTES = 2**24  # of the description; 100 bytes a shard
BEGUN, FINISHED = "begun", "finished"
LIBRARIES = ("visavis", "numpy", "openvino", "pillow", "torch")  # that affect how faces are found and cut


@dataclass(frozen=True, slots=True)
class DatasetTotals:
    """The totals of a finished folder."""

    digest: str  # of identities and images: "sha256:..."
    n_chips: int
    n_identities: int
    shards: tuple[str, ...]  # the digest of each shard's facts


@dataclass(frozen=True, slots=True)
class DatasetDescription:
    """The sources, settings and totals of a folder of chips."""

    source: str  # folder that the photos' names are relative to
    face: FaceChoice
    alignment: Alignment
    detector: DetectorFacts
    n_photos: int  # to find faces in
    photos: str  # digest of their names, identities and contents
    versions: dict[str, str]
    totals: DatasetTotals | None = None  # None: not finished


def versions() -> dict[str, str]:
    """Return the version of each library that affects chips."""
    return {name: version(name) for name in LIBRARIES}


def write_description(folder: Path, description: DatasetDescription) -> None:
    """Write the description. Raises DataError."""
    totals = description.totals
    facts = {
        "format": FORMAT,
        "state": BEGUN if totals is None else FINISHED,
        "source": description.source,
        "face": description.face,
        "alignment": description.alignment.model_dump(mode="json"),
        "detector": description.detector.model_dump(mode="json"),
        "n_photos": description.n_photos,
        "photos": description.photos,
        "versions": description.versions,
        "totals": None if totals is None else asdict(totals),
    }
    write_private(folder / FILE, (json.dumps(facts, indent=2) + "\n").encode())


def read_description(folder: Path) -> DatasetDescription | None:
    """Read the description; None if there is none. Raises DataError."""
    path = folder / FILE
    try:
        return _parse(json.loads(read_regular_file(path, MAX_BYTES)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: was not written by this version of visavis prepare; prepare the photos again in another folder"
        ) from error


def differences(before: DatasetDescription, now: DatasetDescription) -> Iterator[str]:
    """Describe the differences between a folder's description and the current request."""
    if before.source != now.source:
        yield f"the photos' folder was {before.source}, is {now.source}"
    if before.face != now.face:
        yield f"--face was {before.face}, is {now.face}"
    if before.alignment != now.alignment:
        yield "--model was one with another alignment"
    if before.detector != now.detector:
        yield f"faces were found by {before.detector.name}, now by {now.detector.name}"
    if before.photos != now.photos:
        yield (
            f"other photos ({before.n_photos:,} were to be prepared, now {now.n_photos:,}), "
            "by their names, identities or contents, or by --exclude"
        )
    if before.totals is None:  # a finished folder does not depend on current versions
        yield from _other_versions(before.versions, now.versions)


def _other_versions(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name, number in now.items():
        if before.get(name) != number:
            yield f"{name} was {before.get(name)}, is {number}"


def _parse(facts: dict[str, Any]) -> DatasetDescription:
    if facts["format"] != FORMAT or facts["state"] != (BEGUN if facts["totals"] is None else FINISHED):
        raise ValueError("another format")
    totals = facts["totals"]
    return DatasetDescription(
        source=facts["source"],
        face=facts["face"],
        alignment=Alignment.model_validate(facts["alignment"], strict=False),
        detector=DetectorFacts.model_validate(facts["detector"], strict=False),
        n_photos=facts["n_photos"],
        photos=facts["photos"],
        versions=facts["versions"],
        totals=None if totals is None else DatasetTotals(**{**totals, "shards": tuple(totals["shards"])}),
    )
