"""The files that protocols speak of: lists read as text, and photos that must be there."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from .protocol import LabeledPhoto, ProtocolError


def read_text(path: Path) -> str:
    """Read a list, with its line ends as they are. Raises ProtocolError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ProtocolError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path}: is no text in UTF-8 (byte {error.start:,}); save it as UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """Read a list, line by line, without blanks at the ends of lines and of the file. Raises ProtocolError."""
    text = read_text(path).rstrip()
    return [line.rstrip() for line in text.split("\n")] if text else []


def is_number(text: str) -> bool:
    """Tell whether a field is a plain whole number."""
    return re.fullmatch("[0-9]{1,9}", text) is not None


def require_present(photos: Sequence[LabeledPhoto], folder: Path) -> None:
    """Raise ProtocolError where a photo's file is not there; it names the first and says how many are missing."""
    missing = [photo for photo in photos if not os.path.isfile(photo.path)]  # noqa: PTH113 - Path's raises at bad names
    if missing:
        raise ProtocolError(
            f"there is no {missing[0].name} in {folder} (missing: {len(missing):,} of {len(photos):,} photos); "
            "give the folder that the list was made for"
        )
