"""`visavis export`, `import-dlib` and `import-sface`: networks to and from other programs' files."""

from pathlib import Path

import click

from embedder import BAR, N_CHIPS, ExportFormat, export, import_dlib, import_sface, read_bundle

from .options import model_option


@click.command("export")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "openvino"]),
    required=True,
    help="onnx: one file, weights inside; openvino: .xml and .bin, weights in f32.",
)
@click.option("--out", "folder", required=True, metavar="FOLDER", help="A new folder for the files.")
@model_option
def export_command(file_format: ExportFormat, folder: str, model_path: str | None) -> None:
    """Write the model's network for other programs, with its card and README.txt, which says what goes in and out.

    In go aligned chips, uint8 RGB (n, side, side, 3), out come float32 (n, 128). Finding and aligning faces is not
    inside, nor is the mean over a chip and its mirror image, where the card says that an embedding is one.

    What was written is read again by OpenVINO and compared with torch; beyond a distance of 1e-4 nothing is kept.

    Exit status: 0, or 2 where the model cannot be exported.
    """
    bundle = read_bundle(model_path)
    exported = export(bundle, Path(folder), file_format)
    click.echo(f"{folder}: {', '.join(exported.files)}\n{exported.about}", nl=False)
    click.echo(
        f"Largest distance from torch's embeddings of {N_CHIPS} chips: {exported.difference:.2g} (at most {BAR:g})."
    )


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
