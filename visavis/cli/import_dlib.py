"""`visavis import-dlib`: dlib's .dat file -> a model bundle."""

from pathlib import Path

import click

from embedder import import_dlib


@click.command("import-dlib")
@click.argument("file")
@click.option("--out", "folder", required=True, metavar="BUNDLE", help="A new folder for the bundle.")
def import_dlib_command(file: str, folder: str) -> None:
    """Turn FILE, dlib_face_recognition_resnet_model_v1.dat, into a model bundle."""
    card = import_dlib(Path(file), Path(folder))
    click.echo(f"{folder}: {card.name}, {card.digest}")
