"""dlib's file -> our bundle: the facts that belong to those weights, written down once, here."""

from pathlib import Path

from .bundle import serialize_tensors, sha256_of, write_bundle
from .card import Alignment, Architecture, ModelCard, OperatingPoint, Preprocessing, Provenance, embedding_digest
from .dlib_dat import DISTANCE_THRESHOLD, FILE_SHA256, MEAN, read_dlib_file

ARCHITECTURE = Architecture(backbone="dlib_resnet", embedding_size=128, unit_length=False, mirror=False)
PREPROCESSING = Preprocessing(input_size_px=150, color_order="RGB", mean=MEAN, scale=256.0)
ALIGNMENT = Alignment(
    chip_size_px=150,
    points=((47.3, 45.2), (101.0, 45.2), (74.2, 77.1), (50.1, 103.8), (98.2, 103.8)),
    landmark_offset_px=-0.5,
)
POINT = OperatingPoint(
    name="dlib-0.6",
    threshold=DISTANCE_THRESHOLD,
    fmr=None,
    fnmr=None,
    note="The distance that dlib's author trained for; its error rates were not measured here.",
)
PROVENANCE = Provenance(
    license="CC0-1.0",
    source="dlib_face_recognition_resnet_model_v1.dat by Davis King (dlib-models)",
    source_sha256=FILE_SHA256,
    trained_on=(
        "About 3 million faces of 7,485 people: about half from FaceScrub and VGG-Face, which have research terms of "
        "their own, the rest gathered from the internet by the author; people of LFW were avoided."
    ),
    stored_parameters=5_614_592,
)
LIMITS = (
    "Does not tell a live face from a photo of a photo: whoever holds a picture of a person can pass as that person.",
    "Error rates differ from population to population; check the threshold on your own photos.",
    "Finds and compares upright faces; a face lying on its side is not found.",
)


def import_dlib(dat_file: Path, folder: Path) -> ModelCard:
    """Turn dlib's .dat file into a bundle in a new folder; raises DlibFileError or BundleError."""
    weights = serialize_tensors(read_dlib_file(dat_file))
    card = _card(sha256_of(weights))
    write_bundle(folder, card, weights)
    return card


def _card(weights_sha256: str) -> ModelCard:
    return ModelCard(
        format="visavis-bundle/1",
        name="dlib-resnet29-128",
        summary="dlib's face ResNet-29: a 150x150 chip to 128 channels, compared by Euclidean distance.",
        limits=LIMITS,
        architecture=ARCHITECTURE,
        preprocessing=PREPROCESSING,
        alignment=ALIGNMENT,
        metric="euclidean",
        operating_points=(POINT,),
        default_point=POINT.name,
        provenance=PROVENANCE,
        weights_sha256=weights_sha256,
        digest=embedding_digest(weights_sha256, ARCHITECTURE, PREPROCESSING, ALIGNMENT),
    )
