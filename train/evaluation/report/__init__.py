"""The report of an evaluation: one page with its pictures, written to a folder. Draws and tells; measures nothing."""

from .page import ChipSource
from .write import ReportError, write_report

__all__ = ["ChipSource", "ReportError", "write_report"]
