"""Prepared chips with random access; `KeptChips` keeps some decoded in memory."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embedder import Alignment, Chips, DetectorFacts, FaceChoice, n_cores

from ..errors import DataError
from ..evaluation.protocols.protocol import Indices, LabeledPhoto, Protocol, data_digest
from .description import FILE, DatasetDescription, DatasetTotals, read_description
from .shard import ChipRecords, Shard, damaged, shard_path

BATCH = 16  # chips per task of a thread


class Shards:
    """The shards of a folder, each opened on first use. A pickle contains only the folder's path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, Shard] = {}
        self._lock = Lock()

    def __getitem__(self, number: int) -> Shard:
        with self._lock:
            if number not in self._open:
                self._open[number] = Shard(shard_path(self._folder, number))
            return self._open[number]

    def __reduce__(self) -> tuple[type["Shards"], tuple[Path]]:
        return Shards, (self._folder,)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """n chips with their metadata. Thread-safe and picklable."""

    folder: Path
    alignment: Alignment  # of the chips
    detector: DetectorFacts  # that found their faces
    face: FaceChoice  # face choice
    digest: str  # of identities and images: "sha256:..."
    names: tuple[str, ...]  # (n,) the photos' paths in `source`
    identities: tuple[str, ...]  # (n,)
    image_digests: tuple[str, ...]  # (n,) of the photos' files: "sha256:..."
    measures: NDArray[np.float32]  # (n, measures) in the order of MEASURES
    source: Path  # the folder of the photos, which may no longer exist
    starts: NDArray[np.int64] = field(repr=False)  # (shards,) position of each shard's first chip
    shards: Shards = field(repr=False)

    @property
    def n_identities(self) -> int:
        """The number of people."""
        return len(set(self.identities))

    @property
    def chip_shape(self) -> tuple[int, int, int]:
        """The height, width and channels of a chip."""
        side = self.alignment.chip_size_px
        return side, side, 3

    def chips(self, indices: ArrayLike) -> Chips:
        """Decode chips by position, (k,): uint8 (k, side, side, 3). Raises DataError if one is damaged."""
        positions = np.arange(len(self.names))[np.asarray(indices, np.int64)]
        chips = np.empty((len(positions), *self.chip_shape), np.uint8)
        batches = [slice(start, start + BATCH) for start in range(0, len(positions), BATCH)]
        fill = partial(self._fill, chips, positions)
        if len(batches) <= 1:
            fill(slice(None))
            return chips
        with ThreadPoolExecutor(min(n_cores(), len(batches))) as pool:
            list(pool.map(fill, batches))
        return chips

    def photo(self, position: int) -> LabeledPhoto:
        """Return the photo of a chip, at its path when it was prepared."""
        name = self.names[position]
        return LabeledPhoto(self.source / name, name, self.identities[position])

    def _fill(self, chips: Chips, positions: NDArray[np.int64], part: slice) -> None:
        numbers = np.searchsorted(self.starts, positions[part], side="right") - 1
        for chip, number, position in zip(chips[part], numbers.tolist(), positions[part].tolist(), strict=True):
            chip[:] = self.shards[number].chip(position - int(self.starts[number]))


def is_prepared(folder: Path) -> bool:
    """Check for a folder that `visavis prepare` created, finished or not."""
    return (folder / FILE).is_file()


def open_prepared(folder: Path) -> PreparedData:
    """Open a folder of chips. Raises DataError if it is not one, unfinished or damaged."""
    description = read_description(folder)
    if description is None:
        raise DataError(
            f"{folder}: was not made by visavis prepare; run: visavis prepare DIR --out DATA, and give DATA"
        )
    if description.totals is None:
        raise DataError(f"{folder}: is not finished; run visavis prepare again with the same options to resume it")
    shards = Shards(folder)
    facts = [shards[number].facts for number in range(len(description.totals.shards))]
    _require_unchanged(folder, facts, description.totals)
    return _joined(folder, description, description.totals, facts, shards)


def chips_digest(facts: Iterable[ChipRecords]) -> str:
    """Digest identities and images, independent of the files' location and order: "sha256:..."."""
    each = list(facts)
    named = chain.from_iterable(zip(one.names, one.identities, strict=True) for one in each)
    photos = tuple(LabeledPhoto(Path(), name, identity) for name, identity in named)
    return data_digest(Protocol("", photos, None, "largest"), [image for one in each for image in one.image_digests])


def _require_unchanged(folder: Path, facts: list[ChipRecords], totals: DatasetTotals) -> None:
    for number, (one, digest) in enumerate(zip(facts, totals.shards, strict=True)):
        if one.digest != digest:
            raise damaged(shard_path(folder, number), "its content has changed")


def _joined(
    folder: Path, description: DatasetDescription, totals: DatasetTotals, facts: list[ChipRecords], shards: Shards
) -> PreparedData:
    lengths = [len(one.names) for one in facts]
    return PreparedData(
        folder=folder,
        alignment=description.alignment,
        detector=description.detector,
        face=description.face,
        digest=totals.digest,
        names=tuple(chain.from_iterable(one.names for one in facts)),
        identities=tuple(chain.from_iterable(one.identities for one in facts)),
        image_digests=tuple(chain.from_iterable(one.image_digests for one in facts)),
        measures=np.concatenate([one.measures for one in facts]),
        source=Path(description.source),
        starts=np.cumsum([0, *lengths[:-1]], dtype=np.int64),
        shards=shards,
    )


ROOM_BYTES = 2 * 2**30  # 31,800 chips of 150 px; further chips are decoded each time


class KeptChips:
    """A cache of decoded chips, filled on first use. Not thread-safe."""

    def __init__(self, data: PreparedData, positions: Indices, room_bytes: int = ROOM_BYTES) -> None:
        """Select the chips at `positions`, (n,); the first ones that fit into `room_bytes` are kept."""
        self._data, self._positions = data, positions
        room = min(len(positions), room_bytes // int(np.prod(data.chip_shape)))
        self._kept = np.empty((room, *data.chip_shape), np.uint8)  # memory is allocated by the system on first write
        self._is_kept = np.zeros(len(positions), bool)

    def __call__(self, numbers: ArrayLike) -> Chips:
        """Return chips by index into `positions`, (k,): uint8 (k, side, side, 3). Raises DataError."""
        requested = np.asarray(numbers, np.int32)
        is_known = self._is_kept[requested]
        chips = np.empty((len(requested), *self._data.chip_shape), np.uint8)
        chips[is_known] = self._kept[requested[is_known]]
        if not is_known.all():
            chips[~is_known] = self._decoded(requested[~is_known])
        return chips

    def _decoded(self, numbers: Indices) -> Chips:
        chips = self._data.chips(self._positions[numbers])
        fits = numbers < len(self._kept)
        self._kept[numbers[fits]] = chips[fits]
        self._is_kept[numbers[fits]] = True
        return chips
