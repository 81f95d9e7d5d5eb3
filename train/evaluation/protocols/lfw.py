"""Comparisons in the format of Labeled Faces in the Wild: View 1 (one list) and View 2 (folds).

Source: Huang et al., "Labeled Faces in the Wild", 2007. The first line has the number of comparisons of each kind,
preceded by the number of folds if there are any. For each fold follow the genuine comparisons as `name i j`, then the
impostor ones as `name i name j`. Fields are separated by tabs, or by any whitespace if no name contains any.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedder import IMAGE_SUFFIXES

from .protocol import LabeledPair, LabeledPhoto, Protocol, ProtocolError, is_number, pair_protocol, read_lines

GENUINE, IMPOSTOR = "'name i j', one person's photos i and j", "'name i name j', photos of two persons"
IF_BLANKS = "; if the name contains blanks, separate the fields by tabs"
HEADER = "the number of comparisons of each kind, as in '500', or of folds and of each kind in a fold, as in '10 300'"


@dataclass(frozen=True, slots=True)
class _Header:
    """The numbers in the first line."""

    n_folds: int | None
    n_of_kind: int  # comparisons of each kind, in each fold

    @property
    def n_lines(self) -> int:
        """The number of lines that must follow."""
        return 2 * self.n_of_kind * (self.n_folds or 1)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the list, with its place for error messages."""

    number: int  # from 1
    text: str
    file: Path

    def splits(self) -> Iterator[list[str]]:
        """Split a line at tabs, as in the official files, so that names may contain blanks; then at all whitespace."""
        if "\t" in self.text:
            yield [field.strip() for field in self.text.split("\t")]
        yield self.text.split()

    def refusal(self, expected: str) -> ProtocolError:
        """Return an error with the expected content."""
        return ProtocolError(f"{self.file}, line {self.number}: should be {expected}; it is {self.text[:80]!r}")


def read_lfw(pairs_file: Path, images_dir: Path) -> Protocol:
    """Read comparisons of the photos `images_dir/name/name_0001.jpg` (or .png, ...). Raises ProtocolError."""
    lines = [_Line(k, text, pairs_file) for k, text in enumerate(read_lines(pairs_file), start=1)]
    header = _header(lines[0] if lines else _Line(1, "", pairs_file))
    if len(lines) - 1 != header.n_lines:
        raise ProtocolError(
            f"{pairs_file}: line 1 announces {header.n_lines:,} comparisons, half of them genuine, "
            f"but {len(lines) - 1:,} lines follow; copy the file again"
        )
    pairs = [_pair(line, header, images_dir) for line in lines[1:]]
    return pair_protocol(pairs_file.name, images_dir, pairs, "center")


def _header(line: _Line) -> _Header:
    match line.text.split():
        case [n] if is_number(n):
            return _Header(None, int(n))
        case [folds, n] if is_number(folds) and is_number(n) and int(folds) > 1:
            return _Header(int(folds), int(n))
        case _:
            raise line.refusal(HEADER)


def _pair(line: _Line, header: _Header, images_dir: Path) -> LabeledPair:
    block, within = divmod(line.number - 2, 2 * header.n_of_kind)
    same = within < header.n_of_kind
    probe, reference = _genuine(line) if same else _impostor(line)
    fold = block if header.n_folds else None
    return LabeledPair(_photo(*probe, images_dir), _photo(*reference, images_dir), same, fold)


def _genuine(line: _Line) -> tuple[tuple[str, int], tuple[str, int]]:
    for fields in line.splits():
        match fields:
            case [name, i, j] if is_number(i) and is_number(j) and int(i) != int(j):
                return (name, int(i)), (name, int(j))
    raise line.refusal(GENUINE + IF_BLANKS)


def _impostor(line: _Line) -> tuple[tuple[str, int], tuple[str, int]]:
    for fields in line.splits():
        match fields:
            case [name, i, other, j] if is_number(i) and is_number(j) and name != other:
                return (name, int(i)), (other, int(j))
    raise line.refusal(IMPOSTOR + IF_BLANKS)


def _photo(name: str, number: int, images_dir: Path) -> LabeledPhoto:
    stem = f"{name}/{name}_{number:04d}"
    names = [stem + cased for suffix in IMAGE_SUFFIXES for cased in (suffix, suffix.upper())]
    found = next((each for each in names if (images_dir / each).exists()), names[0])
    return LabeledPhoto(images_dir / found, found, name)
