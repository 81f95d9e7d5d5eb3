"""Reading photos that may be broken, too large or gone: none of them stops the work on the others."""

from dataclasses import dataclass

from embedder import ImageTooLarge, image_file, sha256_of

from ..evaluation.cores import one_core_threads
from ..evaluation.protocols.protocol import LabeledPhoto
from .cores import on_every_core
from .progress import Telling

NOT_READ = "file_unreadable"  # the code of a file that the disk does not give


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """A photo that gave no chip, and why."""

    name: str
    code: str  # of an error, as in no_face; or of a reason to leave it out, as in duplicate
    words: str
    other: str | None = None  # the photo that it doubles


@dataclass(frozen=True, slots=True)
class DigestedPhoto:
    """A photo that can be read."""

    photo: LabeledPhoto
    digest: str  # of the file's bytes: "sha256:..."


def digests_of(photos: tuple[LabeledPhoto, ...], telling: Telling) -> list[DigestedPhoto | SkippedPhoto]:
    """Read every photo once, on every core."""
    with one_core_threads() as pool, telling("reading", len(photos)) as advance:
        return list(on_every_core(_known, photos, pool, advance))


def read_photo(photo: LabeledPhoto) -> bytes | SkippedPhoto:
    """Return a file's bytes."""
    try:
        return image_file(photo.path)
    except ImageTooLarge as error:
        return SkippedPhoto(photo.name, error.code, str(error))
    except OSError as error:
        return SkippedPhoto(photo.name, NOT_READ, f"the file cannot be read: {error.strerror or error}")
    except ValueError as error:  # a name that no file can have
        return SkippedPhoto(photo.name, NOT_READ, f"the file cannot be read: {error}")


def _known(photo: LabeledPhoto) -> DigestedPhoto | SkippedPhoto:
    data = read_photo(photo)
    return data if isinstance(data, SkippedPhoto) else DigestedPhoto(photo, sha256_of(data))
