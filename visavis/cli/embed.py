"""`visavis embed`: print the embeddings of faces, or write those of many photos to Parquet files, in shards too."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from embedder import ALL_FACES, Embedding, RuntimeOptions, load, printable, show_progress
from embedder.bulk import BulkRequest

from .bulk_options import ENGINES, BulkOptions, bulk_options
from .main import EXIT_INTERRUPTED, MAX_PATH, ExtraMissing, missing_module
from .options import face_or_all_option, json_option, model_option, running_options
from .output import OutputFormat, answer_each, faces_text, other_files_text, sample_record

if TYPE_CHECKING:
    from embedder.bulk import BulkSummary, LocalFolder, MergeSummary, OutputFolder


STOPPED = "visavis: stopped; finished parts are kept: run the same command again to resume"


@contextmanager
def _resumable(extra: str) -> Iterator[None]:
    """Name the extra that is missing; after Ctrl-C, tell that the command can be run again, and exit."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(missing_module(error), extra) from error
    except KeyboardInterrupt:
        click.echo(STOPPED, err=True)
        sys.exit(EXIT_INTERRUPTED)


def embed_into(request: BulkRequest, bulk: BulkOptions, *, as_json: bool) -> None:
    """Embed folders of photos, with progress on stderr and a summary on stdout."""
    with _resumable(ENGINES[bulk.engine]):
        from embedder.bulk import embed_folders  # noqa: PLC0415 - it needs the extra "bulk"

        summary = embed_folders(request, show_progress, bulk.executor())
    click.echo(json.dumps(_record(summary), indent=2) if as_json else _text(summary, request.out))


def _record(summary: "BulkSummary") -> dict[str, object]:
    return {
        "photos": summary.n_photos,
        "rows": summary.n_rows,
        "failed": dict(summary.failed.most_common()),
        "other_files": summary.n_other_files,
        "damaged_parts": summary.n_damaged_parts,
        "new_photos": summary.n_new,
        "wall_s": summary.wall_s,
        "photos_s": summary.photos_s,
        "cores": summary.n_cores,
        "cpu_s": summary.cpu_s._asdict(),
        "cpu_share": summary.cpu_share,
    }


def _text(summary: "BulkSummary", out: "OutputFolder") -> str:
    lines = _totals(summary, out)
    if summary.n_not_fetched:
        lines.append(
            f"The store did not answer for {summary.n_not_fetched:,} of them: the same command tries them again"
        )
    if summary.n_damaged_parts:
        lines.append(f"{summary.n_damaged_parts:,} parts of an earlier run were damaged or changed, and made again")
    lines += other_files_text(summary.n_other_files)
    return "\n".join([*lines, _pace(summary)])


def _totals(summary: "BulkSummary | MergeSummary", out: "OutputFolder") -> list[str]:
    lines = [f"{out}: {summary.n_rows:,} embeddings of {summary.n_photos:,} photos"]
    if summary.failed:
        reasons = ", ".join(f"{code} {number:,}" for code, number in summary.failed.most_common())
        lines.append(f"{summary.failed.total():,} photos failed ({reasons}); each is in {out}/_failed-*.jsonl")
    return lines


def _pace(summary: "BulkSummary") -> str:
    if not summary.n_new:
        return "All photos were embedded already." if summary.n_photos else "There are no photos to embed."
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in summary.cpu_s._asdict().items())
    return (
        f"{summary.n_new:,} photos in {summary.wall_s:.1f} s, {summary.photos_s:.1f} photos/s; CPU seconds: {stages}; "
        f"{summary.cpu_share:.0%} of {summary.n_cores} cores"
    )


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option("--out", required=True, metavar="DEST", help="The folder to write.")
@json_option
def merge(folders: tuple[str, ...], out: str, *, as_json: bool) -> None:
    """Join all shards of a run, in any order, into the folder that a run without shards would have written.

    Each FOLDER was written by `visavis embed ... --out FOLDER --shard i/n`. Files are linked where the file system can
    link them, else copied. If the command was stopped, run it again to resume.

    Exit status: 0, or 2 if a shard is missing, unfinished, damaged, or of another run; the message names it.

    To embed a photo or folder that is named merge, write ./merge.
    """
    with _resumable("bulk"):
        from embedder.bulk import merge_shards  # noqa: PLC0415 - it needs the extra "bulk"

        destination = _folder_here(out)
        summary = merge_shards(list(map(_folder_here, folders)), destination, show_progress)
    click.echo(json.dumps(_merge_record(summary), indent=2) if as_json else _merge_text(summary, destination))


