"""Names of people and photos: when two mean the same, and how one is shown on a terminal."""

import re
import unicodedata

_SEPARATORS = re.compile(r"[\s_\-]+")


def same_name(identity: str) -> str:
    """Return what all ways of writing a name share: Ann_Lee, ann-lee and "Ann  Lee" are one person."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", identity).casefold()).strip()


def shown(name: str) -> str:
    """Return a name fit for print: bytes that are no UTF-8, and control characters, as escapes."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
