"""The report of an evaluation: one page with its pictures, written to a folder. Draws and tells; measures nothing."""

from .page import ChipSource
from .write import ReportError, require_folder, write_report

__all__ = ["ChipSource", "ReportError", "require_folder", "write_report"]
