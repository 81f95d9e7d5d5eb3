"""Chips that `visavis prepare` made, to be read in any order; some stay decoded."""

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

BATCH = 16  # chips that a thread decodes at a time


class Shards:
    """The shards of a folder, each opened when it is first asked for. Pickled, they travel by their folder alone."""

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
    """n chips with what is known of them. Safe to use from several threads, and may be pickled."""

    folder: Path
    alignment: Alignment  # of the chips
    detector: DetectorFacts  # that found their faces
    face: FaceChoice  # which face of a photo was meant
    digest: str  # of identities and images: "sha256:..."
    names: tuple[str, ...]  # (n,) the photos' paths in `source`
    identities: tuple[str, ...]  # (n,)
    image_digests: tuple[str, ...]  # (n,) of the photos' files: "sha256:..."
    measures: NDArray[np.float32]  # (n, 8) in the order of MEASURES
    source: Path  # the folder the photos came from, be it still there or not
    starts: NDArray[np.int64] = field(repr=False)  # (shards,) position of each shard's first chip
    shards: Shards = field(repr=False)

    @property
    def n_identities(self) -> int:
        """How many people the chips show."""
        return len(set(self.identities))

    @property
    def chip_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a chip."""
        side = self.alignment.chip_size_px
        return side, side, 3

    def chips(self, indices: ArrayLike) -> Chips:
        """Decode chips by their positions, (k,): uint8 (k, side, side, 3). Raises DataError where one is damaged."""
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
        """The photo that a chip was cut from, where it lay then."""
        name = self.names[position]
        return LabeledPhoto(self.source / name, name, self.identities[position])

    def _fill(self, chips: Chips, positions: NDArray[np.int64], part: slice) -> None:
        numbers = np.searchsorted(self.starts, positions[part], side="right") - 1
        for chip, number, position in zip(chips[part], numbers.tolist(), positions[part].tolist(), strict=True):
            chip[:] = self.shards[number].chip(position - int(self.starts[number]))


def is_prepared(folder: Path) -> bool:
    """Is it a folder that `visavis prepare` made, or began?"""
    return (folder / FILE).is_file()


def open_prepared(folder: Path) -> PreparedData:
    """Open a folder of chips. Raises DataError where it is none, unfinished or damaged."""
    description = read_description(folder)
    if description is None:
        raise DataError(
            f"{folder}: was not made by visavis prepare; run: visavis prepare DIR --out DATA, and give DATA"
        )
    if description.totals is None:
        raise DataError(f"{folder}: is not finished; run visavis prepare again as before: it goes on where it stopped")
    shards = Shards(folder)
    facts = [shards[number].facts for number in range(len(description.totals.shards))]
    _require_unchanged(folder, facts, description.totals)
    return _joined(folder, description, description.totals, facts, shards)


def chips_digest(facts: Iterable[ChipRecords]) -> str:
    """Digest of who is on which image, wherever the files lie and in whatever order: "sha256:..."."""
    each = list(facts)
    named = chain.from_iterable(zip(one.names, one.identities, strict=True) for one in each)
    photos = tuple(LabeledPhoto(Path(), name, identity) for name, identity in named)
    return data_digest(Protocol("", photos, None, "largest"), [image for one in each for image in one.image_digests])


def _require_unchanged(folder: Path, facts: list[ChipRecords], totals: DatasetTotals) -> None:
    for number, (one, digest) in enumerate(zip(facts, totals.shards, strict=True)):
        if one.digest != digest:
            raise damaged(shard_path(folder, number), "it is not as it was written")


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


ROOM_BYTES = 2 * 2**30  # for 31,800 chips of 150 px; whoever has more decodes the rest anew each time


class KeptChips:
    """Some of the chips of prepared data, each kept once it was asked for. To be used from one thread at a time."""

    def __init__(self, data: PreparedData, positions: Indices, room_bytes: int = ROOM_BYTES) -> None:
        """Of the data's chips at these positions, (n,), the first that fit into so many bytes are kept."""
        self._data, self._positions = data, positions
        room = min(len(positions), room_bytes // int(np.prod(data.chip_shape)))
        self._kept = np.empty((room, *data.chip_shape), np.uint8)  # the system gives memory as it is written to
        self._is_kept = np.zeros(len(positions), bool)

    def __call__(self, numbers: ArrayLike) -> Chips:
        """Return chips by their numbers among the positions, (k,): uint8 (k, side, side, 3). Raises DataError."""
        asked = np.asarray(numbers, np.int32)
        is_known = self._is_kept[asked]
        chips = np.empty((len(asked), *self._data.chip_shape), np.uint8)
        chips[is_known] = self._kept[asked[is_known]]
        if not is_known.all():
            chips[~is_known] = self._decoded(asked[~is_known])
        return chips

    def _decoded(self, numbers: Indices) -> Chips:
        chips = self._data.chips(self._positions[numbers])
        fits = numbers < len(self._kept)
        self._kept[numbers[fits]] = chips[fits]
        self._is_kept[numbers[fits]] = True
        return chips
