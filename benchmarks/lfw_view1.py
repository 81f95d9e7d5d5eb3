"""LFW View 1, end to end: with and without mirrored chips, whole photos and tight crops.

Usage: python benchmarks/lfw_view1.py --data DIR (DIR contains lfw-view1/). DevTest at the best threshold on DevTrain;
all against all over both, mirrored against not mirrored, with the significance of each difference; then DevTest with
each photo cropped to its detected face box and to 0.9 of it: the tight crops that many users send.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from embedder import FaceEmbedder, NoFace, load
from train.evaluation.evaluation import EvaluationConfig, EvaluationResult, embed_and_compare, evaluate_compared
from train.evaluation.model_comparison import compare_models
from train.evaluation.protocols.folders import people_of
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol
from train.evaluation.results import DecisionThreshold
from train.evaluation.text import versus_text
from train.evaluation.thresholds import best_of

CROPS = (1.0, 0.9)  # of the face box's width and height


def read(folder: Path, part: str, photos: Path | None = None) -> Protocol:
    return read_lfw(folder / f"pairsDev{part}.txt", photos or folder / "lfw")


def show(what: str, evaluated: EvaluationResult) -> None:
    found = evaluated.found
    accuracy, counted = found.figures.accuracy, found.with_failures.accuracy
    if accuracy is None or counted is None:
        raise ValueError("listed pairs have an accuracy")
    print(
        f"{what}: accuracy {accuracy.mean:.4f} (standard error {accuracy.se:.4f}) below {found.threshold.value:.4f}; "
        f"{len(found.failures.photos)} of {found.data.n_photos} photos without a face, counted as non-matches: "
        f"accuracy {counted.mean:.4f}",
        flush=True,
    )


def mirrored_and_not(folder: Path) -> DecisionThreshold:
    """Both ways on the same photos; returns DevTrain's threshold for the card's way."""
    settings = {mirror: EvaluationConfig(load(mirror=mirror), "center") for mirror in (True, False)}
    tuned = {}
    for mirror, setting in settings.items():
        tuned[mirror] = DecisionThreshold(best_of(embed_and_compare(read(folder, "Train"), setting).scores), "pairs")
        test = embed_and_compare(read(folder, "Test"), setting)
        show(f"DevTest, {'mirrored' if mirror else 'not mirrored'}", evaluate_compared(test, setting, tuned[mirror]))
    for part in ("Train", "Test"):
        people = people_of(read(folder, part))
        ways = [
            evaluate_compared(embed_and_compare(people, setting), setting, tuned[m]) for m, setting in settings.items()
        ]
        print(f"Dev{part}, all against all, mirrored against not:\n{versus_text(compare_models(*ways))}", flush=True)
    return tuned[load().card.architecture.mirror]


def cropped(folder: Path, share: float, threshold: DecisionThreshold) -> None:
    setting = EvaluationConfig(load(), "center")
    with TemporaryDirectory() as crops:
        for photo in read(folder, "Test").photos:
            out = Path(crops) / photo.path.relative_to(folder / "lfw")
            out.parent.mkdir(exist_ok=True)
            tight_crop(setting.embedder, photo.path, share).save(out, "JPEG", quality=95)
        test = embed_and_compare(read(folder, "Test", Path(crops)), setting)
    show(f"DevTest, cropped to {share:g} of the face box", evaluate_compared(test, setting, threshold))


def tight_crop(embedder: FaceEmbedder, path: Path, share: float) -> Image.Image:
    """The photo cut to `share` of the box of its central face; the whole photo where no face is found."""
    picture = Image.open(path)
    try:
        box = embedder.chip(path.read_bytes(), face="center").sample.face.box
    except NoFace:
        return picture
    (x, y), width, height = box.center, box.width * share / 2, box.height * share / 2
    edges = max(0, x - width), max(0, y - height), min(picture.width, x + width), min(picture.height, y + height)
    return picture.crop(tuple(round(edge) for edge in edges))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data / "lfw-view1"
    threshold = mirrored_and_not(folder)
    for share in CROPS:
        cropped(folder, share, threshold)


if __name__ == "__main__":
    main()
