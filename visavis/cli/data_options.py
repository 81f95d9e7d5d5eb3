"""Options of the commands that read many photos: where the photos are, and which comparisons to make."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from train import CfpKind, Protocol, read_cfp, read_csv, read_identities, read_lfw

from .options import MODEL_HELP


class PathType(click.Path):
    """A path that is not empty: an unset shell variable must not mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the value to a Path; an empty one is a usage error."""
        if value == "":
            self.fail("an empty path; is a variable unset?", param, ctx)
        return super().convert(value, param, ctx)


PATH = PathType(path_type=Path)

pairs_option = click.option("--pairs", type=PATH, metavar="FILE", help="Pairs in LFW's format.")
images_option = click.option("--images", type=PATH, metavar="DIR", help="The folder of the photos named in the file.")
identities_option = click.option(
    "--identities",
    type=PATH,
    metavar="DIR",
    help="A folder with one folder per person: all photos are compared with all.",
)
face_option = click.option(
    "--face",
    type=click.Choice(["dominant", "only", "largest", "center"]),
    help="Which face to use if there are several (center for --pairs, else largest).",
)
model_option = click.option("--model", metavar="MODEL", help=MODEL_HELP)
cache_option = click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Store the embeddings here and reuse them. They are biometric data: protect them like the photos.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the 1,000 bootstrap resamples of the people behind each interval.",
)


@dataclass(frozen=True, slots=True)
class ProtocolOptions:
    """The options that locate the photos and their comparisons; unused ones are None."""

    pairs: Path | None = None
    images: Path | None = None
    identities: Path | None = None
    csv: Path | None = None
    protocol: CfpKind | None = None

    def read(self) -> Protocol:
        """Read the protocol. Raises click.UsageError unless there is one source, ProtocolError for invalid files."""
        given = [name for name in ("pairs", "protocol", "csv", "identities") if getattr(self, name) is not None]
        if len(given) > 1:
            raise click.UsageError(f"give one source of photos, not {' and '.join(f'--{name}' for name in given)}")
        if self.pairs is not None:
            return read_lfw(self.pairs, self._images("pairs"))
        if self.protocol is not None:
            return read_cfp(self.protocol, self._images("protocol"))
        if self.csv is not None:
            return read_csv(self.csv, self.images)
        if self.identities is not None:
            return read_identities(self._alone(self.identities))
        raise click.UsageError("there is no source of photos; give --identities DIR, or --pairs FILE --images DIR")

    @property
    def name(self) -> str:
        """The default name of the photos."""
        given = self.identities or self.csv or self.pairs
        return given.stem if given is not None else str(self.protocol)

    def tuning(self, pairs: Path) -> Protocol:
        """Read other pairs of the same photos, for choosing the threshold."""
        return read_lfw(pairs, self.identities or self._images("threshold-pairs"))

    def _images(self, name: str) -> Path:
        if self.images is None:
            raise click.UsageError(f"--{name} needs --images DIR, the folder with its photos")
        return self.images

    def _alone(self, identities: Path) -> Path:
        if self.images is not None:
            raise click.UsageError("--identities is the folder of photos itself; omit --images")
        return identities
