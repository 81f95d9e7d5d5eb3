"""Galleries as files: what is exported comes back the same; what is no export, or only a part of one, adds nobody."""

import base64
import csv
import json
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder import PRECISIONS, FaceEmbedder, Precision, Quality, no_progress, read_bundle
from gallery import (
    DLIB_MODEL,
    Consent,
    ExportSummary,
    Galleries,
    ImportSummary,
    InvalidValue,
    NewTemplate,
    NoSuchGallery,
    PersonFacts,
    PortablePerson,
    Store,
    export_gallery,
    import_people,
    open_store,
    read_encodings,
    read_export,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DIGESTS = "sha256:" + "a" * 64, "sha256:" + "b" * 64
FACTS = PersonFacts("Zoë, 3rd floor\nleft", Consent("file 12/b", date(2026, 1, 31)), NOW + timedelta(days=30))
PEOPLE = "001", "005", "021", "041"


def template(seed: int, digest: str = DIGESTS[0]) -> NewTemplate:
    rng = np.random.default_rng(seed)
    return NewTemplate(rng.normal(size=128).astype(np.float32), Quality(*rng.uniform(0, 1, 10)), digest, f"r-{seed}")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """Another store, with an empty gallery called visitors."""
    with open_store(f"sqlite:///{tmp_path}/other.db", now=lambda: NOW) as opened:
        opened.create_gallery("visitors")
        yield opened


@pytest.fixture
def export(store: Store, tmp_path: Path) -> Path:
    """The export of a gallery of three people."""
    store.add_templates("staff", "zoë", [template(1), template(2, DIGESTS[1]), template(3)], facts=FACTS)
    store.add_templates("staff", "bob", [template(4)])
    store.put_person("staff", "without photos", PersonFacts("expected on Monday"))
    path = tmp_path / "staff.jsonl"
    assert export_gallery(store, "staff", path, lambda _: None) == ExportSummary(3, 4)
    return path


def imported(store: Store, path: Path, now: datetime = NOW) -> ImportSummary:
    return import_people(store, "visitors", lambda: read_export(path), now, no_progress)


def content(store: Store, gallery: str) -> list[object]:
    """All that a gallery holds, but for its ids and versions."""
    return [
        (
            person.id,
            person.facts,
            [(each.model_digest, each.quality, each.enrolled_at, each.request_id) for each in person.templates],
            [store.templates_of(gallery, person.id, digest).vectors.tolist() for digest in DIGESTS],
        )
        for person in store.people(gallery, limit=100)
    ]


def test_what_is_exported_comes_back_the_same(store: Store, other: Store, export: Path) -> None:
    assert imported(other, export) == ImportSummary(3, 4, 0, 0)
    assert content(other, "visitors") == content(store, "staff")


def test_only_the_owner_can_read_an_export(export: Path) -> None:
    assert stat.S_IMODE(export.stat().st_mode) == 0o600


def test_an_import_may_be_run_again_and_changes_nobody_who_is_there(other: Store, export: Path) -> None:
    other.add_templates("visitors", "bob", [template(9)])
    assert imported(other, export) == ImportSummary(2, 3, 1, 0)
    before = content(other, "visitors")
    assert imported(other, export) == ImportSummary(0, 0, 3, 0)
    assert content(other, "visitors") == before


def test_who_was_to_be_forgotten_by_now_does_not_come_back(other: Store, export: Path) -> None:
    assert imported(other, export, NOW + timedelta(days=30)) == ImportSummary(2, 1, 0, 1)
    assert [each.id for each in other.people("visitors", limit=9)] == ["bob", "without photos"]


def test_an_export_that_ends_too_early_adds_nobody(other: Store, export: Path, tmp_path: Path) -> None:
    whole, cut = export.read_bytes(), tmp_path / "cut"
    lines = whole.splitlines(keepends=True)
    for kept in [*(b"".join(lines[:n]) for n in range(len(lines))), whole[: len(whole) // 2], whole[:-5]]:
        cut.write_bytes(kept)
        with pytest.raises(InvalidValue):
            imported(other, cut)
    cut.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(InvalidValue, match="has lost lines"):
        imported(other, cut)
    assert other.people("visitors", limit=9) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line | {"person": " bob"}, "a person's id"),
        (lambda line: line | {"age": 3}, "line 2 .*age"),
        (lambda line: line | {"templates": [line["templates"][0] | {"embedding": "AAAA"}]}, "line 2 .*64 to 1,024"),
        (lambda line: line | {"templates": [line["templates"][0] | {"quality": {"turn": 1}}]}, "line 2 "),
        (lambda line: line | {"templates": [line["templates"][0] | {"model_digest": "mine"}]}, "line 2 .*digest"),
        (lambda line: line | {"forget_at": "2027-01-01T00:00:00"}, "line 2 .*forget_at"),
    ],
)
def test_a_line_that_is_none_of_an_export_is_named_without_its_content(
    other: Store, export: Path, change: Callable[[dict[str, list[object]]], object], message: str
) -> None:
    first, bob, *rest = export.read_text().splitlines()
    export.write_text("\n".join([first, json.dumps(change(json.loads(bob))), *rest]) + "\n")
    with pytest.raises(InvalidValue, match=message) as caught:
        imported(other, export)
    assert "bob" not in str(caught.value)
    assert other.people("visitors", limit=9) == []


