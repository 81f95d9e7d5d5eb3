"""What pgvector's proposals miss of an exact search, and how long both take.

Usage: python benchmarks/pgvector_recall.py --data DIR [--templates N] [--probes N]. DIR contains lfw-view1 as described
in CONTRIBUTING.md. The templates are embeddings of real faces with noise added, one a person; half of the probes are
templates with more noise, the other half are of people who are not in the gallery. It starts a PostgreSQL of its own.
"""

import argparse
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
from identification_speed import around, real_faces
from sqlalchemy import Engine, create_engine, insert, select, text

from embedder import ModelCard, percent, read_bundle
from gallery import Store, TemplateIndex, claim_for, open_store, strictest_fpir
from gallery.replica import N_PROPOSED, ProposedTemplates
from gallery.schema import embeddings, galleries, people, templates

sys.path.append(str(Path(__file__).parents[1] / "tests" / "made"))

from postgres_server import new_database, running_postgres
from stored_templates import new_template

GALLERY, BATCH = "staff", 10_000
MATED_NOISE = 0.75  # length, on embeddings of length 1: distances as between photos of one person


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--probes", type=int, default=1_000)
    given = parser.parse_args()
    card, generator = read_bundle().card, np.random.default_rng(0)
    faces = real_faces(given.data / "lfw-view1" / "lfw")
    vectors = around(faces, given.templates, generator)
    strangers = around(faces, given.probes // 2, generator)
    mated = vectors[generator.integers(0, len(vectors), given.probes - len(strangers))]
    mated = mated + generator.normal(0, MATED_NOISE / np.sqrt(mated.shape[1]), mated.shape).astype(np.float32)
    mated /= np.linalg.norm(mated, axis=1, keepdims=True)
    with running_postgres() as server, open_store(url := new_database(server), search="pgvector") as store:
        store.create_gallery(GALLERY)
        engine = create_engine(url)
        ids = stored(engine, card.digest, vectors)
        exact = TemplateIndex(len(card.quality_penalties), vectors.shape[1])
        exact.add(ids, range(len(ids)), vectors, np.zeros((len(ids), len(card.quality_penalties))))
        proposed = ProposedTemplates(store, GALLERY, card, card.digest)
        fill(store, engine, proposed, card)
        report(card, np.concatenate([mated, strangers]), exact, proposed)
        print(f"searches that used the index: {n_uses(engine)} of {given.probes}")


def stored(engine: Engine, digest: str, vectors: np.ndarray) -> list[str]:
    """Write templates straight into the tables, a person each; return their ids."""
    now, generator = datetime.now(UTC), np.random.default_rng(1)
    quality = asdict(new_template(60).quality)
    ids = [UUID(bytes=generator.bytes(16)).hex for _ in vectors]
    with engine.begin() as connection:
        gallery_id = connection.scalars(select(galleries.c.id)).one()
        of_gallery = {"gallery_id": gallery_id}
        for start in range(0, len(ids), BATCH):
            some = range(start, min(start + BATCH, len(ids)))
            connection.execute(
                insert(people),
                [of_gallery | {"id": 1 + n, "person": f"p{n}", "created_at": now, "version": 1} for n in some],
            )
            connection.execute(
                insert(embeddings),
                [{"slot": 1 + n, "is_free": False, "embedding": vectors[n].tobytes()} for n in some],
            )
            of_all = of_gallery | quality | {"model_digest": digest, "enrolled_at": now}
            connection.execute(
                insert(templates), [of_all | {"id": ids[n], "person_id": 1 + n, "slot": 1 + n} for n in some]
            )
    return ids


def fill(store: Store, engine: Engine, proposed: ProposedTemplates, card: ModelCard) -> None:
    """Let the table of proposals be filled and its index made; say how long that takes."""
    begun = time.perf_counter()
    for block in store.unproposed(GALLERY, card.digest, proposed.n_channels):
        store.propose(block.ids, block.vectors)
    seconds = time.perf_counter() - begun
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
        size = "SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'proposals'::regclass"
        n_bytes = connection.scalars(text(size)).one()
    print(f"filled and indexed in {seconds:.0f} s; indexes of {n_bytes / 2**20:.0f} MiB on the disk")


def n_uses(engine: Engine) -> int:
    """How many searches the database has done by pgvector's index, and not by looking at all rows."""
    time.sleep(2)  # until its sessions have told
    with engine.connect() as connection:
        query = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'ix_proposals_%'"
        return int(connection.scalars(text(query)).one())


def report(card: ModelCard, probes: np.ndarray, exact: TemplateIndex, proposed: ProposedTemplates) -> None:
    """Search for each probe in both ways, in turns."""
    fpir = max(1e-2, strictest_fpir(card, len(exact)) or 1)
    threshold = claim_for(card, fpir=fpir, n_templates=len(exact)).threshold
    penalties = np.zeros(len(card.quality_penalties))
    seconds: dict[str, list[float]] = {"exact": [], "pgvector": []}
    n_same = n_matches = n_found = 0
    for vector in probes:
        found = []
        for name, index in (("exact", exact), ("pgvector", proposed)):
            begun = time.perf_counter()
            found.append(index.search(vector, penalties, k=1).people[0])
            seconds[name].append(time.perf_counter() - begun)
        is_same = found[0].template == found[1].template
        is_match = found[0].normalized_distance < threshold
        n_same, n_matches, n_found = n_same + is_same, n_matches + is_match, n_found + (is_match and is_same)
    print(
        f"{len(exact):,} templates, {len(probes):,} probes, {N_PROPOSED} proposals for each: the nearest person is "
        f"proposed for {percent(n_same / len(probes))} of them, and of {n_matches:,} matches at an FPIR of "
        f"{percent(fpir)} {percent(n_found / max(1, n_matches))} are found"
    )
    for name, times in seconds.items():
        p50, p99 = np.quantile(times, [0.5, 0.99])
        print(f"{name}: p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f} ms")


if __name__ == "__main__":
    main()
