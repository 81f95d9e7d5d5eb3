"""The photos behind an atlas, and their faces: embedded, measured and reduced, in memory only."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import SampleError, VisavisError
from ...image_formats import jpeg
from ...photo_files import PhotoFiles, image_file
from ...pipeline import FaceEmbedder
from ...progress import Advance
from ...runtime.runtime import n_cores
from ...types import Chip, Chips, Pixels, Vectors
from .traits import TRAITS, Trait, traits_of


class AtlasError(VisavisError):
    """An atlas cannot be made; the message says what to do."""

    code = "atlas_error"


@dataclass(frozen=True, slots=True)
class AtlasPhoto:
    """One photo, and its person's number."""

    name: str  # relative to the folder
    person: int


def chosen_photos(folder: Path, *, n_photos: int, per_person: int, seed: int) -> tuple[list[AtlasPhoto], int]:
    """Draw at most `n_photos` photos, at most `per_person` of each person, in random order by `seed`.

    A person is a subfolder of `folder`. Also return the number of other files: those that are not photos by name, and
    photos outside of a person's folder. Raises AtlasError if there are none, PhotoListError for unreadable ones.
    """
    people, n_other_files = _people(folder)
    if not people:
        raise AtlasError(
            "there are no photos in subfolders: choose a folder with a subfolder of photos for each person"
        )
    generator = np.random.default_rng(seed)
    found = [
        AtlasPhoto(name, person) for person, names in enumerate(people) for name in _some(names, per_person, generator)
    ]
    return [found[place] for place in generator.permutation(len(found))[:n_photos]], n_other_files


def _people(folder: Path) -> tuple[list[list[str]], int]:
    """The names of each person's photos, and the number of files that are none."""
    if not folder.is_dir():
        raise AtlasError("no such folder: choose a folder with a subfolder of photos for each person")
    people: dict[str, list[str]] = {}
    files, n_nobodys = PhotoFiles([folder]), 0
    for name in files:
        person, _, photo = name.partition("/")
        if photo:
            people.setdefault(person, []).append(name)
        else:
            n_nobodys += 1
    return list(people.values()), files.n_others + n_nobodys


def _some(names: list[str], n: int, generator: np.random.Generator) -> Iterator[str]:
    return (names[place] for place in generator.permutation(len(names))[:n])


BATCH = 32
N_KEPT = 48  # chips kept at full size for occlusion, one for each person
SMALL_PX, SMALL_QUALITY = 96, 80  # of the JPEGs on the page
FEWEST_FACES, FEWEST_PEOPLE = 30, 10  # for meaningful intervals


@dataclass(frozen=True, slots=True)
class PhotoFailure:
    """A photo without a usable face, and the error's code."""

    name: str  # relative to the folder
    code: str


@dataclass(frozen=True, slots=True, eq=False)
class AtlasFaces:
    """n faces with their embeddings and traits."""

    vectors: Vectors  # (n, channels)
    traits: NDArray[np.float64]  # (n, traits)
    people: NDArray[np.intp]  # (n,): number of each face's person
    names: tuple[str, ...]  # of the photos, relative to the folder
    small: tuple[bytes, ...]  # JPEG
    kept: Chips  # (k, side, side, 3)
    mean: Pixels  # (side, side, 3): the mean of all chips, in which nobody is recognisable
    failures: tuple[PhotoFailure, ...]
    n_other_files: int = 0  # in the folder; not photos by name, or outside of a person's folder

    @property
    def failed(self) -> Counter[str]:
        """The number of photos without a usable face, by the error's code."""
        return Counter(each.code for each in self.failures)


def collect_faces(photos: Sequence[AtlasPhoto], folder: Path, embedder: FaceEmbedder, advance: Advance) -> AtlasFaces:
    """Find and embed a face in each photo. Raises AtlasError if too few photos have one."""
    collected = _Collected(embedder)
    with ThreadPoolExecutor(n_cores()) as workers:
        for start in range(0, len(photos), BATCH):
            some = photos[start : start + BATCH]
            outcomes = list(workers.map(lambda photo: _chip(photo, folder, embedder), some))
            collected.add(list(zip(some, outcomes, strict=True)))
            advance(len(some))
    return collected.faces()


def _chip(photo: AtlasPhoto, folder: Path, embedder: FaceEmbedder) -> Chip | str:
    """Return the face's chip, or the code of the error."""
    try:
        return embedder.chip(image_file(folder / photo.name))
    except SampleError as error:
        return error.code
    except OSError:
        return "not_readable"


