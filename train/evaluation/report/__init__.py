"""The report of an evaluation: an HTML page and its pictures, from records; nothing is measured here."""

from .page import ChipSource
from .write import ReportError, require_folder, write_report

__all__ = ["ChipSource", "ReportError", "require_folder", "write_report"]
