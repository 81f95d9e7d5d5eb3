"""How far encodings of face_recognition are from the embeddings that the built-in dlib bundle makes of the same photos.

Usage: python benchmarks/imported_encodings.py --data DIR --dlib PYTHON --files FOLDER [--people N]. PYTHON is an
interpreter that has dlib, such as that of `make rivals`; FOLDER contains dlib's two .dat files; DIR contains london/.
The networks' weights are the same; detector, landmarks and averaging over the mirror image are not. Prints the distance
of a photo's encoding to its embedding, and the error rates at the card's points when the reference is an imported
encoding and the probe an embedding, beside those of embeddings alone: the neutral photo of each person is the
reference, and the smiling photos of all people are probes.
"""

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from embedder import SampleError, load
from gallery import DLIB_MODEL, read_encodings

RIVAL = Path(__file__).parent / "rivals" / "dlib_encodings.py"

Vectors = Mapping[str, NDArray[np.float32]]  # by the paths of the photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dlib", required=True, metavar="PYTHON")
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--people", type=int)
    given = parser.parse_args()
    people = sorted((given.data / "london").iterdir())[: given.people]
    photos = [person / f"{mood}_front.jpg" for person in people for mood in ("neutral", "smiling")]
    theirs, ours = encodings(given.dlib, given.files, photos), embeddings(photos)
    both = [str(photo) for photo in photos if str(photo) in theirs and str(photo) in ours]
    distances = [float(np.linalg.norm(theirs[photo] - ours[photo])) for photo in both]
    low, middle, high = np.quantile(distances, (0.05, 0.5, 0.95))
    print(f"{len(both)} of {len(photos)} photos encoded by both; {len(photos) - len(theirs)} without a face for dlib")
    print(f"distance of a photo's encoding to its embedding: median {middle:.3f}, 5% to 95% {low:.3f} to {high:.3f}")
    rates("embeddings alone", ours, ours, people)
    rates("imported encodings", theirs, ours, people)


def encodings(python: str, files: Path, photos: Sequence[Path]) -> Vectors:
    """Those of dlib, read as `visavis gallery import` reads them, with the path of the photo as the person's id."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "encodings.csv"
        with path.open("wb") as file:
            subprocess.run([python, RIVAL, files, *photos], stdout=file, check=True)
        people = read_encodings(path, load(DLIB_MODEL).card)
        return {person.id: person.templates[0].vector for person in people}


def embeddings(photos: Sequence[Path]) -> Vectors:
    results = load(DLIB_MODEL).embed_many([photo.read_bytes() for photo in photos]).results
    return {
        str(photo): each[0].vector
        for photo, each in zip(photos, results, strict=True)
        if not isinstance(each, SampleError)
    }


def rates(name: str, references: Vectors, probes: Vectors, people: Sequence[Path]) -> None:
    """Print the error rates at the card's points; the quality of imported photos is unknown, so there is no penalty."""
    neutral = [str(person / "neutral_front.jpg") for person in people]
    smiling = [str(person / "smiling_front.jpg") for person in people]
    usable = [place for place in range(len(people)) if neutral[place] in references and smiling[place] in probes]
    rows = np.array([references[neutral[place]] for place in usable])
    columns = np.array([probes[smiling[place]] for place in usable])
    distances = np.linalg.norm(rows[:, None] - columns, axis=2)
    genuine, impostor = np.diag(distances), distances[~np.eye(len(usable), dtype=bool)]
    print(f"{name}: median distance of a person {np.median(genuine):.3f}, of two people {np.median(impostor):.3f}")
    for point in load(DLIB_MODEL).card.operating_points:
        fnmr, fmr = float((genuine >= point.threshold).mean()), float((impostor < point.threshold).mean())
        print(f"  {point.name}: FNMR {fnmr:.1%} of {genuine.size}, FMR {fmr:.2g} of {impostor.size:,}")


if __name__ == "__main__":
    main()
