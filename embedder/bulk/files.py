"""How a bulk run writes: for its owner alone, whole or not at all."""

from ..private_files import PrivateFiles
from .errors import BulkError

FILES = PrivateFiles(BulkError)
