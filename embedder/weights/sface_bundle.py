"""SFace's file -> our bundle: its numbers, under the card of the bundle in this package. Owns no fact about them."""

from pathlib import Path

from .bundle import BUILT_IN_MODELS, graphs_of, read_bundle, serialize_tensors, write_bundle
from .card import ModelCard
from .sface_onnx import read_sface_file

SFACE = BUILT_IN_MODELS["sface-128"]
TERMS = ("SFACE-LICENSE.txt", "SFACE-NOTICE.txt")  # which go with the weights


def import_sface(onnx_file: Path, folder: Path) -> ModelCard:
    """Turn SFace's .onnx file into a bundle in a new folder, with its license beside it.

    Raises SFaceFileError, BundleError, RuntimeUnavailable where onnx is not installed. ValueError: the card describes
    other weights than this file's.
    """
    weights = serialize_tensors(read_sface_file(onnx_file))
    bundle = read_bundle(SFACE)
    write_bundle(folder, bundle.card, weights, *graphs_of(bundle))
    for name in TERMS:
        (folder / name).write_bytes((SFACE / name).read_bytes())
    return bundle.card
