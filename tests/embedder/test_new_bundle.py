"""Bundles of networks that were just learnt: what is written is what is read, served and shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from learnt_card import learnt_card
from pydantic import ValidationError

from embedder import (
    BACKBONES,
    Architecture,
    Bundle,
    BundleError,
    EmbeddingNet,
    FaceEmbedder,
    Preprocessing,
    TrainingRecord,
    build_network,
    default_input_size_px,
    load,
    new_network,
    read_bundle,
    serialize_tensors,
    sha256_of,
    tensors_of,
    write_bundle,
)

TOLERANCE = 1e-5
DIGEST = "sha256:" + "1" * 64
RECORD = TrainingRecord(
    data_digest=DIGEST,
    validation_digest=DIGEST,
    n_identities=90,
    n_images=900,
    n_validation_identities=10,
    n_validation_images=100,
    run_sha256=DIGEST,
    seed=0,
    steps=1000,
    minutes=12.5,
    started_from=None,
    losses=("triplet: margin 0.2",),
    versions={"torch": "2.14.1"},
)


@pytest.fixture(scope="module")
def chips(embedder: FaceEmbedder, examples: Path) -> np.ndarray:
    """The faces of the eight example photos."""
    return np.stack([embedder.chip(photo.read_bytes()).pixels for photo in sorted(examples.glob("*.jpg"))])


def learnt(
    backbone: str, chips: np.ndarray, *, crop_px: int | None = None
) -> tuple[EmbeddingNet, Architecture, Preprocessing]:
    """A network whose statistics are no longer those that it was made with."""
    architecture = Architecture(backbone=backbone, embedding_size=128, unit_length=True, mirror=True)
    preprocessing = Preprocessing(
        input_size_px=default_input_size_px(backbone), crop_px=crop_px, color_order="RGB", mean=(127.5,) * 3, scale=64.0
    )
    network = new_network(architecture, preprocessing, chips.shape[1], torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        network.train()(torch.from_numpy(chips))
    return network.eval(), architecture, preprocessing


@pytest.mark.parametrize("name", BACKBONES)
def test_a_network_of_each_backbone_is_read_and_served_as_it_was_learnt(
    name: str, chips: np.ndarray, tmp_path: Path
) -> None:
    network, architecture, preprocessing = learnt(name, chips)
    weights = serialize_tensors(tensors_of(network))
    write_bundle(tmp_path / "bundle", learnt_card(weights, architecture, preprocessing, RECORD), weights)
    faces, turned = (torch.from_numpy(np.ascontiguousarray(each)) for each in (chips, chips[:, :, ::-1]))
    with torch.inference_mode():
        before, mirrored = network(faces).numpy(), network(turned).numpy()
        after = build_network(read_bundle(tmp_path / "bundle")).eval()(faces).numpy()
    assert np.array_equal(before, after)
    served = load(tmp_path / "bundle")
    assert np.abs(served.embed_chips(chips) - before).max() < TOLERANCE
    assert np.abs(served.embed_faces(chips) - (before + mirrored) / 2).max() < TOLERANCE
    assert served.card.training == RECORD


@pytest.fixture(scope="module")
def small(chips: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the small network, which looks at the middle of chips."""
    network, architecture, preprocessing = learnt("small", chips, crop_px=96)
    weights = serialize_tensors(tensors_of(network))
    folder = tmp_path_factory.mktemp("small") / "bundle"
    write_bundle(folder, learnt_card(weights, architecture, preprocessing, RECORD), weights)
    return folder


def test_a_new_bundle_has_float32_tensors_alone_and_none_that_serving_does_not_use(small: Path) -> None:
    tensors = read_bundle(small).tensors
    assert {tensor.dtype.name for tensor in tensors.values()} == {"float32"}
    assert not [name for name in tensors if name.endswith("num_batches_tracked")]


def test_a_tensor_too_few_is_refused_though_counters_may_be_missing(small: Path) -> None:
    bundle = read_bundle(small)
    fewer = {name: tensor for name, tensor in bundle.tensors.items() if not name.endswith("running_mean")}
    with pytest.raises(BundleError, match="do not fit"):
        build_network(Bundle(bundle.card, fewer))


def test_tensors_of_a_network_do_not_change_when_it_learns_on(small: Path) -> None:
    network = build_network(read_bundle(small))
    tensors = tensors_of(network)
    kept = {name: tensor.copy() for name, tensor in tensors.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert all(np.array_equal(tensors[name], kept[name]) for name in kept)


def test_weights_are_written_the_same_however_they_lie_in_memory(small: Path) -> None:
    network = build_network(read_bundle(small)).to(memory_format=torch.channels_last)
    assert sha256_of(serialize_tensors(tensors_of(network))) == read_bundle(small).card.weights_sha256


def test_weights_of_a_training_that_diverged_become_no_bundle(small: Path) -> None:
    network = build_network(read_bundle(small))
    with torch.no_grad():
        network.head.projection.weight[3, 5] = torch.nan
    with pytest.raises(BundleError, match=r"head\.projection\.weight .* diverged"):
        tensors_of(network)


def test_a_new_card_is_complete_but_for_what_was_not_measured(small: Path) -> None:
    card = read_bundle(small).card
    assert card.digest == card.computed_digest()
    assert card.weights_sha256 == sha256_of((small / "weights.safetensors").read_bytes())
    assert (card.operating_points, card.default_point, card.calibration, card.quality_penalties) == ((), None, None, ())


def test_the_training_record_changes_the_card_but_not_the_digest_of_the_embeddings(small: Path) -> None:
    card = read_bundle(small).card
    without = card.model_copy(update={"training": None})
    assert without.digest == without.computed_digest() == card.digest
    assert without.card_digest != card.card_digest
    assert "training" not in without.model_dump()
    assert json.loads(card.to_json())["training"]["losses"] == ["triplet: margin 0.2"]


def test_a_training_record_with_an_unknown_key_or_a_wrong_digest_is_refused() -> None:
    for wrong in ({"unknown": 1}, {"data_digest": "md5:0"}, {"minutes": -1}):
        with pytest.raises(ValidationError):
            TrainingRecord.model_validate(RECORD.model_dump() | wrong)


def test_another_crop_is_another_model(small: Path) -> None:
    card = read_bundle(small).card
    whole = card.preprocessing.model_copy(update={"crop_px": None})
    assert card.model_copy(update={"preprocessing": whole}).computed_digest() != card.digest


def visavis(*arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("visavis"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_shows_a_new_bundle_and_says_that_it_has_no_threshold_yet(small: Path, examples: Path) -> None:
    shown = visavis("model", "--model", small, "--json")
    assert json.loads(shown.stdout)["training"] == json.loads(RECORD.model_dump_json())
    asked = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--model", small)
    assert asked.returncode == 2
    assert "calibrate" in asked.stderr
