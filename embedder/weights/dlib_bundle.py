"""dlib's file -> our bundle: its numbers, under the card of the bundle in this package. Owns no fact about them."""

from pathlib import Path

from .bundle import BUILT_IN_MODELS, graphs_of, read_bundle, serialize_tensors, write_bundle
from .card import ModelCard
from .dlib_dat import read_dlib_file

DLIB = BUILT_IN_MODELS["dlib-resnet29-128"]


def import_dlib(dat_file: Path, folder: Path) -> ModelCard:
    """Turn dlib's .dat file into a bundle in a new folder; raises DlibFileError or BundleError.

    ValueError: the built-in card describes other weights than this file's.
    """
    weights = serialize_tensors(read_dlib_file(dat_file))
    bundle = read_bundle(DLIB)
    write_bundle(folder, bundle.card, weights, *graphs_of(bundle))
    return bundle.card
