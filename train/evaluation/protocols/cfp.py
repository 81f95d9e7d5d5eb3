"""Celebrities in Frontal-Profile: frontal against frontal photos (cfp-ff), or against profile photos (cfp-fp).

Source: Sengupta et al., "Frontal to Profile Face Verification in the Wild", 2016. `Protocol/Pair_list_F.txt` and
`Pair_list_P.txt` number the photos; `Protocol/Split/FF/01/same.txt` and similar files list pairs of numbers.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from .protocol import LabeledPair, LabeledPhoto, Protocol, ProtocolError, is_number, pair_protocol, read_lines

CfpKind = Literal["cfp-ff", "cfp-fp"]
N_FOLDS = 10
N_PARTS = 3  # parts of a photo's path that are used: identity/frontal/01.jpg

Numbered = Mapping[int, LabeledPhoto]


def read_cfp(kind: CfpKind, folder: Path) -> Protocol:
    """Read the protocol from the folder that contains CFP's `Data` and `Protocol`. Raises ProtocolError."""
    for part in ("Data", "Protocol"):
        if not (folder / part).is_dir():
            raise ProtocolError(
                f"there is no {part} in {folder}; give the folder that contains CFP's Data and Protocol"
            )
    probes = _numbered(folder, "Pair_list_F.txt")
    references = probes if kind == "cfp-ff" else _numbered(folder, "Pair_list_P.txt")
    split = folder / "Protocol" / "Split" / ("FF" if kind == "cfp-ff" else "FP")
    pairs = [
        pair
        for fold in range(N_FOLDS)
        for file, same in (("same.txt", True), ("diff.txt", False))
        for pair in _pairs(split / f"{fold + 1:02d}" / file, (probes, references), same=same, fold=fold)
    ]
    return pair_protocol(kind, folder, pairs, "largest")


def _numbered(folder: Path, file: str) -> Numbered:
    path = folder / "Protocol" / file
    numbered: dict[int, LabeledPhoto] = {}
    for k, line in enumerate(read_lines(path), start=1):
        number, _, name = line.strip().partition(" ")
        if not is_number(number) or len(name.split("/")) < N_PARTS:
            raise ProtocolError(
                f"{path}, line {k}: should be a number and a path, as in "
                f"'1 ../Data/Images/001/frontal/01.jpg', not {line[:80]!r}"
            )
        numbered[int(number)] = _photo(folder, name.strip())
    return numbered


def _photo(folder: Path, name: str) -> LabeledPhoto:
    """Build the photo of a `name` relative to the folder of the list."""
    path = Path(os.path.normpath(folder / "Protocol" / name))
    return LabeledPhoto(path, os.path.relpath(path, os.path.normpath(folder)), path.parts[-N_PARTS])


def _pairs(path: Path, sides: tuple[Numbered, Numbered], *, same: bool, fold: int) -> Iterator[LabeledPair]:
    for k, line in enumerate(read_lines(path), start=1):
        numbers = [part.strip() for part in line.split(",")]
        if len(numbers) != len(sides) or not all(
            is_number(number) and int(number) in side for number, side in zip(numbers, sides, strict=True)
        ):
            raise ProtocolError(
                f"{path}, line {k}: should be the numbers of two photos that are listed, as in '1,2', not {line[:80]!r}"
            )
        probe, reference = (side[int(number)] for number, side in zip(numbers, sides, strict=True))
        yield LabeledPair(probe, reference, same, fold)
