"""`visavis keys`: make, list, revoke and rotate the keys of the HTTP service."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import click

from service import KeyFile, KeyFileError, KeyGrant, KeyRecord, NewKey, Scope

from .options import duration_of, future_time, json_option, stops_on

ONCE = "Keep this key now: it is shown once and stored nowhere."


@click.group()
def keys() -> None:
    """Make, list, revoke and rotate the keys of the HTTP service.

    The file has the keys' salted hashes, not the keys. A running service reads a changed file within a second.
    """


file_option = click.option(
    "--file",
    "path",
    envvar="VISAVIS_KEYS",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file of keys; default: the variable VISAVIS_KEYS.",
)


def _an_overlap(_ctx: click.Context, _option: click.Parameter, value: str) -> timedelta:
    lasts = timedelta(0) if value == "0" else duration_of(value)
    if lasts is None:
        raise click.BadParameter("must be like 24h, 30m or 7d, or 0")
    return lasts


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(get_args(Scope)),
    help="What the key may do; give it more than once for several.",
)
@click.option("--expires", callback=future_time, metavar="90d|DATE", help="When the key ends; default: never.")
@click.option("--rate", metavar="N/minute", help="Requests in a second, minute, hour or day, such as 600/minute.")
@click.option("--quota", metavar="N/day", help="A second limit over a longer time, such as 100000/day.")
@file_option
@json_option
@stops_on(KeyFileError)
def create(path: Path, *, as_json: bool, scopes: tuple[Scope, ...], **given: str) -> None:
    """Make a key and print it, once."""
    grant = KeyGrant(scopes=tuple(dict.fromkeys(scopes)), **given)  # type: ignore[arg-type] # expires is a datetime
    _print_new(KeyFile(path).create(grant), as_json=as_json)


@keys.command("list")
@file_option
@json_option
@stops_on(KeyFileError)
def list_command(path: Path, *, as_json: bool) -> None:
    """List the keys: ids, names, scopes, limits, when they end."""
    facts = [_facts(record) for record in KeyFile(path).read()]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for each in facts:
        limits = "".join(f"  {each[name]}" for name in ("rate", "quota") if each[name])
        end = f" until {each['expires']}" if each["state"] == "valid" and each["expires"] else ""
        click.echo(f"{each['id']}  {each['state']}{end}  {','.join(each['scopes'] or ())}{limits}  {each['name']}")


@keys.command()
@click.argument("key_id", metavar="ID")
@file_option
@stops_on(KeyFileError)
def revoke(key_id: str, path: Path) -> None:
    """Make a key invalid from now on."""
    record = KeyFile(path).revoke(key_id)
    click.echo(f"{record.id} is revoked ({record.name})")


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    callback=_an_overlap,
    default="24h",
    show_default=True,
    metavar="24h",
    help="How long the old key stays valid.",
)
@file_option
@json_option
@stops_on(KeyFileError)
def rotate(key_id: str, path: Path, overlap: timedelta, *, as_json: bool) -> None:
    """Make a key like an old one, which ends soon, and print the new one, once."""
    _print_new(KeyFile(path).rotate(key_id, overlap), as_json=as_json)


def _print_new(made: NewKey, *, as_json: bool) -> None:
    """Print the key alone on stdout, so that it can be piped; the rest goes to stderr."""
    click.echo(json.dumps({"key": made.text} | _facts(made.record), indent=2) if as_json else made.text)
    click.echo(f"visavis: id {made.record.id}. {ONCE}", err=True)


def _facts(record: KeyRecord) -> dict[str, str | list[str] | None]:
    """Return what may be shown of a key: neither salt nor hash."""
    now = datetime.now(UTC)
    state = "revoked" if record.revoked else "valid" if record.is_valid(now) else "expired"
    shown = record.model_dump(mode="json", exclude={"salt", "hash"})
    return shown | {"state": state}
