"""`visavis export`, `import-dlib` and `import-sface`: convert networks to and from other programs' files."""

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
    help="onnx: one file with the weights; openvino: .xml and .bin, weights in f32.",
)
@click.option("--out", "folder", required=True, metavar="FOLDER", help="A new folder for the files.")
@model_option
def export_command(file_format: ExportFormat, folder: str, model_path: str | None) -> None:
    """Export the model's network for other programs, with its card and a README.txt that describes input and output.

    The input is aligned chips, uint8 RGB (n, side, side, 3); the output is float32 (n, channels). The network does not
    include face detection and alignment, nor the mean over a chip and its mirror image that some cards ask for.

    The written files are read with OpenVINO and compared with torch; above a distance of 1e-4 no files are kept.

    Exit status: 0, or 2 if the model cannot be exported.
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
    """Convert FILE, dlib_face_recognition_resnet_model_v1.dat, to a model bundle."""
    card = import_dlib(Path(file), Path(folder))
    click.echo(f"{folder}: {card.name}, {card.digest}")


@click.command("import-sface")
@click.argument("file")
@click.option("--out", "folder", required=True, metavar="BUNDLE", help="A new folder for the bundle.")
def import_sface_command(file: str, folder: str) -> None:
    """Convert FILE, face_recognition_sface_2021dec_int8bq.onnx of the OpenCV Zoo, to a model bundle."""
    card = import_sface(Path(file), Path(folder))
    click.echo(f"{folder}: {card.name}, {card.digest}")