class _Collected:
    """Accumulates faces, batch by batch."""

    def __init__(self, embedder: FaceEmbedder) -> None:
        self._embedder = embedder
        side = embedder.card.alignment.chip_size_px
        self._vectors: list[Vectors] = []
        self._traits: list[NDArray[np.float64]] = []
        self._photos: list[AtlasPhoto] = []
        self._small: list[bytes] = []
        self._kept: dict[int, Pixels] = {}
        self._sum = np.zeros((side, side, 3))
        self._failures: list[PhotoFailure] = []

    def add(self, outcomes: list[tuple[AtlasPhoto, Chip | str]]) -> None:
        """Add a batch."""
        self._failures += [PhotoFailure(photo.name, code) for photo, code in outcomes if isinstance(code, str)]
        faces = [(photo, chip) for photo, chip in outcomes if isinstance(chip, Chip)]
        if not faces:
            return
        self._vectors.append(self._embedder.embed_faces(np.stack([chip.pixels for _, chip in faces])))
        for photo, chip in faces:
            self._photos.append(photo)
            self._traits.append(traits_of(chip, self._embedder.card.alignment))
            self._small.append(_small(chip.pixels))
            self._sum += chip.pixels
            if len(self._kept) < N_KEPT:
                self._kept.setdefault(photo.person, chip.pixels)

    def faces(self) -> AtlasFaces:
        """Return all faces. Raises AtlasError if there are too few."""
        people = np.array([photo.person for photo in self._photos], np.intp)
        if len(people) < FEWEST_FACES or len(set(people.tolist())) < FEWEST_PEOPLE:
            raise AtlasError(
                f"an atlas needs at least {FEWEST_FACES} faces of {FEWEST_PEOPLE} people; "
                f"found {len(people)} of {len(set(people.tolist()))}"
            )
        return AtlasFaces(
            np.concatenate(self._vectors),
            np.stack(self._traits),
            people,
            tuple(photo.name for photo in self._photos),
            tuple(self._small),
            np.stack(list(self._kept.values())),
            np.rint(self._sum / len(people)).astype(np.uint8),
            tuple(self._failures),
        )


def failed_csv(faces: AtlasFaces) -> bytes:
    """Return a CSV with one row per photo without a usable face: photo,code; names keep their bytes."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "code"])
    writer.writerows([each.name, each.code] for each in sorted(faces.failures, key=lambda each: each.name))
    return text.getvalue().encode("utf-8", "surrogateescape")


def _small(pixels: Pixels) -> bytes:
    return jpeg(Image.fromarray(pixels).resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS), SMALL_QUALITY)


KEYS = ("photo", "identity")


NAMES = frozenset(trait.name for trait in TRAITS)


def own_traits(file: Path, names: Sequence[str]) -> tuple[list[Trait], NDArray[np.float64]]:
    """Read traits from a CSV file, with values for each photo (n, traits); NaN = missing. Raises AtlasError.

    `names` are those of the photos, relative to the folder: `person/photo.jpg`; the person is the identity.
    """
    rows = _rows(file)
    columns = list(rows[0]) if rows else []
    if not columns or columns[0] not in KEYS or len(columns) == 1:
        raise AtlasError("the file of traits must start with a header: photo or identity, then a name for each trait")
    if taken := NAMES.intersection(columns):
        raise AtlasError(
            f"the file of traits has a trait named {min(taken)}, which visavis already measures; rename it"
        )
    known = {row[columns[0]]: _numbers(row, columns[1:], number) for number, row in enumerate(rows, start=2)}
    keys = [name if columns[0] == "photo" else name.partition("/")[0] for name in names]
    if not any(key in known for key in keys):
        raise AtlasError(f"the file of traits names no {columns[0]} in the folder; use the names in the folder")
    missing = np.full(len(columns) - 1, np.nan)
    return [Trait(name, name, name) for name in columns[1:]], np.stack([known.get(key, missing) for key in keys])


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise AtlasError(f"the file of traits cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AtlasError("the file of traits is not a CSV file in UTF-8; save it as one") from error


def _numbers(row: dict[str, str], columns: list[str], line: int) -> NDArray[np.float64]:
    try:
        return np.array([_number(row[name]) if row[name] else np.nan for name in columns])
    except (TypeError, ValueError) as error:
        raise AtlasError(
            f"the file of traits, line {line}: each trait must be a number, or empty if unknown"
        ) from error


def _number(text: str) -> float:
    """Parse a number. Raises ValueError if it is not a finite number."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number
