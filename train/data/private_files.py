"""How the training room writes what shows faces: for its owner alone, whole or not at all."""

from embedder import PrivateFiles

from ..errors import DataError

_FILES = PrivateFiles(DataError)
write_private, sole_use = _FILES.write, _FILES.sole_use