def _folder_here(word: str) -> "LocalFolder":
    from embedder.bulk import LocalFolder, output_folder  # noqa: PLC0415 - it needs the extra "bulk"

    folder = output_folder(word)
    if not isinstance(folder, LocalFolder):
        raise click.UsageError(f"{folder}: merge joins folders of this machine; copy the shards here first")
    return folder


def _merge_record(summary: "MergeSummary") -> dict[str, object]:
    return {
        "photos": summary.n_photos,
        "rows": summary.n_rows,
        "failed": dict(summary.failed.most_common()),
        "shards": summary.n_shards,
        "parts": summary.n_parts,
        "new_parts": summary.n_new_parts,
    }


def _merge_text(summary: "MergeSummary", out: "OutputFolder") -> str:
    joined = f"{summary.n_new_parts:,} of {summary.n_parts:,} parts joined from {summary.n_shards:,} shards"
    return "\n".join([*_totals(summary, out), joined if summary.n_new_parts else "All parts were joined already."])


class EmbedCommand(click.Command):
    """`visavis embed`, or `visavis embed merge` if that is the first word."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the words of the one or the other."""
        if args[:1] == [merge.name]:
            return merge.make_context(f"{info_name} {merge.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


SHOWN = 4  # channels in the text output; --json prints all


@click.command(cls=EmbedCommand)
@click.argument("images", nargs=-1)
@bulk_options
@face_or_all_option
@model_option
@running_options
@json_option
def embed(
    *,
    images: tuple[str, ...],
    bulk: BulkOptions | None,
    face: str,
    model_path: str | None,
    running: RuntimeOptions,
    as_json: bool,
) -> None:
    """Embed one face of each of IMAGES, or every face. Embeddings are biometric data: protect them like the photos.

    One of IMAGES may be - for standard input.

    Exit status: 0, or 2 if an image cannot be used; the other images are processed anyway.

    With --out, IMAGES may be folders with any number of photos, tar archives, Parquet files with a column of images,
    and addresses on object stores (s3://, gs://); the embeddings are written to numbered Parquet files, a row for each
    face. If the command was stopped, run it again to resume. Photos that cannot be used are listed in the folder and do
    not change the exit status.

    `visavis embed merge` joins shards; its help is `visavis embed merge --help`. Write ./merge for a photo or folder of
    that name.
    """
    if not images and not (bulk and bulk.lists):
        raise click.UsageError("Missing argument 'IMAGES...'.")
    if bulk is not None:
        source, out = bulk.places(images)
        request = BulkRequest(source, out, face, model_path, running, bulk.shard)
        embed_into(request, bulk, as_json=as_json)
        return
    embedder = load(model_path, running=running)
    if face == ALL_FACES:
        answer_each(images, embedder.embed_all, OutputFormat(_all_as_text, _all_as_record), as_json=as_json)
    else:
        answer_each(images, partial(embedder.embed, face=face), OutputFormat(_as_text, _as_record), as_json=as_json)


def _as_record(embedding: Embedding) -> dict[str, object]:
    return {
        "embedding": embedding.vector.tolist(),
        "sample": sample_record(embedding.sample),
        "model": asdict(embedding.model),
    }


def _all_as_record(embeddings: list[Embedding]) -> dict[str, object]:
    return {"faces": [_as_record(each) for each in embeddings]}


def _as_text(path: str, embedding: Embedding) -> str:
    return f"{printable(path, MAX_PATH)}: {_start_of(embedding)} {len(embedding.vector):,} channels (--json for all)"


def _all_as_text(path: str, embeddings: list[Embedding]) -> str:
    return faces_text(path, [each.sample.face for each in embeddings], list(map(_start_of, embeddings)))


def _start_of(embedding: Embedding) -> str:
    return f"[{', '.join(f'{value:+.3f}' for value in embedding.vector[:SHOWN])}, ...]"
