"""Why a bulk run cannot begin or go on. A photo at fault is none of these: it is listed."""

from ..errors import VisavisError


class BulkError(VisavisError):
    """A bulk run cannot begin or go on; the message says what to do."""

    code = "bulk_error"
