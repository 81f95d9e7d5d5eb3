"""What the subcommands share: where the photos come from and how they are embedded."""

from pathlib import Path
from typing import Any

import click


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
