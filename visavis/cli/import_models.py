"""`visavis import-dlib` and `import-sface`: another project's file -> a model bundle."""

from pathlib import Path

import click

from embedder import import_dlib, import_sface


@click.command("import-dlib")
@click.argument("file")
@click.option("--out", "folder", required=True, metavar="BUNDLE", help="A new folder for the bundle.")
def import_dlib_command(file: str, folder: str) -> None:
    """Turn FILE, dlib_face_recognition_resnet_model_v1.dat, into a model bundle."""
    card = import_dlib(Path(file), Path(folder))
    click.echo(f"{folder}: {card.name}, {card.digest}")


@click.command("import-sface")
@click.argument("file")
@click.option("--out", "folder", required=True, metavar="BUNDLE", help="A new folder for the bundle.")
def import_sface_command(file: str, folder: str) -> None:
    """Turn FILE, face_recognition_sface_2021dec_int8bq.onnx of the OpenCV Zoo, into a model bundle."""
    card = import_sface(Path(file), Path(folder))
    click.echo(f"{folder}: {card.name}, {card.digest}")
