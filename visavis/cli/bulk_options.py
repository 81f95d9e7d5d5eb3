"""The options of `visavis embed` for many photos: where they are, what embeds them, and where the embeddings go."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from embedder.bulk import Shard

from .main import ExtraMissing, missing_module
from .options import F

if TYPE_CHECKING:
    from embedder.bulk import Executor, OutputFolder, PhotoSource

PROCESSES, RAY = "processes", "ray"
ENGINES = {PROCESSES: "bulk", RAY: "ray"}  # and the extra that each needs


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """Where the embeddings of many photos go, which share of the photos is embedded, and what computes them."""

    out: str  # a folder, or an address on an object store
    lists: tuple[str, ...]  # files that name photos
    shard: Shard | None
    engine: str
    address: str | None  # of a Ray cluster

    def places(self, images: Sequence[str]) -> "tuple[PhotoSource, OutputFolder]":
        """Where the photos come from, and where their embeddings go."""
        try:
            from embedder.bulk import output_folder, photo_source  # noqa: PLC0415 - it needs the extra "bulk"

            return photo_source(images, self.lists), output_folder(self.out)
        except ModuleNotFoundError as error:
            raise ExtraMissing(missing_module(error), "bulk") from error

    def executor(self) -> "Executor":
        """What computes them. Raises ModuleNotFoundError."""
        from embedder import bulk  # noqa: PLC0415 - it needs an extra

        return bulk.RayCluster(self.address) if self.engine == RAY else bulk.ProcessPool()


def bulk_options(command: F) -> F:
    """Add the options; the command receives BulkOptions as `bulk`, or None without --out."""

    @wraps(command)
    def with_bulk(*args: object, out: str | None, **others: Any) -> object:
        given = {name: others.pop(name) for name in ("lists", "shard", "engine", "address")}
        if given["address"] is not None and given["engine"] != RAY:
            raise click.UsageError("--address is that of a Ray cluster; add --engine ray, or omit it")
        if out is None and given["engine"] != PROCESSES:
            raise click.UsageError("--engine is for many photos; add --out FOLDER, or omit it")
        if out is None and given["shard"] is not None:
            raise click.UsageError("--shard is for many photos; add --out, the folder of this shard, or omit it")
        if out is None and given["lists"]:
            raise click.UsageError("--list needs --out")
        return command(*args, bulk=None if out is None else BulkOptions(out, **given), **others)

    for option in reversed(BULK_OPTIONS):
        with_bulk = option(with_bulk)
    return with_bulk  # type: ignore[return-value] # click replaces the parameters, so callers see the same type


def _shard(_ctx: click.Context, _option: click.Parameter, text: str | None) -> Shard | None:
    try:
        return None if text is None else Shard.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


BULK_OPTIONS = (
    click.option(
        "--out",
        metavar="FOLDER",
        help="Write Parquet files to this folder, or to s3://BUCKET/FOLDER, instead of printing, for any number of "
        "photos.",
    ),
    click.option(
        "--list",
        "lists",
        multiple=True,
        metavar="FILE",
        help="With --out: also embed the photos that a text file names, one a line. Repeatable.",
    ),
    click.option(
        "--shard",
        metavar="i/n",
        callback=_shard,
        help="With --out: embed one of n shares of the photos, counted from 0, in a folder of its own. Join all of "
        "them with `visavis embed merge`.",
    ),
    click.option(
        "--engine",
        type=click.Choice(list(ENGINES)),
        default=PROCESSES,
        show_default=True,
        help="With --out: what embeds the photos, processes of this machine or the machines of a Ray cluster.",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="The Ray cluster, with --engine ray; else RAY_ADDRESS, else one for this run alone, on this machine.",
    ),
)
