"""Reading photos that may be broken, too large or gone: none of them stops the work on the others."""

from dataclasses import dataclass

from embedder import ImageTooLarge, image_file, sha256_of

from ..evaluation.cores import one_core_threads
from ..evaluation.protocols.protocol import Photo
from .cores import on_every_core
from .progress import Telling

NOT_READ = "file_unreadable"  # the code of a file that the disk does not give


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that gave no chip, and why."""

    name: str
    code: str  # of an error, as in no_face; or of a reason to leave it out, as in duplicate
    words: str
    other: str | None = None  # the photo that it doubles


@dataclass(frozen=True, slots=True)
class Known:
    """A photo that can be read."""

    photo: Photo
    digest: str  # of the file's bytes: "sha256:..."


def digests_of(photos: tuple[Photo, ...], telling: Telling) -> list[Known | Skipped]:
    """Read every photo once, on every core."""
    with one_core_threads() as pool, telling("reading", len(photos)) as advance:
        return list(on_every_core(_known, photos, pool, advance))


def read_photo(photo: Photo) -> bytes | Skipped:
    """Return a file's bytes."""
    try:
        return image_file(photo.path)
    except ImageTooLarge as error:
        return Skipped(photo.name, error.code, str(error))
    except OSError as error:
        return Skipped(photo.name, NOT_READ, f"the file cannot be read: {error.strerror or error}")
    except ValueError as error:  # a name that no file can have
        return Skipped(photo.name, NOT_READ, f"the file cannot be read: {error}")


def _known(photo: Photo) -> Known | Skipped:
    data = read_photo(photo)
    return data if isinstance(data, Skipped) else Known(photo, sha256_of(data))
