"""Make the bundle sface-128 from the OpenCV Zoo's file, with a card without operating points.

Usage: python tools/make_sface_bundle.py FILE FOLDER. FILE is face_recognition_sface_2021dec_int8bq.onnx. FOLDER must
have no card; for the built-in bundle it is embedder/weights/sface-128, which contains the licence. The same file gives
the same bytes. tools/quantise_network.py then adds its int8 network.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from embedder import (
    Alignment,
    Architecture,
    Bundle,
    ModelCard,
    Preprocessing,
    Provenance,
    build_network,
    built_in_detector,
    embedding_graph,
    new_card,
    read_bundle,
    serialize_tensors,
)
from embedder.backbones.plans import SFACE_INPUT_SIZE_PX
from embedder.weights.bundle import CARD_FILE, GRAPH_FILE, WEIGHTS_FILE, Tensors
from embedder.weights.sface import MEAN, SCALE, SFACE_FILE_SHA256, read_sface_file

LANDMARK_OFFSET_PX = -0.5  # added to the detector's landmarks, which count from the pixel's corner
CHIP_SIZE_PX = 112
POINTS = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
SUMMARY = "SFace's MobileNet: a 112x112 chip to 128 channels of length 1, compared by Euclidean distance."
LIMITS = (
    "Does not tell a live face from a photo of a photo: whoever holds a picture of a person can pass as that person.",
    "Error rates differ from population to population; check the threshold on your own photos.",
    "Not for children: on held-out photos of children 2 to 5% of pairs of two children pass at a claimed FMR of 0.1%.",
)
SOURCE = (
    "OpenCV Zoo, models/face_recognition_sface/face_recognition_sface_2021dec_int8bq.onnx, by Yaoyao Zhong; "
    "Zhong et al., SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition, 2021, arXiv 2205.12010"
)
TRAINED_ON = (
    "Not known: its authors do not document the photos that it was trained on (asked in opencv/opencv_zoo#313, "
    "unanswered)."
)


@dataclass(frozen=True)
class Made:
    """The contents of the bundle's files."""

    weights: bytes
    graph: bytes
    card: ModelCard

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CARD_FILE).exists():
            sys.exit(f"{folder} holds a card already; remove it, or choose another folder")
        (folder / WEIGHTS_FILE).write_bytes(self.weights)
        (folder / GRAPH_FILE).write_bytes(self.graph)
        (folder / CARD_FILE).write_text(self.card.to_json(), "utf-8")
        read_bundle(folder)


def made(tensors: Tensors, alignment: Alignment) -> Made:
    """The bundle of the file's tensors, for chips that are cut so."""
    weights = serialize_tensors(tensors)
    network = build_network(Bundle(card(weights, alignment, n_parameters=1), tensors))
    graph = embedding_graph(network, weights)
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    return Made(weights, graph, card(weights, alignment, n_parameters, graph))


def card(weights: bytes, alignment: Alignment, n_parameters: int, graph: bytes | None = None) -> ModelCard:
    return new_card(
        name="sface-128",
        summary=SUMMARY,
        limits=LIMITS,
        architecture=Architecture(backbone="sface", embedding_size=128, unit_length=True, mirror=False),
        preprocessing=Preprocessing(
            input_size_px=SFACE_INPUT_SIZE_PX, color_order="RGB", mean=(MEAN,) * 3, scale=SCALE
        ),
        alignment=alignment,
        detector=built_in_detector(),
        provenance=Provenance(
            license="Apache-2.0",
            source=SOURCE,
            source_sha256=SFACE_FILE_SHA256,
            trained_on=TRAINED_ON,
            stored_parameters=n_parameters,
        ),
        weights=weights,
        graph=graph,
    )


def main(file: Path, folder: Path) -> None:
    alignment = Alignment(chip_size_px=CHIP_SIZE_PX, points=POINTS, landmark_offset_px=LANDMARK_OFFSET_PX)
    made(read_sface_file(file), alignment).write(folder)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
