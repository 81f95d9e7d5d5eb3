"""The report of an evaluation: an HTML page and its pictures, from records; nothing is measured here."""

from .page import ChipSource, LabelChips
from .write import LABELS_FILE, LABELS_PAGE, ReportError, require_folder, write_labels, write_report

__all__ = [
    "LABELS_FILE",
    "LABELS_PAGE",
    "ChipSource",
    "LabelChips",
    "ReportError",
    "require_folder",
    "write_labels",
    "write_report",
]
