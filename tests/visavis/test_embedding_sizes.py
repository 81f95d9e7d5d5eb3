"""Models of 64, 512 and 1,024 channels go the whole way: load, bulk, gallery, service, client, explanation, export."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from pydantic import ValidationError
from small_chips import write_small_chips
from starlette.testclient import TestClient

from embedder import (
    LARGEST_EMBEDDING,
    SMALLEST_EMBEDDING,
    Architecture,
    BundleError,
    FaceEmbedder,
    ModelCard,
    Quality,
    RuntimeOptions,
    copy_bundle,
    load,
    new_network,
    no_progress,
    read_bundle,
    tensors_of,
)
from embedder.bulk import BulkRequest, LocalFolder, LocalPhotos, embed_folders, read_faces
from embedder.bulk.manifest import BLOCK, Manifest
from embedder.bulk.parts import MAX_PART_BYTES
from embedder.explain import Explainer
from embedder.explain.atlas.atlas import atlas_of, atlas_record
from embedder.explain.atlas.faces import AtlasFaces
from embedder.explain.atlas.traits import TRAITS
from embedder.explain.pair_sheet import MARGIN_PX, WIDTH_PX, draw_pair_sheet
from embedder.pipeline import MAX_FACES
from embedder.runtime.export import export
from gallery import Galleries, InvalidValue, NewTemplate, NoSuchTemplate, Store, open_store
from gallery.exchange import export_gallery, import_people, read_export
from service.app import create_app
from service.client import FaceClient, RequestRejected
from service.settings import Settings
from service.wire import requests
from train import embed_photos, open_cache
from train.evaluation.protocols.protocol import LabeledPhoto, Protocol
from train.run.network import build_run_network
from train.run_file import NetworkConfig

SIZES = (64, 512, 1024)
THRESHOLD = 0.5  # of a network that has learnt nothing
NOW = datetime.now(UTC)


@pytest.fixture(scope="module", params=SIZES)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sized")
    bare = write_small_chips(made / "bare", embedding_size=request.param)
    copy_bundle(bare, made / "bundle", with_points(read_bundle(bare).card))
    return made / "bundle"


def with_points(card: ModelCard) -> ModelCard:
    """The built-in model's points, with thresholds below all distances of two photos."""
    known = read_bundle().card
    assert known.calibration is not None
    points = tuple(each.model_copy(update={"threshold": each.threshold / 1000}) for each in known.operating_points)
    calibration = known.calibration.model_copy(update={"model_digest": card.digest})
    return card.calibrated(calibration, points, str(known.default_point), ())


@pytest.fixture(scope="module")
def sized(bundle: Path) -> Iterator[FaceEmbedder]:
    with load(bundle) as model:
        yield model


@pytest.fixture(scope="module")
def n_channels(sized: FaceEmbedder) -> int:
    return sized.card.architecture.embedding_size


@pytest.fixture(scope="module")
def client(sized: FaceEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceClient]:
    """The client of a service with that model, which keeps galleries."""
    file = tmp_path_factory.mktemp("gallery") / "gallery.db"
    with TestClient(create_app(Settings(gallery=f"sqlite:///{file}"), sized)) as http, FaceClient(http=http) as asked:
        while not asked.ready():
            pass
        yield asked


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        opened.create_gallery("people")
        yield opened


@pytest.fixture(scope="module")
def one(examples: Path) -> bytes:
    return (examples / "001-neutral.jpg").read_bytes()


@pytest.fixture(scope="module")
def other(examples: Path) -> bytes:
    return (examples / "005-neutral.jpg").read_bytes()


def test_the_wire_has_the_range_of_the_cards() -> None:
    assert (requests.SMALLEST_EMBEDDING, requests.LARGEST_EMBEDDING) == (SMALLEST_EMBEDDING, LARGEST_EMBEDDING)


