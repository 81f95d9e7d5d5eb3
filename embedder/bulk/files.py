"""How a bulk run writes, and what stops it: files for their owner alone, written whole or not at all."""

from ..errors import VisavisError
from ..private_files import PrivateFiles


class BulkError(VisavisError):
    """A bulk run cannot begin or go on; the message says what to do. A photo at fault is none: it is listed."""

    code = "bulk_error"


FILES = PrivateFiles(BulkError)
