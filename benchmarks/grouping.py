"""`visavis group` on LFW View 1 and on 3,000 photos of celebrities, against scikit-learn's DBSCAN; time and memory.

Usage: python benchmarks/grouping.py --data DIR [--embeddings FOLDER] (DIR contains lfw-view1/ and celebrities/; FOLDER
keeps the embeddings, so that a stopped run can be resumed). All faces of the photos are grouped; B-cubed precision and
recall are those of the faces whose names are known: the one nearest the centre in LFW, the largest of a celebrity's
photo. Celebrities are of the half whom no operating point was measured on. DBSCAN receives the same faces, and the eps
that turns out best. Then 15,000 and 100,000 faces, made by noise around real embeddings, each in its own process.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from math import hypot
from pathlib import Path

import numpy as np
from celebrities import is_in_first_half
from sklearn.cluster import DBSCAN

import embedder.bulk.run as bulk_run
from embedder import MEASURES, RuntimeOptions, read_bundle, show_progress
from embedder.bulk import BulkRequest, EmbeddedFaces, LocalFolder, LocalPhotos, embed_folders, read_faces
from gallery.clusters import FaceSet, Indices
from gallery.grouping import Grouping, group_faces
from gallery.link_rule import link_rule

N_CELEBRITIES = 3000  # photos
LFW_CENTRE = (125, 125)  # px
FMRS = (None, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4)  # None: the default
EPS = np.arange(0.6, 1.1, 0.025)
LEAST_PRECISION = 0.99
SIZES = (15_000, 100_000)
NOISE = 0.06  # of each channel: two copies lie about 0.8 apart, as two photos of one person do
SMALL_BLOCK = 128  # photos that a stopped run loses at most


@dataclass(frozen=True)
class LabelledFaces:
    """All faces of the photos, and the names of some."""

    name: str
    faces: FaceSet
    labelled: Indices  # (k,) the faces whose names are known
    people: Indices  # (k,) numbers of the names


def lfw_view1(data: Path, embeddings: Path) -> LabelledFaces:
    embedded = embed((data / "lfw-view1" / "lfw",), embeddings / "view1")
    return labelled("LFW View 1", embedded, nearest_to_centre(embedded))


def celebrities(data: Path, embeddings: Path) -> LabelledFaces:
    folder = data / "celebrities"
    others = (each.name for each in folder.iterdir() if not is_in_first_half(each.name))
    chosen: list[Path] = []
    n_photos = 0
    for name in sorted(others, key=lambda name: sha256(name.encode()).hexdigest()):
        if n_photos < N_CELEBRITIES:
            chosen.append(folder / name)
            n_photos += len(list(chosen[-1].iterdir()))
    embedded = embed(tuple(sorted(chosen)), embeddings / "celeb")
    largest = {face.photo: k for k, face in reversed(list(enumerate(embedded.faces)))}  # largest first in each photo
    return labelled("celebrities", embedded, largest)


def embed(folders: tuple[Path, ...], out: Path) -> EmbeddedFaces:
    bulk_run.BLOCK = SMALL_BLOCK
    embed_folders(BulkRequest(LocalPhotos.of(folders), LocalFolder(out), "all", None, RuntimeOptions()), show_progress)
    return read_faces(LocalFolder(out))


def nearest_to_centre(embedded: EmbeddedFaces) -> dict[int, int]:
    """The face of each photo that is nearest to the centre."""
    x, y = LFW_CENTRE
    away = [hypot(face.box.center[0] - x, face.box.center[1] - y) for face in embedded.faces]
    return {embedded.faces[k].photo: k for k in sorted(range(len(away)), key=lambda k: -away[k])}


def labelled(name: str, embedded: EmbeddedFaces, meant: dict[int, int]) -> LabelledFaces:
    names = [Path(embedded.photos[photo]).parent.name for photo in meant]
    pictures = np.array([face.photo for face in embedded.faces])
    faces = FaceSet.by(read_bundle().card, embedded.vectors, pictures, embedded.qualities.astype(np.float64))
    people = np.unique(names, return_inverse=True)[1]
    print(
        f"{name}: {len(embedded.photos):,} photos, {len(pictures):,} faces, {(~faces.is_usable).sum():,} too poor; "
        f"{len(people):,} faces of {people.max() + 1:,} people have names"
    )
    return LabelledFaces(name, faces, np.array(list(meant.values())), people)


def b_cubed(clusters: Indices, people: Indices) -> tuple[float, float]:
    """Precision and recall, as means over the faces."""
    both = np.unique(np.stack([clusters, people]), axis=1, return_inverse=True, return_counts=True)
    together = both[2][both[1].ravel()]
    of_cluster, of_person = (np.bincount(each)[each] for each in (clusters, people))
    return float((together / of_cluster).mean()), float((together / of_person).mean())


def each_alone(clusters: Indices) -> Indices:
    """Give each face without a cluster (-1) one of its own."""
    alone = np.flatnonzero(clusters < 0)
    numbered = clusters.copy()
    numbered[alone] = clusters.max(initial=-1) + 1 + np.arange(len(alone))
    return numbered


def rates(found: LabelledFaces, clusters: Indices) -> tuple[float, float, float]:
    """F, precision and recall."""
    numbers = np.unique(each_alone(clusters)[found.labelled], return_inverse=True)[1]
    precision, recall = b_cubed(numbers, found.people)
    return 2 * precision * recall / (precision + recall), precision, recall


def in_words(of: tuple[float, float, float]) -> str:
    return "F {:.4f}, precision {:.4f}, recall {:.4f}".format(*of)


def ours(found: LabelledFaces) -> None:
    n_usable, card = int(found.faces.is_usable.sum()), read_bundle().card
    for fmr in FMRS:
        rule = link_rule(card, n_usable, fmr)
        begun = time.perf_counter()
        grouping = group_faces(found.faces, rule)
        seconds = time.perf_counter() - begun
        print(
            f"  visavis, FMR {rule.fmr:.2g}{'' if fmr else ' (default)'}, threshold {rule.threshold:.3f}: "
            f"{in_words(rates(found, grouping.person_of))}; {seconds:.1f} s",
            flush=True,
        )
        if fmr is None:
            show_doubts(found, grouping)


def show_doubts(found: LabelledFaces, grouping: Grouping) -> None:
    """How many of the mixed and of the scattered people are said to be in doubt."""
    name_of = dict(zip(found.labelled.tolist(), found.people.tolist(), strict=True))
    names = [{name_of[face] for face in person.faces if face in name_of} for person in grouping.people]
    n_people_of = np.bincount([name for each in names for name in each])
    mixed = [len(each) > 1 for each in names]
    scattered = [any(n_people_of[name] > 1 for name in each) for each in names]
    for what, is_so, said in (
        ("several names", mixed, [person.split is not None for person in grouping.people]),
        (
            "a name that others have too",
            scattered,
            [person.doubtful_rival(grouping.rule) is not None for person in grouping.people],
        ),
    ):
        n_right = sum(so and told for so, told in zip(is_so, said, strict=True))
        print(f"    {sum(is_so):,} people with {what}, {n_right:,} of them in doubt; in doubt altogether {sum(said):,}")


def dbscan(found: LabelledFaces) -> None:
    usable = np.flatnonzero(found.faces.is_usable)
    vectors = found.faces.vectors[usable]
    distances = np.sqrt(np.maximum(2 - 2 * vectors @ vectors.T, 0))
    tried = []
    for eps in EPS:
        clusters = np.full(len(found.faces.vectors), -1)
        clusters[usable] = DBSCAN(eps=eps, min_samples=1, metric="precomputed").fit_predict(distances)
        tried.append((rates(found, clusters), eps))
    best, eps = max(tried)
    print(f"  DBSCAN at its best eps, {eps:.3f}: {in_words(best)}")
    precise = [(of[2], of, eps) for of, eps in tried if of[1] >= LEAST_PRECISION]
    if precise:
        _, of, eps = max(precise)
        print(f"  DBSCAN at its best eps with a precision of {LEAST_PRECISION}, {eps:.3f}: {in_words(of)}", flush=True)


def many(n: int, embeddings: Path) -> None:
    """Group n faces made by noise around those of View 1 and of celebrities."""
    generator = np.random.default_rng(0)
    real = np.concatenate([read_faces(LocalFolder(embeddings / name)).vectors for name in ("view1", "celeb")])
    people = generator.integers(len(real) // 2, size=n)  # each real face a person; half of them, two faces or more each
    vectors = real[people] + generator.normal(scale=NOISE, size=(n, real.shape[1])).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    qualities = np.full((n, len(MEASURES)), 60.0)  # good ones
    faces = FaceSet.by(read_bundle().card, vectors.astype(np.float32), np.arange(n) // 2, qualities)
    before, begun = peak_mib(), time.perf_counter()
    grouping = group_faces(faces, link_rule(read_bundle().card, n))
    seconds = time.perf_counter() - begun
    print(
        f"{n:,} faces: {seconds:.1f} s, peak memory {peak_mib():.0f} MiB ({before:.0f} MiB before); "
        f"{len(grouping.people):,} people",
        flush=True,
    )


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, help="Keep the embeddings here.")
    parser.add_argument("--faces", type=int, help="Make and group only so many faces, in this process.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        embeddings = asked.embeddings or Path(folder)
        if asked.faces is None:
            measure(asked.data, embeddings)
        else:
            many(asked.faces, embeddings)


def measure(data: Path, embeddings: Path) -> None:
    for read in (lfw_view1, celebrities):
        found = read(data, embeddings)
        ours(found)
        dbscan(found)
    words = ["--data", str(data), "--embeddings", str(embeddings)]
    for size in SIZES:
        subprocess.run([sys.executable, __file__, *words, "--faces", str(size)], check=True)


if __name__ == "__main__":
    main()
