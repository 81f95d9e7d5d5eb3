"""Options of the commands that read many photos: where they lie, and which comparisons to make of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from train import CfpKind, Protocol, read_cfp, read_csv, read_identities, read_lfw


class PathType(click.Path):
    """A path that is not empty: an unset shell variable must not mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it as a Path."""
        if value == "":
            self.fail("an empty path; is a variable unset?", param, ctx)
        return super().convert(value, param, ctx)


PATH = PathType(path_type=Path)

pairs_option = click.option("--pairs", type=PATH, metavar="FILE", help="Pairs in LFW's format.")
images_option = click.option("--images", type=PATH, metavar="DIR", help="The folder that the photos' names start from.")
identities_option = click.option(
    "--identities",
    type=PATH,
    metavar="DIR",
    help="A folder with one folder per person: all photos against all.",
)
face_option = click.option(
    "--face",
    type=click.Choice(["dominant", "only", "largest", "center"]),
    help="Which face is meant, where there are several (center for --pairs, largest else).",
)
model_option = click.option(
    "--model", metavar="MODEL", help="A model bundle, or the name of a built-in model (sface-128)."
)
cache_option = click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Keep the embeddings here, for the next time. They are biometric data: keep them like the photos.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the 1,000 draws of identities behind each interval.",
)


@dataclass(frozen=True, slots=True)
class ProtocolOptions:
    """Where the user says the photos and their comparisons are; what does not apply is None."""

    pairs: Path | None = None
    images: Path | None = None
    identities: Path | None = None
    csv: Path | None = None
    protocol: CfpKind | None = None

    def read(self) -> Protocol:
        """Read it. Raises click.UsageError where it is not one source, ProtocolError where the files do not hold it."""
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
        raise click.UsageError("say where the photos are: --identities DIR, or --pairs FILE --images DIR")

    @property
    def name(self) -> str:
        """What the photos are called, where the user does not say."""
        given = self.identities or self.csv or self.pairs
        return given.stem if given is not None else str(self.protocol)

    def tuning(self, pairs: Path) -> Protocol:
        """Read other pairs of the same photos, to choose the threshold on."""
        return read_lfw(pairs, self.identities or self._images("threshold-pairs"))

    def _images(self, name: str) -> Path:
        if self.images is None:
            raise click.UsageError(f"--{name} needs --images DIR, the folder that holds its photos")
        return self.images

    def _alone(self, identities: Path) -> Path:
        if self.images is not None:
            raise click.UsageError("--identities names the folder of photos itself; leave --images out")
        return identities