@pytest.mark.parametrize("number", [0.0, 1e-9, 1e38])
def test_zeros_and_huge_numbers_are_no_embedding(store: Store, other: Store, number: float, export: Path) -> None:
    """Zeros would be nearer to every face of a unit-length model than its threshold."""
    vector = np.full(128, number, np.float32)
    with pytest.raises(ValueError, match="of a plausible length"):
        store.add_templates("staff", "eve", [replace(template(5), vector=vector)])
    damage(export, vector)
    with pytest.raises(InvalidValue, match=r"line 2 .*of a plausible length"):
        imported(other, export)
    assert other.people("visitors", limit=9) == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_embedding_of_a_length_that_its_model_cannot_make_is_refused(
    other: Store, export: Path, precision: Precision
) -> None:
    card = read_bundle().card
    whole = np.full(128, 128**-0.5, np.float32)
    damage(export, whole, card.digest_in(precision))
    assert len(list(read_export(export, [card]))) == 3
    half = np.where(np.arange(128) < 64, whole, 0).astype(np.float32)  # the rest was lost
    damage(export, half, card.digest_in(precision))
    with pytest.raises(InvalidValue, match=r"line 2 has a damaged template: its embedding has the length 0\.707"):
        import_people(other, "visitors", lambda: read_export(export, [card]), NOW, no_progress)
    assert other.people("visitors", limit=9) == []


def test_a_mean_over_a_face_and_its_mirror_image_may_be_shorter(export: Path) -> None:
    mirrored = read_bundle().card.with_mirror(mirror=True)
    damage(export, np.full(128, 0.8 * 128**-0.5, np.float32), mirrored.digest)
    assert len(list(read_export(export, [mirrored]))) == 3
    damage(export, np.full(128, 0.3 * 128**-0.5, np.float32), mirrored.digest)
    with pytest.raises(InvalidValue, match=r"length 0\.3, which its model cannot make"):
        list(read_export(export, [mirrored]))


def damage(export: Path, vector: NDArray[np.float32], digest: str = DIGESTS[0]) -> None:
    """Put an embedding into the first line of a person."""
    first, bob, *rest = export.read_text().splitlines()
    line = json.loads(bob)
    line["templates"][0] |= {"embedding": base64.b64encode(vector.tobytes()).decode(), "model_digest": digest}
    export.write_text("\n".join([first, json.dumps(line), *rest]) + "\n")


def test_a_gallery_that_is_missing_is_not_made(store: Store, export: Path, tmp_path: Path) -> None:
    with pytest.raises(NoSuchGallery):
        import_people(store, "visitors", lambda: read_export(export), NOW, no_progress)
    with pytest.raises(NoSuchGallery):
        export_gallery(store, "visitors", tmp_path / "none", lambda _: None)
    assert not (tmp_path / "none").exists()


def write_encodings(path: Path, rows: Sequence[tuple[str, Sequence[float]]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([person, *numbers] for person, numbers in rows)
    return path


def test_encodings_of_dlibs_network_identify_people(
    other: Store, dlib: FaceEmbedder, examples: Path, tmp_path: Path
) -> None:
    vectors = {each: dlib.embed((examples / f"{each}-neutral.jpg").read_bytes()).vector for each in PEOPLE}
    rows = [(person, vectors[person].tolist()) for person in ("001", "005", "001")]
    path = write_encodings(tmp_path / "encodings.csv", rows)
    card = read_bundle(DLIB_MODEL).card
    summary = import_people(other, "visitors", lambda: read_encodings(path, card), NOW, no_progress)
    assert summary == ImportSummary(2, 3, 0, 0)
    galleries = Galleries(other, dlib)
    for person in PEOPLE:
        (face,) = galleries.identify("visitors", (examples / f"{person}-smiling.jpg").read_bytes()).faces
        match = face.identification.match
        assert (match and match.person) == (person if person in ("001", "005") else None)
        assert [each.distance == each.normalized_distance for each in face.identification.candidates] == [True, True]


def test_encodings_of_another_network_are_refused(embedder: FaceEmbedder, examples: Path, tmp_path: Path) -> None:
    vector = embedder.embed((examples / "001-neutral.jpg").read_bytes()).vector
    path = write_encodings(tmp_path / "encodings.csv", [("alice", vector.tolist())])
    with pytest.raises(InvalidValue, match=r"line 1 is no encoding by dlib's network: its length is 1\.00"):
        read_all(path)


@pytest.mark.parametrize(
    "text", ["alice,1,2\n", "alice," + ",".join(["x"] * 128), "alice," + ",".join(["nan"] * 128), '"alice', "\xff"]
)
def test_a_file_that_is_no_list_of_encodings_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "encodings.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidValue):
        read_all(path)


def read_all(path: Path) -> list[PortablePerson]:
    return list(read_encodings(path, read_bundle(DLIB_MODEL).card))
