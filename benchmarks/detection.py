"""Finding faces: against facenet-pytorch's MTCNN, an early end against the whole pyramid, and pictures that lie.

Usage: python benchmarks/detection.py --data DIR [--every N]. DIR holds lfw-view1/, groups/, celebrities/, london/ and
orl/; of each but the groups every N-th photo is taken (1). At equal settings means facenet-pytorch's: its scales and
thresholds, plain means over whole pixels from the full size, and no early end. Times are of one photo after the other,
in turns, decoded before; a ratio is that of the sums. What the three networks take of them bounds what is to be gained.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import MTCNN
from facenet_way import SETTINGS, PlainMeans
from PIL import Image

from embedder import Face, Limits, NoFace, SeveralFaces
from embedder.detection.cascade import Cascade
from embedder.detection.choice import choose, least_share
from embedder.detection.finder import FaceFinder
from embedder.image import read
from embedder.runtime.openvino import OpenVinoRuntime
from embedder.runtime.runtime import DetectionPasses, Pass

LEAST_SCORE = 0.95  # faces below it need not be found by both
LEAST_OVERLAP, MOST_APART = 0.9, 0.015  # intersection over union; landmarks, in distances between the eyes
SAME_PLACE = 0.5  # overlap from which on two boxes are one face
CELEBRITIES_EVERY = 5  # there are 14,968


@dataclass
class Found:
    """One face as either has it."""

    box: np.ndarray  # (4,): left, top, right, bottom
    landmarks: np.ndarray  # (5, 2)


@dataclass
class Race:
    """What is counted and timed over photos."""

    n_photos: int = 0
    differing: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)  # by way
    in_networks: Counter[str] = field(default_factory=Counter)
    way: str = ""  # that is under way

    def timed(self, way: str, work: Callable[[], object]) -> object:
        self.way = way
        return clocked(self.seconds, way, work)

    def watched(self, networks: DetectionPasses) -> DetectionPasses:
        """These networks, whose time is kept apart too."""

        def one(network: Pass) -> Pass:
            return lambda pixels: clocked(self.in_networks, self.way, lambda: network(pixels))

        return DetectionPasses(one(networks.proposal), one(networks.refinement), one(networks.output))


def clocked(seconds: Counter[str], name: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    seconds[name] += time.perf_counter() - start
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    for name, paths in (("groups", groups(asked.data)), ("View 1", lfw(asked.data)[:: asked.every])):
        against_facenet(name, paths)
    early_ends(asked.data, asked.every, FaceFinder(OpenVinoRuntime().detection()))


def groups(data: Path) -> list[Path]:
    return sorted((data / "groups").glob("*.jpg"))


def lfw(data: Path) -> list[Path]:
    return sorted((data / "lfw-view1" / "lfw").glob("*/*.jpg"))


def against_facenet(name: str, paths: list[Path]) -> None:
    theirs, race = MTCNN(keep_all=True), Race()
    networks = race.watched(OpenVinoRuntime().detection())
    cascade, finder = Cascade(networks, SETTINGS, PlainMeans), FaceFinder(networks)
    for path in paths:
        data, picture = path.read_bytes(), Image.open(path).convert("RGB")
        photos = [read(data, Limits()) for _ in range(3)]
        expected = of_theirs(race.timed("facenet-pytorch", lambda: theirs.detect(picture, landmarks=True)))  # noqa: B023 - called at once
        found = of_ours(race.timed("equal settings", lambda: cascade(photos[0])).faces)  # noqa: B023 - called at once
        race.timed("default settings", lambda: finder(photos[1]))  # noqa: B023 - called at once
        race.timed("default settings, largest face", lambda: finder(photos[2], least_share=0.5))  # noqa: B023 - called at once
        race.n_photos += 1
        if not are_same(expected, found):
            race.differing.append(path.name)
    tell_race(name, race)


def tell_race(name: str, race: Race) -> None:
    n_same = race.n_photos - len(race.differing)
    print(
        f"{name}: at equal settings the same faces in {n_same} of {race.n_photos} photos ({n_same / race.n_photos:.2%})"
    )
    theirs = race.seconds["facenet-pytorch"]
    for way, seconds in race.seconds.items():
        milliseconds, in_networks = (1e3 * each / race.n_photos for each in (seconds, race.in_networks[way]))
        of_networks = f" ({in_networks:.2f} of them in the networks)" if in_networks else ""
        print(
            f"    {way}: {milliseconds:.2f} ms a photo{of_networks}, {theirs / seconds:.1f} times as fast", flush=True
        )


def of_theirs(answer: tuple[np.ndarray, ...]) -> list[Found]:
    boxes, scores, landmarks = answer
    if boxes is None:
        return []
    faces = zip(boxes.astype(float), scores, np.asarray(landmarks, float), strict=True)
    return [Found(box, points) for box, score, points in faces if score >= LEAST_SCORE]


def of_ours(faces: tuple[Face, ...]) -> list[Found]:
    return [Found(edges(face), np.array(face.landmarks)) for face in faces if face.score >= LEAST_SCORE]


def edges(face: Face) -> np.ndarray:
    box = face.box
    return np.array([box.x, box.y, box.x + box.width, box.y + box.height])


def are_same(expected: list[Found], found: list[Found]) -> bool:
    return len(expected) == len(found) and all(any(agree(one, other) for other in found) for one in expected)


def agree(one: Found, other: Found) -> bool:
    eye_distance = np.linalg.norm(one.landmarks[0] - one.landmarks[1])
    apart = np.linalg.norm(one.landmarks - other.landmarks, axis=1).max()
    return overlap(one.box, other.box) >= LEAST_OVERLAP and bool(apart <= MOST_APART * eye_distance)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    sides = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0)
    areas = [(box[2:] - box[:2]).prod() for box in (one, other)]
    return float(sides.prod() / (sum(areas) - sides.prod()))


def early_ends(data: Path, every: int, finder: FaceFinder) -> None:
    """Whether the face chosen, or the refusal, is that of the whole pyramid."""
    for name, paths in shared(data, every):
        n_differing = dict.fromkeys(("dominant", "largest"), 0)
        n_early = n_photos = 0
        for path in paths:
            image, n_photos = path.read_bytes(), n_photos + 1
            whole = finder(read(image, Limits()))
            early = finder(read(image, Limits()), least_share=least_share("dominant"))
            n_early += not early.is_whole
            for choice in n_differing:
                n_differing[choice] += not is_same_verdict(verdict(whole, choice), verdict(early, choice))
        told = ", ".join(f"{choice} differs in {n}" for choice, n in n_differing.items())
        print(f"{name}: of {n_photos} photos {n_early} searches ended early; {told}", flush=True)


def shared(data: Path, every: int) -> Iterator[tuple[str, list[Path]]]:
    yield "View 1", lfw(data)[::every]
    yield "groups", groups(data)
    yield "celebrities", sorted((data / "celebrities").glob("*/*"))[:: CELEBRITIES_EVERY * every]
    london = [*sorted((data / "london").glob("*/*.jpg")), *sorted((data / "london-full").glob("*/*.jpg"))]
    yield "London", london[::every]
    yield "ORL", sorted((data / "orl").glob("*/*.pgm"))[::every]


def verdict(found: object, choice: str) -> Face | str:
    try:
        return choose(found, choice, (0, 0))
    except (NoFace, SeveralFaces) as refusal:
        return refusal.code


def is_same_verdict(one: Face | str, other: Face | str) -> bool:
    if isinstance(one, Face) and isinstance(other, Face):
        return overlap(edges(one), edges(other)) > SAME_PLACE
    return one == other


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