@pytest.mark.parametrize("n_channels", [128, 130])
def test_an_atlas_has_the_correlations_of_up_to_128_channels(n_channels: int, embedder: FaceEmbedder) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, n_channels)).astype(np.float32)
    vectors[:, [3, 7]] *= 0.1
    picture = np.zeros((75, 75, 3), np.uint8)
    faces = AtlasFaces(
        vectors, generator.normal(size=(40, 1)), np.arange(40), ("",) * 40, (b"",) * 40, picture[None], picture, ()
    )
    pictures, looks_at = np.zeros((n_channels, 75, 75, 3), np.uint8), np.zeros((n_channels, 15, 15))
    record = atlas_record(atlas_of(faces, TRAITS[:1], looks_at, pictures, embedder.identity))
    kept = [each for each in range(n_channels) if n_channels == 128 or each not in (3, 7)]
    assert np.array(record["together"]) == pytest.approx(np.corrcoef(vectors.T[kept].astype(float)), abs=0.006)
    assert record.get("together_of", kept) == kept
    assert ("together_of" in record) == (n_channels > 128)


@pytest.mark.parametrize("size", [64, 65, 128, 1024])
def test_a_card_has_any_size_in_the_range(size: int) -> None:
    facts = {"backbone": "small", "unit_length": True, "mirror": False}
    assert Architecture(**facts, embedding_size=size).embedding_size == size


@pytest.mark.parametrize(("size", "bound"), [(63, "greater than or equal to 64"), (1025, "less than or equal to 1024")])
def test_a_card_of_another_size_is_not_read(small_chips: Path, tmp_path: Path, size: int, bound: str) -> None:
    for file in small_chips.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    card["architecture"]["embedding_size"] = size
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=f"architecture.embedding_size: Input should be {bound}"):
        read_bundle(tmp_path)
    with pytest.raises(ValidationError):
        Architecture(backbone="small", embedding_size=size, unit_length=True, mirror=False)


def test_a_graph_of_another_size_than_the_card_says_is_not_run(tmp_path: Path) -> None:
    sixty_four, others = (write_small_chips(tmp_path / str(size), embedding_size=size) for size in (64, 68))
    bundle = read_bundle(sixty_four)
    lying = bundle.card.model_copy(update={"architecture": read_bundle(others).card.architecture})
    lying = lying.model_copy(update={"digest": lying.computed_digest()})
    (sixty_four / "card.json").write_text(lying.to_json())
    with pytest.raises(BundleError, match="not 2 x 68 finite numbers"):
        load(sixty_four)


def test_branches_have_as_many_channels_each() -> None:
    with pytest.raises(BundleError, match="must be a multiple of 4, not 66"):
        new_network(
            Architecture(backbone="patches", embedding_size=66, unit_length=True, mirror=False),
            read_bundle().card.preprocessing,
            112,
            torch.Generator(),
        )


def test_a_face_is_embedded_and_compared(sized: FaceEmbedder, n_channels: int, one: bytes, other: bytes) -> None:
    embedding = sized.embed(one)
    assert embedding.vector.shape == (n_channels,)
    assert np.linalg.norm(embedding.vector) <= 1.0001  # the mean of two of length 1
    compared = sized.verify(one, other, threshold=THRESHOLD)
    digest = embedding.model.digest
    (alone,) = sized.compare(embedding.vector, [sized.embed(other).vector], model_digest=digest, threshold=1).results
    assert compared.distance == pytest.approx(alone.distance, abs=1e-5)
    with pytest.raises(ValueError, match=rf"has shape \({n_channels},\), not \(128,\)"):
        sized.compare(embedding.vector, [np.zeros(128)], model_digest=digest, threshold=1)


def test_torch_computes_what_the_exported_graph_does(bundle: Path, n_channels: int, tmp_path: Path) -> None:
    exported = export(read_bundle(bundle), tmp_path / "out", "onnx")
    assert exported.difference < 1e-5
    assert f"float32 (n, {n_channels})" in exported.about
    graph = onnx.load(str(tmp_path / "out" / "just-learnt.onnx")).graph
    assert graph.output[0].type.tensor_type.shape.dim[1].dim_value == n_channels


