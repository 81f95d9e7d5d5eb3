"""Face detection: time against facenet-pytorch's MTCNN, missed faces, and early stops against full searches.

Usage: python benchmarks/detection.py --data DIR [--every N]. DIR contains lfw-view1/, groups/, celebrities/, london/,
london-full/ and orl/; every N-th photo (1) of each except the groups is used. Photos are processed one by one and were
read and decoded before; the methods take turns. Photos are divided into rounds; a figure is the median of the rounds,
with minimum and maximum. Both use their default number of threads: visavis one, torch all cores.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image
from race.figures import figure

from embedder import Face, FaceChoice, Limits, NoFace, SeveralFaces
from embedder.detection.detector import (
    ONET,
    SHAPES,
    YUNET,
    CoarseToFineDetector,
    Detections,
    min_area_ratio_of,
    select_face,
)
from embedder.detection.yunet import iou_above
from embedder.image import Photo, decode_image
from embedder.runtime.choice import load_small_network

AT_LEAST = {"every face": 5, "the largest face": 10}  # times as fast as facenet-pytorch
THEIRS = "facenet-pytorch"
ROUNDS = 5
LEAST_SCORE, SAME_PLACE = 0.95, 0.3  # of a face of MTCNN's that should be found; intersection over union
ENDING_EARLY: tuple[FaceChoice, ...] = ("dominant", "largest")
LANDMARKS_APART_PX = 0.001  # passes over other numbers of faces differ in their last bits

Seconds = dict[str, list[float]]  # by way, a round each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    finder, mtcnn = (
        CoarseToFineDetector(load_small_network(YUNET, SHAPES), load_small_network(ONET)),
        MTCNN(keep_all=True),
    )
    view_1 = lfw(asked.data)[:: asked.every]
    for name, paths in (("View 1", view_1), ("groups", groups(asked.data))):
        tell_times(name, timed(paths, finder, mtcnn), len(paths))
    missed_in_groups(groups(asked.data), finder, mtcnn)
    without_a_face(view_1, finder)
    early_ends(asked.data, asked.every, finder)


def groups(data: Path) -> list[Path]:
    return sorted((data / "groups").glob("*.jpg"))


def lfw(data: Path) -> list[Path]:
    return sorted((data / "lfw-view1" / "lfw").glob("*/*.jpg"))


def timed(paths: list[Path], finder: CoarseToFineDetector, mtcnn: MTCNN) -> Seconds:
    """Seconds of each way over the photos of each round; the first photo is looked at once before, to warm up."""
    of_one_photo(paths[0], finder, mtcnn)
    seconds: Seconds = {}
    for number in range(min(ROUNDS, len(paths))):
        sums = dict.fromkeys((THEIRS, *AT_LEAST), 0.0)
        for path in paths[number::ROUNDS]:
            for way, taken in of_one_photo(path, finder, mtcnn).items():
                sums[way] += taken
        for way, taken in sums.items():
            seconds.setdefault(way, []).append(taken)
    return seconds


def of_one_photo(path: Path, finder: CoarseToFineDetector, mtcnn: MTCNN) -> dict[str, float]:
    data, picture = path.read_bytes(), Image.open(path).convert("RGB")
    photos = [decode_image(data, Limits()) for _ in AT_LEAST]  # each way makes the smaller sizes that it needs itself
    ways: dict[str, Callable[[], object]] = {
        THEIRS: partial(mtcnn.detect, picture, landmarks=True),
        "every face": partial(finder, photos[0]),
        "the largest face": partial(finder, photos[1], min_area_ratio=min_area_ratio_of("largest")),
    }
    return {way: clocked(work) for way, work in ways.items()}


def clocked(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tell_times(name: str, seconds: Seconds, n_photos: int) -> None:
    print(f"{name}, {n_photos} photos")
    n_of_round = [len(range(number, n_photos, ROUNDS)) for number in range(len(seconds[THEIRS]))]
    for way, taken in seconds.items():
        each = [1e3 * total / n for total, n in zip(taken, n_of_round, strict=True)]
        print(figure((name, "detection"), way, "ms a photo", each).as_text())
    for way, bar in AT_LEAST.items():
        ratios = [theirs / ours for theirs, ours in zip(seconds[THEIRS], seconds[way], strict=True)]
        print(figure((name, "detection"), f"{way}, as fast as {THEIRS}", "times", ratios, at_least=bar).as_text())


def missed_in_groups(paths: list[Path], finder: CoarseToFineDetector, mtcnn: MTCNN) -> None:
    """Faces that MTCNN is sure of and that are not found."""
    n_sure = n_found = n_missed = 0
    for path in paths:
        sure, found = of_mtcnn(path, mtcnn), edges(finder(photo_at(path)).faces)
        missed = ~iou_above(sure, found, SAME_PLACE).any(axis=1)
        n_sure, n_found, n_missed = n_sure + len(sure), n_found + len(found), n_missed + int(missed.sum())
        if missed.any():
            print(f"  {path.name}: missed {missed.sum()} of {len(sure)}, at {sure[missed].round().tolist()}")
    print(
        f"groups: of {n_sure} faces that MTCNN scores {LEAST_SCORE} or more {n_missed} missed; {n_found} found in all"
    )


def of_mtcnn(path: Path, mtcnn: MTCNN) -> np.ndarray:
    """The boxes of the faces that it is sure of, (n, 4)."""
    boxes, scores = mtcnn.detect(Image.open(path).convert("RGB"))
    if boxes is None:
        return np.empty((0, 4))
    return np.array(boxes, float)[np.array(scores, float) >= LEAST_SCORE]


def photo_at(path: Path) -> Photo:
    return decode_image(path.read_bytes(), Limits())


def edges(faces: tuple[Face, ...]) -> np.ndarray:
    boxes = [face.box for face in faces]
    return np.array([(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]).reshape(-1, 4)


def without_a_face(paths: list[Path], finder: CoarseToFineDetector) -> None:
    missing = [path.name for path in paths if not finder(photo_at(path)).faces]
    print(f"View 1: {len(missing)} of {len(paths)} photos without a face", *missing, flush=True)


def early_ends(data: Path, every: int, finder: CoarseToFineDetector) -> None:
    """Whether the face chosen, or the refusal, is that of the whole search."""
    for name, paths in shared(data, every):
        n_early, differing = 0, dict.fromkeys(ENDING_EARLY, 0)
        for path in paths:
            whole = finder(photo_at(path))
            for choice in differing:
                early = finder(photo_at(path), min_area_ratio=min_area_ratio_of(choice))
                differing[choice] += not is_same(verdict(whole, choice), verdict(early, choice))
            n_early += not early.is_whole
        told = ", ".join(f"{choice} differs in {n}" for choice, n in differing.items())
        print(f"{name}: of {len(paths)} photos {n_early} searches ended early; {told}", flush=True)


def shared(data: Path, every: int) -> Iterator[tuple[str, list[Path]]]:
    yield "View 1", lfw(data)[::every]
    yield "groups", groups(data)
    yield "celebrities", sorted((data / "celebrities").glob("*/*"))[::every]
    london = [*sorted((data / "london").glob("*/*.jpg")), *sorted((data / "london-full").glob("**/*.jpg"))]
    yield "London", london[::every]
    yield "ORL", sorted((data / "orl").glob("*/*.pgm"))[::every]


def verdict(found: Detections, choice: FaceChoice) -> Face | str:
    try:
        return select_face(found, choice, (0, 0))
    except (NoFace, SeveralFaces) as refusal:
        return refusal.code


def is_same(one: Face | str, other: Face | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    apart = np.abs(np.array(one.landmarks) - np.array(other.landmarks)).max()
    return one.box == other.box and bool(apart < LANDMARKS_APART_PX)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
