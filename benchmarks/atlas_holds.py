"""Check the correlations of an atlas on other people: LFW View 1.

Usage: python benchmarks/atlas_holds.py --data DIR [--atlas atlas.json] [--every N]. The default atlas is that of the
built-in model, whose photos include no person with a name in LFW; check this for your own atlas. DIR contains
lfw-view1/, of which every N-th photo (1) is used. Prints for how many channels at least one correlation is significant
in both, with the same sign.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from embedder import BUILT_IN, load
from embedder.explain.atlas.faces import AtlasPhoto, collect_faces
from embedder.explain.atlas.statistics import correlations
from embedder.explain.atlas.traits import TRAITS
from embedder.explain.explanation import atlas_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atlas", type=Path, default=atlas_file(BUILT_IN.name))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    atlas = json.loads(asked.atlas.read_text("utf-8"))
    embedder = load()
    if embedder.identity.digest != atlas["model_digest"]:
        raise SystemExit("the atlas is of another model than the built-in one")
    folder = asked.data / "lfw-view1" / "lfw"
    faces = collect_faces(photos(folder, asked.every), folder, embedder, lambda _n: None)
    again = correlations(faces.vectors.astype(float), faces.traits, faces.people, np.random.default_rng(0))
    before = np.array([[of_trait(channel, trait.name) for trait in TRAITS] for channel in atlas["channels"]])
    tell(before, np.stack([again.r, again.low, again.high], axis=2), len(faces.vectors))


def photos(folder: Path, every: int) -> list[AtlasPhoto]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.jpg"))[::every]
    people = sorted({name.partition("/")[0] for name in names})
    return [AtlasPhoto(name, people.index(name.partition("/")[0])) for name in names]


def of_trait(channel: dict, trait: str) -> list[float]:
    """Pearson's r and its interval."""
    (found,) = (each for each in channel["correlations"] if each["trait"] == trait)
    return [np.nan if found[key] is None else found[key] for key in ("r", "low", "high")]


def tell(before: np.ndarray, again: np.ndarray, n: int) -> None:
    """Both (128, traits, 3): r, low, high."""
    sure, sure_again = (is_sure(each) for each in (before, again))
    same = np.sign(before[..., 0]) == np.sign(again[..., 0])
    held = sure & sure_again & same
    print(f"{n:,} faces of LFW View 1")
    print(f"channels with a sure correlation in the atlas: {sure.any(axis=1).sum()} of {len(before)}")
    print(f"channels with one that is sure on LFW too, with the same sign: {held.any(axis=1).sum()}")
    print(f"of {sure.sum()} sure correlations {(sure & same).sum()} have the same sign on LFW, {held.sum()} surely")
    for place, trait in enumerate(TRAITS):
        print(f"  {trait.en}: {sure[:, place].sum()} sure, {(sure & same)[:, place].sum()} of the same sign on LFW")


def is_sure(values: np.ndarray) -> np.ndarray:
    return (values[..., 1] > 0) | (values[..., 2] < 0)


if __name__ == "__main__":
    main()
