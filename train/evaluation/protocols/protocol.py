"""What every kind of evaluation data becomes: photos with their identities, and the comparisons to make of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder import FaceChoice, VisavisError

Indices = NDArray[np.int32]  # positions among a protocol's photos


class ProtocolError(VisavisError):
    """Evaluation data that cannot be used as they are; the message says which line or folder, and what it should be."""

    code = "protocol_error"


@dataclass(frozen=True, slots=True)
class LabeledPhoto:
    """One image file, and whom it shows."""

    path: Path
    name: str  # the path as the protocol gives it, to be shown to the user whose photo it is
    identity: str
    degradation: str | None = None  # what is done to it before it is embedded, as train.degradations names it


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """Comparisons that a protocol lists, as positions among its photos."""

    probe: Indices  # (n,)
    reference: Indices  # (n,)
    same: NDArray[np.bool_]  # (n,) does it show one person?
    fold: NDArray[np.int32] | None  # (n,) which part each is in, where there are folds


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """Photos, and what to compare."""

    name: str
    photos: tuple[LabeledPhoto, ...]  # each file once, in the order of its name
    pairs: PairList | None  # None: all against all
    face: FaceChoice  # which face of a photo is meant, unless the user says otherwise

    @property
    def n_identities(self) -> int:
        """How many people the photos show."""
        return len({photo.identity for photo in self.photos})

    @property
    def identities(self) -> NDArray[np.int32]:
        """The identity of each photo, as a number: (n,), counted from 0 in the order of the identities' names."""
        return identity_numbers([photo.identity for photo in self.photos])


def identity_numbers(names: Sequence[str]) -> NDArray[np.int32]:
    """Names as numbers from 0 in the names' order: (n,)."""
    if not names:
        return np.empty(0, np.int32)
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int32)
