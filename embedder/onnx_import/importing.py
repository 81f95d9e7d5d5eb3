"""Import a network from an ONNX file of others: check it, try its facts on faces, wrap it and write a bundle."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ..backbones.registry import IMPORTED
from ..detection.detector import ONET, SHAPES, YUNET, CoarseToFineDetector, built_in_detector
from ..errors import BundleError, SampleError
from ..files import read_regular_file
from ..image import Limits
from ..image_formats import is_named_as_photo
from ..pipeline import FacePreprocessor, InProcessDecoder
from ..quality import OCCLUSION_GRAPH
from ..runtime.choice import load_small_network
from ..types import LARGEST_EMBEDDING, SMALLEST_EMBEDDING, Chips, Pixels
from ..weights.bundle import new_card, require_new_folder, write_bundle
from ..weights.card import Alignment, Architecture, ModelCard, Provenance
from .facts import NetworkFacts
from .guesses import BetterFormat, better_format, formats_to_try
from .running import N_COMPARED
from .source import SourceNetwork, not_a_vector, read_source
from .trying import output_shape, tried
from .wrapping import WrappedNetwork, wrapped

NOTICE_FILE = "NOTICE.txt"
LIMIT = (
    "It was imported from an ONNX file, and torch has no network for it: it runs with openvino on the CPU, and cannot "
    "be trained further here."
)
LEAST_PEOPLE, MOST_PEOPLE = 8, 32  # that the facts are tried on
PHOTOS_EACH = 2
N_NOISE = N_COMPARED // 2


@dataclass(frozen=True, slots=True)
class ImportedNetwork:
    """The result of an import."""

    card: ModelCard
    difference: float  # largest of a channel between the file's network and the bundle's, for vectors of length 1
    n_people: int  # whose photos the facts were tried on; 0: they were not tried
    better: BetterFormat | None  # a format of the input that separates these people clearly better than the stated one


def import_onnx(file: Path, folder: Path, facts: NetworkFacts, faces: Path | None = None) -> ImportedNetwork:
    """Convert an ONNX file to a bundle in a new folder. Its card has no operating points: the network is not measured.

    `faces` is a folder with a folder for each person, of two photos or more, on which the facts are tried. Raises
    BundleError, or RuntimeUnavailable if a library is not installed.
    """
    require_new_folder(folder)
    source = read_source(file)
    _require_as_stated(source, facts)
    alignment = facts.alignment_in(source.side_px)
    n_channels = _n_channels(source)
    chips = _noise(source.side_px)
    formats = [facts.input_format]
    if faces is not None:
        chips = np.concatenate([_chips(faces, alignment), chips])
        formats = formats_to_try(facts.input_format)
    network = wrapped(source, facts)
    found = tried(source, network, chips, formats)
    n_faces = len(chips) - N_NOISE
    better = better_format(formats, [each[:n_faces] for each in found.originals]) if n_faces else None
    card = _card(source, facts, n_channels, network)
    write_bundle(folder, card, network.weights, network.graph)
    _write_notice(folder, card)
    return ImportedNetwork(card, found.difference, n_faces // PHOTOS_EACH, better)


def _require_as_stated(source: SourceNetwork, facts: NetworkFacts) -> None:
    """Raise BundleError if facts that the file contains are stated otherwise."""
    stated = {
        "sha256": (facts.sha256, source.sha256),
        "input_size": (facts.input_size, source.side_px),
        "layout": (facts.layout, source.layout),
    }
    for key, (wanted, found) in stated.items():
        if wanted is not None and wanted != found:
            raise BundleError(
                f"{key} is stated as {wanted}, but that of {source.name} is {found}; correct it or omit it"
            )


def _n_channels(source: SourceNetwork) -> int:
    shape = output_shape(source)
    n_channels = prod(shape[1:])
    is_vector = shape[:1] == [1] and n_channels == max(shape[1:], default=0)
    if not is_vector or not SMALLEST_EMBEDDING <= n_channels <= LARGEST_EMBEDDING:
        raise not_a_vector(source.name, source.output, shape[1:])
    return n_channels


def _noise(side_px: int) -> Chips:
    return np.random.default_rng(0).integers(0, 256, (N_NOISE, side_px, side_px, 3), np.uint8)


def _chips(folder: Path, alignment: Alignment) -> Chips:
    """Return two chips of each person, in a row. Raises BundleError if there are too few people."""
    detector = CoarseToFineDetector(load_small_network(YUNET, SHAPES), load_small_network(ONET))
    prepare = FacePreprocessor(detector, load_small_network(OCCLUSION_GRAPH), InProcessDecoder(Limits()), alignment)
    found: list[Pixels] = []
    try:
        people = sorted(each for each in folder.iterdir() if each.is_dir())
        for person in people:
            chips = _chips_of(person, prepare)
            found += chips if len(chips) == PHOTOS_EACH else []
            if len(found) == PHOTOS_EACH * MOST_PEOPLE:
                break
    except OSError as error:
        raise BundleError(f"the folder of faces cannot be read: {error.strerror}") from error
    finally:
        prepare.close()
    if len(found) < PHOTOS_EACH * LEAST_PEOPLE:
        raise BundleError(
            f"there are {len(found) // PHOTOS_EACH} people with two photos of a face in the folder of faces; give one "
            f"with a folder for each of {LEAST_PEOPLE} people or more"
        )
    return np.stack(found)


def _chips_of(person: Path, prepare: FacePreprocessor) -> list[Pixels]:
    """Return the chips of the first two photos that show a face."""
    chips: list[Pixels] = []
    for photo in sorted(each for each in person.iterdir() if is_named_as_photo(each.name)):
        try:
            chips.append(prepare(read_regular_file(photo, Limits().max_bytes), "dominant").chip.pixels)
        except SampleError:
            continue
        if len(chips) == PHOTOS_EACH:
            break
    return chips


def _card(source: SourceNetwork, facts: NetworkFacts, n_channels: int, network: WrappedNetwork) -> ModelCard:
    return new_card(
        name=facts.name,
        summary=f"A network of {n_channels} channels from an ONNX file.",
        limits=(LIMIT,),
        architecture=Architecture(
            backbone=IMPORTED, embedding_size=n_channels, unit_length=facts.unit_length, mirror=facts.mirror
        ),
        preprocessing=facts.preprocessing(source.side_px),
        alignment=facts.alignment_in(source.side_px),
        detector=built_in_detector(),
        provenance=Provenance(
            license=facts.licence,
            source=facts.source,
            source_sha256=source.sha256,
            trained_on=facts.trained_on,
            stored_parameters=network.n_parameters,
        ),
        weights=network.weights,
        graph=network.graph,
    )


def _write_notice(folder: Path, card: ModelCard) -> None:
    try:
        with (folder / NOTICE_FILE).open("x", encoding="utf-8") as notice:
            notice.write(_notice(card))
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror}") from error


def _notice(card: ModelCard) -> str:
    origin = card.provenance
    return f"""\
The weights in this folder are those of {card.name}, from a file with the sha256 {origin.source_sha256}.
Whoever imported it states:
licence: {origin.license}
source: {origin.source}
trained on: {origin.trained_on}
Put the text of the licence beside this file if you pass the folder on.
"""