def test_a_bulk_run_is_written_and_read_with_that_size(
    bundle: Path, sized: FaceEmbedder, n_channels: int, examples: Path, tmp_path: Path
) -> None:
    photos = (examples / "001-neutral.jpg", examples / "005-neutral.jpg")
    out = LocalFolder(tmp_path / "out")
    request = BulkRequest(LocalPhotos.of(photos), out, "dominant", str(bundle), RuntimeOptions())
    assert embed_folders(request).n_rows == 2
    schema = parquet.read_schema(out.path / "part-00000.parquet")
    assert schema.field("embedding").type == pa.list_(pa.float32(), n_channels)
    faces = read_faces(out)
    assert np.abs(faces.vectors - [sized.embed(each.read_bytes()).vector for each in photos]).max() < 1e-5


def test_the_largest_part_of_a_run_can_be_read_again() -> None:
    assert BLOCK * MAX_FACES * LARGEST_EMBEDDING * np.float32().nbytes < MAX_PART_BYTES


def test_a_manifest_says_the_size_unless_it_is_that_of_earlier_runs() -> None:
    facts = {"n_photos": 1, "photos": "sha256:", "block": 1, "face": "all", "model": "m", "precision": "f32"}
    digests = {"model_digest": "sha256:", "card_digest": "sha256:"}
    for size, is_said in ((128, False), (512, True)):
        text = Manifest(**facts, **digests, embedding_size=size).model_dump_json()
        assert ("embedding_size" in text) is is_said
        assert Manifest.model_validate_json(text).embedding_size == size


def test_an_explanation_has_every_channel(sized: FaceEmbedder, n_channels: int, one: bytes, other: bytes) -> None:
    found = Explainer(sized).explain(one, other, threshold=THRESHOLD)
    assert sorted(each.channel for each in found.channels) == list(range(n_channels))
    assert sum(each.share for each in found.channels) == pytest.approx(1)
    assert found.saliency is not None
    assert draw_pair_sheet(found).width == WIDTH_PX + 2 * MARGIN_PX


def test_the_service_and_its_client_pass_embeddings_on(
    client: FaceClient, n_channels: int, one: bytes, other: bytes
) -> None:
    embedded = client.embed(one)
    assert len(embedded.embedding) == n_channels
    assert client.verify(one, other, threshold=THRESHOLD).distance == pytest.approx(
        client.compare(embedded, [client.embed(other)], threshold=THRESHOLD).results[0].distance, abs=1e-5
    )
    assert len(client.explain(one, other, threshold=THRESHOLD, saliency=False).channels) == n_channels


def test_the_service_refuses_an_embedding_of_another_size_and_names_both(
    client: FaceClient, n_channels: int, one: bytes
) -> None:
    digest = client.embed(one).model.digest
    for wrong in (128, 100):
        with pytest.raises(RequestRejected, match=rf"probe has {wrong} numbers, but .* has {n_channels}"):
            client.compare([0.0] * wrong, [[0.0] * wrong], model_digest=digest, threshold=THRESHOLD)


def test_1000_references_of_that_size_fit_into_a_request(client: FaceClient, one: bytes) -> None:
    embedded = client.embed(one)
    found = client.compare(embedded, [embedded] * 1000, threshold=THRESHOLD)
    assert {each.distance for each in found.results} == {0.0}


def test_people_are_enrolled_and_identified(client: FaceClient, one: bytes, other: bytes) -> None:
    gallery = client.gallery("people")
    gallery.create()
    for person, photo in (("one", one), ("other", other)):
        gallery.enrol(person, [photo])
    (face,) = gallery.identify(one).faces
    assert (face.candidates[0].person, face.candidates[0].distance) == ("one", pytest.approx(0, abs=1e-6))
    assert gallery.verify("one", one, threshold=THRESHOLD).distance == pytest.approx(0, abs=1e-6)
    gallery.forget_person("one")
    assert [each.person for each in gallery.identify(one).faces[0].candidates] == ["other"]


