"""`visavis group`: sort the faces of a folder of photos into people."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from embedder import ALL_FACES, ModelCard, RuntimeOptions, printable, read_bundle, show_progress
from embedder.bulk import BulkRequest, LocalFolder, LocalPhotos
from gallery import DEFAULT_FPIR, GalleryReplica, claim_for

from .gallery_options import opened_store, require_gallery
from .main import EXIT_INTERRUPTED, MAX_PATH, ExtraMissing, missing_module
from .options import json_option, model_option, running_options, stop
from .output import other_files_text

if TYPE_CHECKING:
    from embedder.bulk import BulkSummary
    from gallery import grouped_photos


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """The command's options, besides its folders."""

    fmr: float | None
    links: bool
    gallery: str | None
    store: str | None  # its URL
    model: str | None
    running: RuntimeOptions


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="A new folder, or that of a run that was stopped. It contains biometric data.",
)
@click.option(
    "--fmr",
    type=float,
    metavar="X",
    help="The FMR of one comparison at which faces are linked; default: one wrong link expected for 50 faces.",
)
@click.option("--links", is_flag=True, help="Make a folder for each person too, with links to the photos.")
@click.option("--gallery", metavar="NAME", help="Name people by their ids in this gallery, if it identifies them.")
@click.option(
    "--store", metavar="URL", envvar="VISAVIS_GALLERY", help="With --gallery: its store; default: VISAVIS_GALLERY."
)
@model_option
@running_options
@json_option
def group(  # noqa: PLR0913 - one for each option of the command
    *,
    folder: Path,
    out: Path,
    fmr: float | None,
    links: bool,
    gallery: str | None,
    store: str | None,
    model_path: str | None,
    running: RuntimeOptions,
    as_json: bool,
) -> None:
    """Sort the faces of all photos in DIR into people. If the command was stopped, run it again to resume.

    FOLDER receives faces.csv, people.csv and index.html, which shows the faces of each person, who is in doubt, and
    what it would take to split or join. Two faces of one photo are two people.

    The pages, the tables and the embeddings are biometric data: protect them like the photos.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        stop(f"{out}: is inside the folder of photos; choose another --out")
    if gallery is not None and store is None:
        raise click.UsageError("--gallery needs its store: give --store URL, or set VISAVIS_GALLERY")
    if gallery is None and click.get_current_context().get_parameter_source("store") == ParameterSource.COMMANDLINE:
        raise click.UsageError("--store is of use with --gallery NAME only; add that, or leave --store out")
    try:
        summary, grouped = _group(folder, out, GroupOptions(fmr, links, gallery, store, model_path, running))
    except ModuleNotFoundError as error:
        raise ExtraMissing(missing_module(error), "bulk") from error
    except KeyboardInterrupt:
        click.echo("visavis: stopped; finished work is kept: run the same command again to resume", err=True)
        sys.exit(EXIT_INTERRUPTED)
    click.echo(json.dumps(_record(summary, grouped), indent=2) if as_json else _text(summary, grouped, out))


def _group(folder: Path, out: Path, options: GroupOptions) -> "tuple[BulkSummary, grouped_photos.GroupedPhotos]":
    from embedder.bulk import embed_folders, read_faces  # noqa: PLC0415 - it needs the extra "bulk"
    from gallery import contact_sheets, grouped_photos  # noqa: PLC0415 - the same

    card = read_bundle(options.model).card
    grouped_photos.require_fmr(card, options.fmr)  # before photos are read
    grouped_photos.require_free_or_ours(out)
    with _naming(card, options) as replica, grouped_photos.FILES.sole_use(out):
        embeddings = LocalFolder(out / grouped_photos.EMBEDDINGS)
        request = BulkRequest(LocalPhotos.of((folder,)), embeddings, ALL_FACES, options.model, options.running)
        summary = embed_folders(request, show_progress)
        faces = read_faces(embeddings)
        grouped = grouped_photos.group_photos(folder, faces, card, fmr=options.fmr, progress=show_progress)
        if replica is not None:
            grouped = grouped_photos.named_by_gallery(grouped, card, replica, show_progress)
        grouped_photos.write_tables(out, grouped)
        if options.links:
            grouped_photos.write_links(out, grouped)
        contact_sheets.write_contact_sheets(out, grouped, show_progress)
    return summary, grouped


@contextmanager
def _naming(card: ModelCard, options: GroupOptions) -> Iterator[GalleryReplica | None]:
    """Open the gallery that names people, and exit with an error if it can name nobody; None without --gallery."""
    if options.gallery is None or options.store is None:
        yield None
        return
    digest = card.digest_in(options.running.precision)
    with opened_store(options.store) as store:
        require_gallery(store, options.gallery)
        n_templates = store.gallery(options.gallery).n_templates.get(digest, 0)
        if not n_templates:
            stop(f"the gallery {options.gallery!r} has no template of this model; enrol people, or omit --gallery")
        claim_for(card, fpir=DEFAULT_FPIR, n_templates=n_templates)  # before photos are read
        yield GalleryReplica(store, options.gallery, card, digest)


def _record(summary: "BulkSummary", grouped: "grouped_photos.GroupedPhotos") -> dict[str, object]:
    grouping, rule = grouped.grouping, grouped.grouping.rule
    n_faces = len(grouped.embedded.faces) - grouped.n_too_poor
    return {
        "photos": summary.n_photos,
        "failed": dict(summary.failed.most_common()),
        "other_files": summary.n_other_files,
        "faces": len(grouped.embedded.faces),
        "too_poor": grouped.n_too_poor,
        "people": len(grouping.people),
        "people_with_several_faces": sum(len(person.faces) > 1 for person in grouping.people),
        "people_named": len(grouped.names),
        "fmr": rule.fmr,
        "threshold": rule.threshold,
        "comparisons": n_faces * (n_faces - 1) // 2,
        "wrong_links_expected": rule.n_wrong_links(n_faces),
        "doubtful": [_doubtful_record(grouped, place) for place in grouped.doubtful()],
    }


def _doubtful_record(grouped: "grouped_photos.GroupedPhotos", place: int) -> dict[str, object]:
    person = grouped.grouping.people[place]
    split, rival = person.split, person.doubtful_rival(grouped.grouping.rule)
    return {
        "person": place + 1,
        "name": grouped.names.get(place),
        "faces": len(person.faces),
        "split": split and {"faces": len(split.faces)} | _distance_record(grouped, split.distance),
        "join": rival
        and {"person": rival.person + 1, "on_one_picture": rival.is_on_one_picture}
        | _distance_record(grouped, rival.distance),
    }


def _distance_record(grouped: "grouped_photos.GroupedPhotos", distance: float) -> dict[str, object]:
    return {"distance": distance, "fmr": grouped.curve.fmr(distance)}


def _text(summary: "BulkSummary", grouped: "grouped_photos.GroupedPhotos", out: Path) -> str:
    people, rule = grouped.grouping.people, grouped.grouping.rule
    n_faces, n_several = len(grouped.embedded.faces), sum(len(person.faces) > 1 for person in people)
    wrong = rule.n_wrong_links(n_faces - grouped.n_too_poor)
    shown = printable(str(out), MAX_PATH)
    lines = [
        f"{n_faces:,} faces on {summary.n_photos:,} photos: {len(people):,} people, {n_several:,} with several faces",
        f"linked below the distance {rule.threshold:.3f}, with an FMR of {rule.fmr:.2g} for one comparison",
        f"{wrong:,.1f} wrong links would be expected if all faces were of different people",
        f"{len(grouped.doubtful()):,} people in doubt; {grouped.n_too_poor:,} faces too poor to tell",
    ]
    if grouped.names:
        lines.append(f"{len(grouped.names):,} people named by the gallery")
    if summary.failed:
        reasons = ", ".join(f"{code} {number:,}" for code, number in summary.failed.most_common())
        lines.append(f"{summary.failed.total():,} photos without a usable face ({reasons})")
    lines += other_files_text(summary.n_other_files)
    return "\n".join([*lines, f"written to {shown}/index.html, {shown}/faces.csv and {shown}/people.csv"])
