"""Write the report of an evaluation, or of a check of labels, to a folder."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile

from embedder import VisavisError, replace_file

from ..groups import GroupReport
from ..model_comparison import ModelComparison
from ..results import Evaluation, LabelReport
from .det import det, det_against, identification
from .group_plots import forest, matrix
from .page import ChipSource, Content, LabelChips, labels_page, page
from .plot import Plot
from .score_plots import distances, reliability


class ReportError(VisavisError):
    """The report cannot be written to a folder; the message says why."""

    code = "report_error"


def write_report(
    folder: Path,
    found: Evaluation,
    chips: ChipSource,
    command: str,
    *,
    versus: ModelComparison | None = None,
    groups: GroupReport | None = None,
) -> Path:
    """Write the self-contained `report.html` and its pictures as PNG files; return the page's path.

    The page contains face images and is readable only by its owner. The same evaluation gives the same bytes. Raises
    ReportError, and the errors of `chips`.
    """
    pictures = tuple(_pictures(found, versus, groups))
    text = page(Content(found, command, versus, groups, pictures, chips))
    target = folder / "report.html"
    require_folder(folder)
    try:
        for picture in pictures:
            replace_file(folder / f"{picture.name}.png", picture.png)
        replace_file(target, text.encode("utf-8", "backslashreplace"))  # a file name may not be valid UTF-8
    except OSError as error:
        raise _refusal(folder, error) from error
    return target


LABELS_FILE, LABELS_PAGE = "labels.csv", "labels.html"
LABELS_COLUMNS = (
    "rank", "kind", "name_1", "image_1", "name_2", "image_2", "distance", "evidence", "certainty", "advice"
)  # fmt: skip


def write_labels(folder: Path, report: LabelReport, chips: LabelChips) -> None:
    """Write labels.csv, with a row for each photo in doubt, and labels.html, which shows the surest findings.

    Both files are readable only by their owner. Raises ReportError, and the errors of `chips`.
    """
    text = labels_page(report, chips)
    require_folder(folder)
    try:
        replace_file(folder / LABELS_FILE, _labels_csv(report))
        replace_file(folder / LABELS_PAGE, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise _refusal(folder, error) from error


def _labels_csv(report: LabelReport) -> bytes:
    """Return the findings as CSV; names keep their bytes."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LABELS_COLUMNS)
    for rank, found in enumerate(report.findings, start=1):
        figures = f"{found.evidence:.2f}", f"{found.certainty:.4f}", found.advice
        for pair in found.pairs:
            photos = (pair.doubtful.identity, pair.doubtful.name, pair.other.identity, pair.other.name)
            writer.writerow((rank, found.kind, *photos, f"{pair.distance:.4f}", *figures))
    return text.getvalue().encode("utf-8", "surrogateescape")


def require_folder(folder: Path) -> None:
    """Create the folder. Raises ReportError if it cannot be created or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refusal(folder, error) from error


def _refusal(folder: Path, error: OSError) -> ReportError:
    return ReportError(f"the report cannot be written to {folder}: {error.strerror}; give another folder")


def _pictures(found: Evaluation, versus: ModelComparison | None, groups: GroupReport | None) -> Iterator[Plot]:
    drawn = [
        det(found),
        None if versus is None else det_against(versus),
        None if found.identification is None else identification(found.identification),
    ]
    yield from filter(None, drawn)
    yield distances(found)
    if found.evidence is not None:
        yield reliability(found.evidence)
    if groups is not None:
        yield forest(groups)
        yield matrix(groups)
