"""`visavis embed --out`: a bulk run as a command: what it tells in the end, and how it is interrupted."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedder.bulk import BulkRequest

from .main import EXIT_INTERRUPTED, ExtraMissing, missing_module

if TYPE_CHECKING:
    from embedder.bulk import BulkSummary


def embed_into(wanted: BulkRequest, *, as_json: bool) -> None:
    """Run it, with progress on stderr and a summary on stdout."""
    try:
        from embedder.bulk import embed_folders, told_on_stderr  # noqa: PLC0415 - they need the extra "bulk"
    except ModuleNotFoundError as error:
        raise ExtraMissing(missing_module(error), "bulk") from error
    try:
        summary = embed_folders(wanted, told_on_stderr)
    except KeyboardInterrupt:
        click.echo("visavis: stopped; whole parts are kept: give the same command again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    click.echo(json.dumps(_record(summary), indent=2) if as_json else _text(summary, wanted.out))


def _record(summary: "BulkSummary") -> dict[str, object]:
    return {
        "photos": summary.n_photos,
        "rows": summary.n_rows,
        "failed": dict(summary.failed.most_common()),
        "new_photos": summary.n_new,
        "wall_s": summary.wall_s,
        "photos_s": summary.photos_s,
        "cores": summary.n_cores,
        "cpu_s": summary.cpu_s._asdict(),
        "cpu_share": summary.cpu_share,
    }


def _text(summary: "BulkSummary", out: Path) -> str:
    lines = [f"{out}: {summary.n_rows:,} embeddings of {summary.n_photos:,} photos"]
    if summary.failed:
        reasons = ", ".join(f"{code} {number:,}" for code, number in summary.failed.most_common())
        lines.append(f"{summary.failed.total():,} photos failed ({reasons}); each is in {out}/_failed-*.jsonl")
    return "\n".join([*lines, _pace(summary)])


def _pace(summary: "BulkSummary") -> str:
    if not summary.n_new:
        return "It was finished already."
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in summary.cpu_s._asdict().items())
    return (
        f"{summary.n_new:,} photos in {summary.wall_s:.1f} s, {summary.photos_s:.1f} photos/s; CPU seconds: {stages}; "
        f"{summary.cpu_share:.0%} of {summary.n_cores} cores"
    )
