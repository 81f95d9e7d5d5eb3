"""From comparisons as a list gives them, photo by photo, to a `Protocol`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedder import FaceChoice

from .files import require_present
from .protocol import LabeledPhoto, PairList, Protocol, ProtocolError


@dataclass(frozen=True, slots=True)
class LabeledPair:
    """One comparison."""

    probe: LabeledPhoto
    reference: LabeledPhoto
    same: bool  # does it show one person?
    fold: int | None = None


def pair_protocol(name: str, folder: Path, pairs: Sequence[LabeledPair], face: FaceChoice) -> Protocol:
    """Number the photos of listed comparisons in the order of their names; all must be there, below `folder`."""
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
