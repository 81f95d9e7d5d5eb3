"""Searches in which pgvector proposes templates: what is found, what is claimed, and which databases cannot do it."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import psycopg
import pytest
from postgres_server import new_database
from sqlalchemy import make_url
from stored_templates import DIGESTS, new_template, vector

from embedder import Box, Embedding, Face, FaceEmbedder, Quality, Sample, Timings
from gallery import IdentifyOptions, InvalidValue, NewTemplate, Store, TemplateBlock, TemplateIndex, open_store
from gallery.replica import GalleryReplica, ProposedTemplates

N_PEOPLE, N_EACH = 40, 100


@pytest.fixture
def url(postgres: Any) -> str:
    return new_database(postgres)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url, search="pgvector") as opened:
        opened.create_gallery("staff")
        yield opened


def probe_of(embedder: FaceEmbedder, number: int) -> Embedding:
    sample = Sample(Face(Box(0, 0, 100, 100), (), 1), "only", 1, Quality(60, 0.7, 0, 128, 50, 0, 0, 1, 1, 1))
    return Embedding(vector(number), embedder.card.identity("f32"), sample, Timings(0, 0, 0))


def template(embedder: FaceEmbedder, number: int) -> NewTemplate:
    made = new_template(number)
    return NewTemplate(made.vector, made.quality, embedder.identity.digest)


def propose_all(store: Store, digest: str) -> list[TemplateBlock]:
    """Do what a replica does at its first search; gives what was not proposed before."""
    blocks = []
    for block in store.unproposed("staff", digest, 128):
        store.propose(block.ids, block.vectors)
        blocks.append(block)
    return blocks


def test_an_identification_says_that_templates_were_proposed_and_claims_for_all(
    store: Store, url: str, embedder: FaceEmbedder
) -> None:
    replica = GalleryReplica(store, "staff", embedder.card, embedder.identity.digest)
    options = IdentifyOptions(fpir=0.05)
    assert replica.identify(probe_of(embedder, 1), options).claim is None
    with open_store(url) as in_memory:  # another replica, which knows no proposals
        in_memory.add_templates("staff", "alice", [template(embedder, number) for number in (1, 2)])
        in_memory.add_templates("staff", "bob", [template(embedder, 3)])
        other = GalleryReplica(in_memory, "staff", embedder.card, embedder.identity.digest)
        found, exact = (each.identify(probe_of(embedder, 3), options) for each in (replica, other))
    assert found.candidates == exact.candidates
    assert found.match is not None
    assert found.match.person == "bob"
    assert found.claim is not None
    assert exact.claim is not None
    assert (found.claim.n_templates, found.claim.is_exact, exact.claim.is_exact) == (3, False, True)
    assert (found.claim.threshold, found.prior) == (exact.claim.threshold, exact.prior)
    store.forget_person("staff", "bob")
    after = replica.identify(probe_of(embedder, 3), options)
    assert [each.person for each in after.candidates] == ["alice"]


def test_the_index_proposes_nearly_all_that_an_exact_search_finds(
    store: Store, url: str, embedder: FaceEmbedder
) -> None:
    card, exact = embedder.card, TemplateIndex(len(embedder.card.quality_penalties), 128)
    for person in range(N_PEOPLE):
        new = [template(embedder, 1 + person * N_EACH + number) for number in range(N_EACH)]
        added = store.add_templates("staff", f"person {person}", new)
        vectors = np.array([each.vector for each in new])
        exact.add(
            [each.id for each in added.templates],
            [person] * N_EACH,
            vectors,
            np.zeros((N_EACH, len(card.quality_penalties))),
        )
    propose_all(store, embedder.identity.digest)
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
        connection.execute("ANALYZE")
        connection.execute(f"ALTER DATABASE {make_url(url).database} SET enable_seqscan = off")
    with open_store(url, search="pgvector") as again:
        proposed = ProposedTemplates(again, "staff", card, embedder.identity.digest)
        penalties = np.zeros(len(card.quality_penalties))
        rng, n_same = np.random.default_rng(0), 0
        for number in range(200):
            near = vector(1 + 19 * number) + rng.normal(0, 0.05, 128).astype(np.float32)
            people = [index.search(near, penalties, k=1).people[0].template for index in (exact, proposed)]
            n_same += people[0] == people[1]
    assert n_same >= 195
    with closing(psycopg.connect(url.replace("+psycopg", ""))) as connection:
        used = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'ix_proposals_%'"
        assert connection.execute(used).fetchone()[0] > 0


def test_a_model_has_an_index_of_its_own(store: Store) -> None:
    for person in range(4):
        store.add_templates("staff", f"person {person}", [new_template(1 + 3 * person), new_template(3 + 3 * person)])
    for digest in DIGESTS:
        (block,) = propose_all(store, digest)
        assert len(block) == 4
        assert list(store.unproposed("staff", digest, 128)) == []
    for digest, own in zip(DIGESTS, (1, 3), strict=True):
        found = store.proposed("staff", digest, vector(own), 10)
        assert len(found) == 4
        assert store.counts_of("staff", digest) == (4, 4)


def test_a_store_that_has_no_pgvector_is_refused_at_the_start_with_what_to_do(tmp_path: Path, postgres: Any) -> None:
    with pytest.raises(InvalidValue, match="search this store in memory"):
        open_store(f"sqlite:///{tmp_path}/gallery.db", search="pgvector")
    url = new_database(postgres)
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("GRANT ALL ON SCHEMA public TO guest")
    with pytest.raises(InvalidValue, match=r"SQLSTATE 42501.*CREATE EXTENSION vector.*in memory"):
        open_store(url.replace("postgres:@", "guest:@"), search="pgvector")
    with open_store(url.replace("postgres:@", "guest:@")) as opened:  # the refusal has changed nothing
        opened.create_gallery("staff")


def test_numbers_beyond_the_range_of_proposals_keep_nobody_from_being_found(
    store: Store, embedder: FaceEmbedder
) -> None:
    made = template(embedder, 1)
    store.add_templates("staff", "imported", [NewTemplate(made.vector * 1e9, made.quality, made.model_digest)])
    store.add_templates("staff", "alice", [template(embedder, 3)])
    replica = GalleryReplica(store, "staff", embedder.card, embedder.identity.digest)
    found = replica.identify(probe_of(embedder, 3), IdentifyOptions(fpir=0.05))
    assert [each.person for each in found.candidates] == ["alice", "imported"]


class CountedStore:
    """A store in which a template is added while those that were there are counted."""

    def __init__(self) -> None:
        self.adding = threading.Thread(target=self._add)
        self.index: ProposedTemplates | None = None

    def counts_of(self, *_: object) -> tuple[int, int]:
        self.adding.start()
        self.adding.join(0.2)
        return 3, 3

    def propose(self, *_: object) -> None:
        pass

    def proposed(self, *_: object) -> TemplateBlock:
        return TemplateBlock((), (), np.empty(0, np.int64), np.empty((0, 0), np.float32), np.empty((0, 10)), ())

    def _add(self) -> None:
        assert self.index is not None
        self.index.add(["0" * 32], [9], vector(1)[None], np.empty((1, 0)))


def test_a_template_that_is_added_during_a_count_is_counted(embedder: FaceEmbedder) -> None:
    store = CountedStore()
    store.index = ProposedTemplates(cast("Store", store), "staff", embedder.card, "sha256:one")
    penalties = np.zeros(len(embedder.card.quality_penalties))
    store.index.search(vector(1), penalties, k=1)
    store.adding.join()
    found = store.index.search(vector(1), penalties, k=1)
    assert (found.n_templates, found.n_people) == (4, 4)
