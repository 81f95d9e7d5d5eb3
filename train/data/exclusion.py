"""People and photos that must not be learnt from, because a model is measured on them."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..evaluation.protocols.folders import read_identities
from .names import same_name, shown
from .prepared import is_prepared, open_prepared
from .progress import Telling
from .reading import SkippedPhoto, digests_of


@dataclass(frozen=True, slots=True)
class ExcludedSet:
    """An evaluation set."""

    name: str  # its folder's
    people: dict[str, str]  # by what all ways of writing a name share: the name there
    images: dict[str, str]  # by the digest of the file's bytes: the photo's name there


def read_excluded(folder: Path, telling: Telling) -> ExcludedSet:
    """Read a folder with one folder per person, or one that `visavis prepare` made. Raises DataError, ProtocolError."""
    if is_prepared(folder):
        data = open_prepared(folder)
        return _excluded(folder, data.identities, dict(zip(data.image_digests, data.names, strict=True)))
    photos = read_identities(folder).photos
    images: dict[str, str] = {}
    for photo, found in zip(photos, digests_of(photos, telling), strict=True):
        if isinstance(found, SkippedPhoto):
            raise DataError(
                f"--exclude {folder}: {shown(photo.name)}: {found.words}; learning from that photo could go unseen, "
                "so mend or remove it first"
            )
        images.setdefault(found.digest, photo.name)
    return _excluded(folder, tuple(photo.identity for photo in photos), images)


def _excluded(folder: Path, identities: tuple[str, ...], images: dict[str, str]) -> ExcludedSet:
    return ExcludedSet(folder.resolve().name, {same_name(name): name for name in identities}, images)
