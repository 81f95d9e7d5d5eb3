"""What a projection from 512 to 128 channels costs: FNMR at an FMR of 1e-3 before and after, on people held out.

Usage: python benchmarks/projection.py --data DIR [--people N]. DIR contains celebrities/. No weights of 512 channels
come with the project, so some are trained first: SFace's backbone, as built in, with a new head of 512 channels, which
learns on N people for a minute. The projection is learned on two thirds of 2 N others, and measured on the rest, who
took no part. `visavis project` keeps the principal components; a linear discriminant is here to compare.
"""

import argparse
import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.covariance import ledoit_wolf

from embedder import Projection, load, read_bundle
from train import (
    ChipCutter,
    EmbeddedSet,
    ProjectionPeople,
    Protocol,
    Resampling,
    difference_text,
    embed_photos,
    estimated,
    learn_projection,
    people_of,
    prepare,
    projection_cost,
    read_identities,
    read_run_file,
    read_source,
    run_training,
    write_projected,
)

EACH = 5  # photos of a person
CHANNELS = 128
RUN = """
seed = 0

[data]
train = "chips"

[network]
start = "built-in"
embedding_size = 512
frozen = ["backbone"]

[augmentation]
mirror = { probability = 0 } # the backbone would run on every chip twice

[[losses]]
kind = "cosface"
scale = 32.0
margin = 0.2

[sampling]
people = 64
images = 4

[optimizer]
kind = "adamw"
rate = 3e-4

[loop]
steps = 40

[validation]
every = 10
keep = "best"

[bundle]
name = "sface-512"
license = "research use, as the photos"
trained_on = "celebrities"
degrade = false
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--people", type=int, default=400, metavar="N")
    asked = parser.parse_args()
    start = time.process_time()
    with TemporaryDirectory() as place:
        work = Path(place)
        people = drawn_people(asked.data / "celebrities")
        copied(people[: asked.people], work / "to-train")
        copied(people[asked.people : 3 * asked.people], work / "others")
        model = trained(work)
        say("trained", start)
        parts = ProjectionPeople.of(people_of(read_identities(work / "others")), 0)
        measure(model, parts, work, start)


def drawn_people(folder: Path) -> list[Path]:
    """The people with enough photos that are not low-resolution copies, in an order drawn by their names."""
    people = [each for each in folder.iterdir() if each.is_dir() and len(photos_of(each)) == EACH]
    return sorted(people, key=lambda each: hashlib.sha256(each.name.encode()).digest())


def photos_of(person: Path) -> list[Path]:
    return sorted(each for each in person.iterdir() if not each.name.startswith("b"))[:EACH]


def copied(people: list[Path], folder: Path) -> None:
    for person in people:
        (folder / person.name).mkdir(parents=True)
        for photo in photos_of(person):
            shutil.copy(photo, folder / person.name)


def trained(work: Path) -> Path:
    """Fine-tune a head of 512 channels, and return the bundle."""
    with load() as embedder:
        prepare(read_source(work / "to-train", None), work / "chips", ChipCutter(embedder, "largest"))
    (work / "run.toml").write_text(RUN)
    ended = run_training(read_run_file(work / "run.toml", ()), work / "run", resume=False)
    if ended is None:
        raise SystemExit("run this in one process")
    print(ended.text)
    return ended.bundle


def measure(model: Path, people: ProjectionPeople, work: Path, start: float) -> None:
    with load(model) as embedder:
        learned_on = embed_photos(people.learned, embedder, "largest")
        before = embed_photos(people.held_out, embedder, "largest")
    say("embedded the others", start)
    found = learn_projection(people.learned, learned_on, CHANNELS)
    write_projected(read_bundle(model), found, "sface-512-128", work / "projected")
    with load(work / "projected") as embedder:
        after = embed_photos(people.held_out, embedder, "largest")
    print(
        f"{found}; FNMR at FMR 1e-3 on {len(before.vectors):,} photos of {people.held_out.n_identities} other people:"
    )
    tell("principal components", people.held_out, before, after)
    for name, projection in others(people.learned, learned_on).items():
        projected = replace(before, vectors=projection(before.vectors, unit_length=True))
        tell(name, people.held_out, before, projected)
    say("measured", start)


def others(people: Protocol, learned_on: EmbeddedSet) -> dict[str, Projection]:
    usable = ~np.isnan(learned_on.vectors[:, 0])
    n_before = learned_on.vectors.shape[1]
    return {
        "linear discriminant": discriminant(learned_on.vectors[usable], people.identities[usable]),
        "the first 128 channels": Projection(
            np.eye(CHANNELS, n_before, dtype=np.float32), np.zeros(n_before, np.float32)
        ),
    }


def discriminant(vectors: np.ndarray, identities: np.ndarray) -> Projection:
    """The directions in which people differ most, relative to how much the photos of one person do.

    The covariance within people is shrunk: Ledoit & Wolf, "A well-conditioned estimator for large-dimensional
    covariance matrices", 2004.
    """
    _, people, counts = np.unique(identities, return_inverse=True, return_counts=True)
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)
    centres = np.zeros((len(counts), exact.shape[1]))
    np.add.at(centres, people, exact - mean)
    centres /= counts[:, None]
    within, _ = ledoit_wolf(exact - mean - centres[people], assume_centered=True)
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    between = (centres * counts[:, None]).T @ centres / len(exact)
    _, axes = np.linalg.eigh(whitening @ between @ whitening.T)  # the smallest first
    matrix = axes[:, : -CHANNELS - 1 : -1].T @ whitening
    return Projection(matrix.astype(np.float32), mean.astype(np.float32))


def tell(name: str, people: Protocol, before: EmbeddedSet, after: EmbeddedSet) -> None:
    cost = projection_cost(people, before, after, Resampling())
    print(f"  {name}: {estimated(cost.before)} before, {estimated(cost.after)} after; {difference_text(cost)}")


def say(what: str, start: float) -> None:
    print(f"{what}; {time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