QUALITY = Quality(60, 0.7, 0, 128, 50, 0, 0, 1, 1, 1)


def template(n: int, digest: str, seed: int = 0) -> NewTemplate:
    vector = np.random.default_rng(seed).normal(size=n).astype(np.float32)
    return NewTemplate(vector, QUALITY, digest)


def test_templates_of_several_sizes_are_stored_wiped_and_moved(store: Store, tmp_path: Path) -> None:
    digests = {n: f"sha256:{n:064x}" for n in (64, 128, 1024)}
    everything = [template(n, digest) for n, digest in digests.items()]
    store.add_templates("people", "a", everything)
    for each in everything:
        block = store.templates_of("people", "a", each.model_digest)
        assert block.vectors.tobytes() == each.vector.tobytes()
    export_gallery(store, "people", tmp_path / "people.jsonl", lambda _: None)
    store.forget_person("people", "a")
    file = (tmp_path / "store.db").read_bytes()
    assert not any(each.vector.tobytes()[:32] in file for each in everything)
    import_people(store, "people", lambda: read_export(tmp_path / "people.jsonl"), NOW, no_progress)
    for each in everything:
        assert store.templates_of("people", "a", each.model_digest).vectors.tobytes() == each.vector.tobytes()
    assert (tmp_path / "store.db").stat().st_size == len(file)  # in the rows that were wiped


def test_templates_of_one_model_have_one_size(store: Store) -> None:
    digest = f"sha256:{1:064x}"
    store.add_templates("people", "a", [template(64, digest)])
    for new in ([template(128, digest)], [template(64, digest), template(65, digest)]):
        with pytest.raises(InvalidValue, match="cannot be of one model"):
            store.add_templates("people", "b", new)
    assert store.gallery("people").n_templates == {digest: 1}


@pytest.mark.parametrize("size", [63, 1025])
def test_a_template_is_of_a_size_that_some_model_may_have(store: Store, size: int) -> None:
    with pytest.raises(ValueError, match="64 to 1,024 finite numbers"):
        store.add_templates("people", "a", [template(size, f"sha256:{1:064x}")])


def test_templates_of_another_size_are_never_compared(store: Store, embedder: FaceEmbedder, one: bytes) -> None:
    """Not even if an imported file says that they are of this model."""
    store.add_templates("people", "a", [template(512, embedder.identity.digest)])
    galleries = Galleries(store, embedder)
    assert [each.identification.candidates for each in galleries.identify("people", one).faces] == [()]
    with pytest.raises(NoSuchTemplate):
        galleries.verify("people", "a", one)


def test_a_cache_of_embeddings_has_records_of_that_size(
    sized: FaceEmbedder, n_channels: int, examples: Path, tmp_path: Path
) -> None:
    photos = tuple(LabeledPhoto(examples / f"{k}-neutral.jpg", k, k) for k in ("001", "005"))
    people = Protocol("two", photos, None, "dominant")
    cache = open_cache(tmp_path, sized, "dominant")
    found = embed_photos(people, sized, "dominant", cache)
    assert found.vectors.shape == (2, n_channels)
    assert [face.vector.shape for face in cache.load().values()] == [(n_channels,)] * 2
    again = embed_photos(people, sized, "dominant", cache)
    assert np.array_equal(again.vectors, found.vectors)


def test_a_new_head_stands_on_the_weights_of_the_bundle_that_training_starts_from(bundle: Path) -> None:
    start = read_bundle(bundle)
    settings = NetworkConfig(start=str(bundle), embedding_size=256)
    built = build_run_network(settings, start.card.alignment, torch.Generator().manual_seed(0))
    assert built.architecture.embedding_size == 256
    for name, tensor in tensors_of(built.network).items():
        if name.startswith("head."):
            assert tensor.shape[0] == 256
        else:
            assert np.array_equal(tensor, start.tensors[name])
