"""The faces that an atlas is made of: embedded, measured and kept small, in memory only."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...cores import n_cores
from ...encoded import jpeg
from ...errors import SampleError
from ...image import image_file
from ...pipeline import FaceEmbedder
from ...types import Chip, Chips, Pixels, Vectors
from .people import AtlasError, AtlasPhoto
from .traits import traits_of

BATCH = 32
N_KEPT = 48  # chips kept whole, of as many people as there are, for what covering them does
SMALL_PX, SMALL_QUALITY = 96, 80  # of the JPEGs that the page shows
FEWEST_FACES, FEWEST_PEOPLE = 30, 10  # for an interval to mean something

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class AtlasFaces:
    """n faces, and what was measured of them."""

    vectors: Vectors  # (n, 128)
    traits: NDArray[np.float64]  # (n, traits)
    people: NDArray[np.intp]  # (n,): whose each is
    names: tuple[str, ...]  # of the photos, below the folder
    small: tuple[bytes, ...]  # JPEG
    kept: Chips  # (k, side, side, 3)
    mean: Pixels  # (side, side, 3): of all of them, which shows nobody
    failed: Counter[str]  # photos that have no usable face, by the error's code


def collect_faces(photos: Sequence[AtlasPhoto], folder: Path, embedder: FaceEmbedder, advance: Advance) -> AtlasFaces:
    """Find and embed a face in each photo. Raises AtlasError where too few have one."""
    collected = _Collected(embedder)
    with ThreadPoolExecutor(n_cores()) as workers:
        for start in range(0, len(photos), BATCH):
            some = photos[start : start + BATCH]
            outcomes = list(workers.map(lambda photo: _chip(photo, folder, embedder), some))
            collected.add(list(zip(some, outcomes, strict=True)))
            advance(len(some))
    return collected.faces()


def _chip(photo: AtlasPhoto, folder: Path, embedder: FaceEmbedder) -> Chip | str:
    """The face, or the code of the error instead of it."""
    try:
        return embedder.chip(image_file(folder / photo.name))
    except SampleError as error:
        return error.code
    except OSError:
        return "not_readable"


class _Collected:
    """What has come so far."""

    def __init__(self, embedder: FaceEmbedder) -> None:
        self._embedder = embedder
        side = embedder.card.alignment.chip_size_px
        self._vectors: list[Vectors] = []
        self._traits: list[NDArray[np.float64]] = []
        self._photos: list[AtlasPhoto] = []
        self._small: list[bytes] = []
        self._kept: dict[int, Pixels] = {}
        self._sum = np.zeros((side, side, 3))
        self._failed: Counter[str] = Counter()

    def add(self, outcomes: list[tuple[AtlasPhoto, Chip | str]]) -> None:
        """Take in a batch."""
        self._failed.update(outcome for _, outcome in outcomes if isinstance(outcome, str))
        found = [(photo, chip) for photo, chip in outcomes if isinstance(chip, Chip)]
        if not found:
            return
        self._vectors.append(self._embedder.embed_faces(np.stack([chip.pixels for _, chip in found])))
        for photo, chip in found:
            self._photos.append(photo)
            self._traits.append(traits_of(chip, self._embedder.card.alignment))
            self._small.append(_small(chip.pixels))
            self._sum += chip.pixels
            if len(self._kept) < N_KEPT:
                self._kept.setdefault(photo.person, chip.pixels)

    def faces(self) -> AtlasFaces:
        """All of it."""
        people = np.array([photo.person for photo in self._photos], np.intp)
        if len(people) < FEWEST_FACES or len(set(people.tolist())) < FEWEST_PEOPLE:
            raise AtlasError(
                f"an atlas takes {FEWEST_FACES} faces of {FEWEST_PEOPLE} people or more; "
                f"found were {len(people)} of {len(set(people.tolist()))}"
            )
        return AtlasFaces(
            np.concatenate(self._vectors),
            np.stack(self._traits),
            people,
            tuple(photo.name for photo in self._photos),
            tuple(self._small),
            np.stack(list(self._kept.values())),
            np.rint(self._sum / len(people)).astype(np.uint8),
            self._failed,
        )


def _small(pixels: Pixels) -> bytes:
    return jpeg(Image.fromarray(pixels).resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS), SMALL_QUALITY)
