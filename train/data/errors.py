"""What can be wrong with the photos to learn from, or with what was prepared of them."""

from embedder import VisavisError


class DataError(VisavisError):
    """Photos or prepared data that cannot be used; the message says which, and what to do."""

    code = "data_error"
