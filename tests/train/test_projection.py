"""A projection to fewer channels: its formula, the networks that end with it, what it costs, and the command."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from sklearn.decomposition import PCA
from small_chips import write_small_chips

from embedder import BundleError, Projection, RuntimeOptions, load, projected, read_bundle
from embedder.explain import Explainer
from embedder.onnx_import.facts import NetworkFacts
from embedder.onnx_import.importing import import_onnx
from embedder.runtime.export import sample_chips
from train import (
    EmbeddedSet,
    LabeledPhoto,
    LearnedProjection,
    ProjectionPeople,
    Protocol,
    Resampling,
    difference_text,
    learn_projection,
    principal_components,
    projection_cost,
    write_projected,
)
from train.errors import DataError
from visavis.cli.main import main

N_BEFORE, N_AFTER, N_PEOPLE, EACH = 32, 8, 60, 4


def embedded(generator: np.random.Generator, n_people: int = N_PEOPLE) -> tuple[np.ndarray, np.ndarray]:
    """People who differ in few directions, and photos that vary in all."""
    between = np.concatenate([np.full(N_AFTER, 1.0), np.full(N_BEFORE - N_AFTER, 0.02)])
    people = np.repeat(np.arange(n_people), EACH)
    centres = generator.normal(size=(n_people, N_BEFORE)) * between
    vectors = centres[people] + generator.normal(size=(len(people), N_BEFORE)) * 0.3
    return (vectors + 3).astype(np.float32), people


def protocol_of(people: np.ndarray) -> Protocol:
    photos = tuple(LabeledPhoto(Path(str(k)), f"{k:04}", f"person {each:03}") for k, each in enumerate(people))
    return Protocol("made-up people", photos, None, "largest")


def set_of(vectors: np.ndarray) -> EmbeddedSet:
    n = len(vectors)
    return EmbeddedSet(vectors, (None,) * n, tuple(map(str, range(n))), np.ones((n, 10), np.float32))


def test_the_directions_are_the_principal_components() -> None:
    vectors, _ = embedded(np.random.default_rng(0))
    found, expected = principal_components(vectors, N_AFTER), PCA(N_AFTER, svd_solver="full").fit(vectors.astype(float))
    cosines = (found.matrix * expected.components_).sum(axis=1)
    assert np.abs(cosines) == pytest.approx(1, abs=1e-4)  # up to signs
    assert found.mean == pytest.approx(expected.mean_, abs=1e-5)


def test_projected_embeddings_are_scaled_to_length_1_if_they_were_so() -> None:
    vectors, _ = embedded(np.random.default_rng(1))
    found = principal_components(vectors, N_AFTER)
    plain = found(vectors, unit_length=False)
    unit = found(vectors, unit_length=True)
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-6)
    assert unit * np.linalg.norm(plain, axis=1, keepdims=True) == pytest.approx(plain, abs=1e-5)


def test_more_photos_than_channels_are_needed() -> None:
    vectors, _ = embedded(np.random.default_rng(0))
    with pytest.raises(DataError, match=f"at least {N_AFTER + 1} photos .* there are {N_AFTER}"):
        principal_components(vectors[:N_AFTER], N_AFTER)


def test_photos_without_a_face_are_left_out() -> None:
    vectors, people = embedded(np.random.default_rng(0))
    vectors[:EACH] = np.nan  # of the first person none is left
    vectors[-1] = np.nan
    learned = learn_projection(protocol_of(people), set_of(vectors), N_AFTER)
    assert (learned.n_people, learned.n_photos) == (N_PEOPLE - 1, len(people) - EACH - 1)
    assert np.isfinite(learned.projection.matrix).all()


def test_a_third_of_the_people_is_held_out_by_name_and_seed() -> None:
    protocol = protocol_of(np.repeat(np.arange(30), 2))
    one, again, other = (ProjectionPeople.of(protocol, seed) for seed in (0, 0, 1))
    learned, held_out = ({photo.identity for photo in part.photos} for part in (one.learned, one.held_out))
    assert (len(learned), len(held_out), learned & held_out) == (20, 10, set())
    assert again.held_out.photos == one.held_out.photos != other.held_out.photos


def test_the_cost_is_the_fnmr_on_others_before_and_after() -> None:
    generator = np.random.default_rng(2)
    vectors, people = embedded(generator, 200)
    learned = learn_projection(protocol_of(people), set_of(vectors), N_AFTER).projection
    others, who = embedded(generator, 100)
    after = learned(others, unit_length=False)
    cost = projection_cost(protocol_of(who), set_of(others), set_of(after), Resampling(50))
    for estimate, shown in ((cost.before, others), (cost.after, after)):
        assert estimate.value == pytest.approx(plain_fnmr(shown, who), abs=0.01)
    assert cost.difference.value is not None
    assert cost.difference.value < -0.03  # the other directions were noise
    assert cost.difference.interval is not None
    assert cost.difference.interval[0] < cost.difference.value < cost.difference.interval[1] < 0


def plain_fnmr(vectors: np.ndarray, people: np.ndarray) -> float:
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)[np.triu_indices(len(people), 1)]
    same = (people[:, None] == people)[np.triu_indices(len(people), 1)]
    impostor = np.sort(distances[~same])
    return float((distances[same] >= impostor[len(impostor) // 1000]).mean())


def test_too_few_comparisons_are_not_measured() -> None:
    vectors, people = embedded(np.random.default_rng(0), 10)
    cost = projection_cost(protocol_of(people), set_of(vectors), set_of(vectors), Resampling(5))
    assert [each.value for each in (cost.before, cost.after, cost.difference)] == [None] * 3


def test_no_error_among_few_people_is_not_stated_as_no_error_at_all() -> None:
    people = np.repeat(np.arange(60), 3)
    vectors = (np.eye(60)[people] * 5 + np.random.default_rng(0).normal(0, 0.01, (180, 60))).astype(np.float32)
    cost = projection_cost(protocol_of(people), set_of(vectors), set_of(vectors[:, ::-1]), Resampling(20))
    for found in (cost.before, cost.after):
        assert (found.value, found.interval) == (0, (0, pytest.approx(1 - 0.025 ** (1 / 60))))
    assert (cost.difference.value, cost.difference.interval) == (0, None)


def test_a_handful_of_people_give_no_interval() -> None:
    people = np.repeat(np.arange(9), 60)
    noise = np.random.default_rng(0).normal(0, 1, (2, len(people), 20))
    before, after = ((np.eye(20)[people] * 3 + each).astype(np.float32) for each in noise)
    cost = projection_cost(protocol_of(people), set_of(before), set_of(after), Resampling(20))
    for found in (cost.before, cost.after, cost.difference):
        assert found.value is not None
        assert found.interval is None
    assert difference_text(cost).endswith("points")


def random_projection(n_before: int) -> LearnedProjection:
    generator = np.random.default_rng(3)
    matrix = generator.normal(size=(64, n_before)).astype(np.float32) * n_before**-0.5
    return LearnedProjection(Projection(matrix, generator.normal(0, 0.05, n_before).astype(np.float32)), 2, 1)


@pytest.fixture(scope="module")
def torch_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_chips(tmp_path_factory.mktemp("before") / "bundle", embedding_size=512)


@pytest.fixture(scope="module")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_patches(tmp_path_factory.mktemp("imported"))


def import_patches(folder: Path, *, kernels_name: str = "kernels", maps: str = "maps") -> Path:
    """An imported network: a convolution over patches, and the mean."""
    kernels = np.random.default_rng(0).normal(size=(96, 3, 8, 8)).astype(np.float32) / 100
    nodes = [
        helper.make_node("Conv", ["faces", kernels_name], [maps], strides=[8, 8]),
        helper.make_node("Relu", [maps], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vector"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "patches",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 96])],
        [numpy_helper.from_array(kernels, kernels_name)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "own.onnx")
    facts = NetworkFacts(name="own", licence="CC0-1.0", color_order="rgb", mean=127.5, scale=64.0, alignment="arcface")
    import_onnx(folder / "own.onnx", folder / "bundle", facts)
    return folder / "bundle"


@pytest.mark.parametrize("kind", ["torch_bundle", "onnx_bundle"])
def test_a_bundle_ends_with_the_projection(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue(kind)
    bundle, before = read_bundle(folder), load(folder)
    learned = random_projection(bundle.card.architecture.embedding_size)
    card = write_projected(bundle, learned, "shorter", tmp_path / "after")
    assert (card.architecture.embedding_size, card.architecture.projected_from) == (
        64,
        learned.projection.matrix.shape[1],
    )
    assert (card.operating_points, card.default_point, card.digest != bundle.card.digest) == ((), None, True)
    chips = sample_chips(card.alignment.chip_size_px)
    expected = learned.projection(before.embed_chips(chips), unit_length=True)
    with load(tmp_path / "after") as after:
        assert np.abs(after.embed_chips(chips) - expected).max() < 1e-5
        last = Explainer(after).describe().layers[-1]
    assert (last.name, last.shape, last.mixes) == ("head", (64, 1, 1), "channels")
    with pytest.raises(BundleError, match="was projected to 64 channels already"):
        projected(read_bundle(tmp_path / "after"), learned.projection)


def test_values_of_an_imported_network_keep_their_names(tmp_path: Path) -> None:
    taken = import_patches(tmp_path, maps="embeddings_projected_conv")
    with load(taken) as before, load(projected_bundle(taken, tmp_path / "after")) as after:
        chips = sample_chips(before.card.alignment.chip_size_px)
        expected = random_projection(96).projection(before.embed_chips(chips), unit_length=True)
        assert np.abs(after.embed_chips(chips) - expected).max() < 1e-5


def test_weights_with_the_name_of_the_projection_are_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"has values called head\.reduction\.weight already"):
        projected_bundle(import_patches(tmp_path, kernels_name="head.reduction.weight"), tmp_path / "after")


def projected_bundle(folder: Path, out: Path) -> Path:
    write_projected(read_bundle(folder), random_projection(96), "shorter", out)
    return out


def test_torch_computes_the_projection_too(torch_bundle: Path, tmp_path: Path) -> None:
    bundle = read_bundle(torch_bundle)
    write_projected(bundle, random_projection(512), "shorter", tmp_path / "after")
    chips = sample_chips(bundle.card.alignment.chip_size_px)
    vectors = [
        load(tmp_path / "after", running=RuntimeOptions(name)).embed_chips(chips) for name in ("torch", "openvino")
    ]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5


def visavis(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def test_the_command_writes_a_bundle_without_points(torch_bundle: Path, data: Path, tmp_path: Path) -> None:
    told = visavis("project", torch_bundle, "--photos", data / "london", "--channels", 64, "--out", tmp_path / "after")
    assert told.exit_code == 0, told.output
    assert "512 to 64 channels, learned on 136 photos of 68 people" in told.output
    assert "68 photos of 34 other people" in told.output
    assert "operating points: not measured" in told.output
    card = read_bundle(tmp_path / "after").card
    assert (card.name, card.operating_points) == ("just-learnt-64", ())
    assert "then projected from 512 to 64 channels, learned on 136 photos" in card.provenance.trained_on


def test_the_command_refuses_what_is_not_fewer(torch_bundle: Path, tmp_path: Path) -> None:
    told = visavis("project", torch_bundle, "--photos", tmp_path, "--channels", 512, "--out", tmp_path / "after")
    assert told.exit_code == 2
    assert "has 512 channels" in told.output
    assert not (tmp_path / "after").exists()


def test_a_bundle_that_cannot_be_written_is_told_at_once(torch_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ("--photos", tmp_path, "--channels", 64, "--out", tmp_path / "file" / "after")
    told = visavis("project", torch_bundle, *words)
    assert told.exit_code == 2
    assert "the bundle cannot be written: " in told.output
