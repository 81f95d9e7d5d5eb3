"""Chips of the size that a model asks for, prepared and learnt from; and what is refused of them."""

import sys
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from click.testing import CliRunner, Result

from embedder import load, read_bundle
from train.data.prepared import KeptChips, open_prepared
from visavis.cli.main import main

pytestmark = pytest.mark.slow

RUN = """
[data]
train = "{data}"
held_out = 0.5
[network]
backbone = "small"
input_size_px = 48
crop_px = 104
[[losses]]
kind = "triplet"
[sampling]
people = 2
images = 2
[loop]
steps = 2
precision = "f32"
[bundle]
name = "tiny"
license = "for tests alone"
trained_on = "Four people of the ORL faces."
degrade = false
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Of four people, three of each."""
    folder = tmp_path_factory.mktemp("photos")
    for k in range(1, 5):
        (folder / f"s{k}").mkdir()
        for each in sorted((data / "orl" / f"s{k}").iterdir())[:3]:
            (folder / f"s{k}" / each.name).symlink_to(each.resolve())
    return folder


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory, photos: Path, small_chips: Path) -> Path:
    """Of 112 px."""
    return prepared(photos, tmp_path_factory.mktemp("chips") / "four", small_chips)


@pytest.fixture(scope="module")
def large_chips(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Of 150 px."""
    return prepared(photos, tmp_path_factory.mktemp("large-chips") / "four", "dlib-resnet29-128")


def prepared(photos: Path, out: Path, model: Path | str) -> Path:
    visavis = Path(sys.executable).with_name("visavis")
    run([visavis, "prepare", photos, "--out", out, "--model", model], check=True, capture_output=True)
    return out


@pytest.fixture
def run_file(tmp_path: Path, chips: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(RUN.format(data=chips), encoding="utf-8")
    return path


def train(run_file: Path, *settings: str) -> Result:
    options = [part for setting in settings for part in ("--set", setting)]
    return CliRunner().invoke(main, ["train", str(run_file), "--out", str(run_file.with_name("run")), *options])


@pytest.mark.parametrize(("fixture", "side"), [("chips", 112), ("large_chips", 150)])
def test_prepared_chips_are_as_large_as_the_models(fixture: str, side: int, request: pytest.FixtureRequest) -> None:
    data = open_prepared(request.getfixturevalue(fixture))
    found = data.chips([0, 5])
    assert found.shape == (2, side, side, 3)
    kept = KeptChips(data, np.array([5, 0], np.int32))
    assert np.array_equal(kept([1, 0]), found)


def test_a_model_learns_from_them_and_serves_with_their_alignment(
    run_file: Path, small_chips: Path, examples: Path
) -> None:
    done = train(run_file)
    assert done.exit_code == 0, done.stderr
    card = read_bundle(run_file.with_name("run") / "bundle").card
    assert card.alignment == read_bundle(small_chips).card.alignment
    assert card.preprocessing.crop_px == 104
    embedder = load(run_file.with_name("run") / "bundle")
    assert embedder.embed((examples / "001-neutral.jpg").read_bytes()).vector.shape == (128,)


def test_a_bundle_learns_on_and_may_look_at_the_whole_chip_again(run_file: Path, small_chips: Path) -> None:
    text = run_file.read_text(encoding="utf-8").replace('backbone = "small"', f'start = "{small_chips}"')
    run_file.write_text(text, encoding="utf-8")
    done = train(run_file, "network.crop_px=112")
    assert done.exit_code == 0, done.stderr
    assert read_bundle(run_file.with_name("run") / "bundle").card.preprocessing.crop_px is None


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("network.crop_px=150", "network.crop_px is 150, but the chips have 112 px: set 112 or less"),
        (
            "augmentation.low_resolution.size_px=[24,113]",
            "augmentation.low_resolution.size_px goes up to 113, but the chips have 112 px: set 112 or less",
        ),
        ("network.crop_px=514", "network.crop_px"),
    ],
)
def test_what_is_larger_than_the_chips_is_refused(run_file: Path, setting: str, told: str) -> None:
    refused = train(run_file, setting)
    assert refused.exit_code == 2
    assert told in " ".join(refused.stderr.split())


def started_from(run_file: Path, model: str, *settings: str) -> Result:
    text = run_file.read_text(encoding="utf-8").replace('backbone = "small"', f'start = "{model}"')
    run_file.write_text(text.replace("input_size_px = 48\ncrop_px = 104\n", ""), encoding="utf-8")
    return train(run_file, *settings)


def test_a_built_in_model_is_started_from_by_its_name(run_file: Path, large_chips: Path) -> None:
    done = started_from(run_file, "dlib-resnet29-128", f"data.train={large_chips}")
    assert done.exit_code == 0, done.stderr
    start, card = (read_bundle(model).card for model in ("dlib-resnet29-128", run_file.with_name("run") / "bundle"))
    assert card.training is not None
    assert (card.training.started_from, card.architecture) == (start.digest, start.architecture)


@pytest.mark.parametrize(("teacher", "model"), [("built-in", "sface-128"), ("sface-128", "sface-128")])
def test_chips_of_another_size_than_the_teachers_are_refused_with_the_model_to_prepare_them_for(
    run_file: Path, large_chips: Path, teacher: str, model: str
) -> None:
    losses = f"losses=[{{kind = 'distillation', teacher = '{teacher}'}}]"
    refused = train(run_file, losses, "network.unit_length=false", f"data.train={large_chips}")
    assert refused.exit_code == 2
    assert f"than the teacher {teacher}; run visavis prepare with --model {model}" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("model", ["built-in", "sface-128", "dlib-resnet29-128"])
def test_chips_of_another_size_than_the_bundle_to_start_from_are_refused(
    run_file: Path, large_chips: Path, model: str
) -> None:
    settings = () if model == "dlib-resnet29-128" else (f"data.train={large_chips}",)
    refused = started_from(run_file, model, *settings)
    assert refused.exit_code == 2
    assert "prepared for another model than network.start; run visavis prepare with --model" in refused.stderr
