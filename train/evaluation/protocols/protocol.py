"""The common form of evaluation data: photos with their identities, and the comparisons to make.

The digest of a protocol's data does not depend on the location of the files or on their order.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder import FaceChoice, VisavisError

Indices = NDArray[np.int32]  # positions among a protocol's photos


class ProtocolError(VisavisError):
    """Evaluation data cannot be used; the message names the line or folder, and what is expected."""

    code = "protocol_error"


@dataclass(frozen=True, slots=True)
class LabeledPhoto:
    """One image file and its identity."""

    path: Path
    name: str  # the path as in the protocol; may be shown to the user, who owns the photo
    identity: str
    degradation: str | None = None  # applied before embedding; one of train.evaluation.embedding.DEGRADATIONS


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """The listed comparisons of a protocol, as positions among its photos."""

    probe: Indices  # (n,)
    reference: Indices  # (n,)
    same: NDArray[np.bool_]  # (n,) whether both photos show one person
    fold: NDArray[np.int32] | None  # (n,) the fold of each; None without folds


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """Photos and the comparisons to make."""

    name: str
    photos: tuple[LabeledPhoto, ...]  # each file once, ordered by name
    pairs: PairList | None  # None: all against all
    face: FaceChoice  # face choice, unless the user sets another one
    n_other_files: int = 0  # in the folder; not photos by name

    @property
    def n_identities(self) -> int:
        """The number of people in the photos."""
        return len({photo.identity for photo in self.photos})

    @property
    def identities(self) -> NDArray[np.int32]:
        """The identity of each photo as a number: (n,), counted from 0 in the order of the identities' names."""
        return identity_numbers([photo.identity for photo in self.photos])


def identity_numbers(names: Sequence[str]) -> NDArray[np.int32]:
    """Number names from 0, in the order of the names: (n,)."""
    if not names:
        return np.empty(0, np.int32)
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int32)


@dataclass(frozen=True, slots=True)
class LabeledPair:
    """One comparison."""

    probe: LabeledPhoto
    reference: LabeledPhoto
    same: bool  # whether both photos show one person
    fold: int | None = None


def pair_protocol(name: str, folder: Path, pairs: Sequence[LabeledPair], face: FaceChoice) -> Protocol:
    """Build a protocol of listed comparisons. Raises ProtocolError if there are none or a photo is missing."""
    if not pairs:
        raise ProtocolError(f"{name}: lists no comparison")
    photos = sorted({photo for pair in pairs for photo in (pair.probe, pair.reference)}, key=lambda photo: photo.name)
    require_present(photos, folder)
    return Protocol(name, tuple(photos), _pair_list(photos, pairs), face)


def _pair_list(photos: Sequence[LabeledPhoto], pairs: Sequence[LabeledPair]) -> PairList:
    position = {photo: k for k, photo in enumerate(photos)}
    folds = [pair.fold for pair in pairs if pair.fold is not None]
    return PairList(
        probe=np.array([position[pair.probe] for pair in pairs], np.int32),
        reference=np.array([position[pair.reference] for pair in pairs], np.int32),
        same=np.array([pair.same for pair in pairs], np.bool_),
        fold=np.array(folds, np.int32) if folds else None,
    )


_DatedPhoto = tuple[str, str]  # identity, digest of the image


def data_digest(protocol: Protocol, image_digests: Sequence[str]) -> str:
    """Digest identities, images and listed comparisons with their folds: "sha256:..."."""
    photos = [(photo.identity, image) for photo, image in zip(protocol.photos, image_digests, strict=True)]
    facts = [sorted(photos), None if protocol.pairs is None else sorted(_pairs(protocol.pairs, photos))]
    return "sha256:" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _pairs(pairs: PairList, photos: Sequence[_DatedPhoto]) -> list[tuple[int, bool, list[_DatedPhoto]]]:
    """List the comparisons without the order of probe and reference, which does not affect the distance."""
    folds = [-1] * len(pairs.same) if pairs.fold is None else pairs.fold.tolist()
    columns = (folds, pairs.same.tolist(), pairs.probe.tolist(), pairs.reference.tolist())
    return [(fold, same, sorted((photos[i], photos[j]))) for fold, same, i, j in zip(*columns, strict=True)]


def read_text(path: Path) -> str:
    """Read a text file without changing its line ends. Raises ProtocolError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ProtocolError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path}: is not UTF-8 text (byte {error.start:,}); save it as UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file without trailing whitespace and blank lines at its end. Raises ProtocolError."""
    text = read_text(path).rstrip()
    return [line.rstrip() for line in text.split("\n")] if text else []


def is_number(text: str) -> bool:
    """Check whether a field is a non-negative integer of at most nine digits."""
    return re.fullmatch("[0-9]{1,9}", text) is not None


def require_present(photos: Sequence[LabeledPhoto], folder: Path) -> None:
    """Raise ProtocolError if photos are missing; the message names the first and gives their number."""
    missing = [photo for photo in photos if not os.path.isfile(photo.path)]  # noqa: PTH113 - Path's raises at bad names
    if missing:
        raise ProtocolError(
            f"there is no {missing[0].name} in {folder} (missing: {len(missing):,} of {len(photos):,} photos); "
            "give the folder that belongs to the list"
        )
