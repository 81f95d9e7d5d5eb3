"""The options that the commands of visavis have."""

import click

from visavis.cli.embed import merge
from visavis.cli.main import main

INSIDE = {"embed": (merge,)}  # commands inside a command that is no group


def options_of(command: str) -> set[str]:
    """Return the options of a command, and of those inside it."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    inside = tuple(found.commands.values()) if isinstance(found, click.Group) else INSIDE.get(command, ())
    parameters = [parameter for each in (found, *inside) for parameter in each.params]
    return {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
