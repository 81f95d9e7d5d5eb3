"""`visavis models`: the models that are known here, and the names in VISAVIS_MODELS as --model takes them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from embedder import BUILT_IN_MODELS, BundleError, bundle_folder, copy_bundle, known_bundles, read_bundle
from service.settings import load_settings
from visavis.cli.main import main


def visavis(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def models(small_chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good bundle, a broken one, a file, and one with the name of a built-in model."""
    folder = tmp_path / "models"
    folder.mkdir()
    copy_bundle(small_chips, folder / "own", read_bundle(small_chips).card)
    copy_bundle(small_chips, folder / "sface-128", read_bundle(small_chips).card)
    (folder / "broken").mkdir()
    (folder / "broken" / "card.json").write_text("{}")
    (folder / "notes.txt").write_text("no bundle")
    monkeypatch.setenv("VISAVIS_MODELS", str(folder))
    return folder


def test_all_models_are_listed_with_their_facts(models: Path) -> None:
    told = visavis("models", "--no-speed", "--json")
    assert told.exit_code == 0, told.output
    found = {each["name"]: each for each in json.loads(told.output)}
    assert list(found) == [*BUILT_IN_MODELS, "broken", "own"]
    own = found["own"]
    assert (own["channels"], own["operating_points"], own["licence"]) == (128, [], "CC0-1.0")
    assert own["n_bytes"] == sum(file.stat().st_size for file in (models / "own").iterdir())
    assert [each["is_built_in"] for each in found.values()] == [True, True, False, False]
    assert found["sface-128"]["operating_points"] == [point.name for point in read_bundle().card.operating_points]
    assert {each["pair_ms"] for each in found.values()} == {None}


@pytest.mark.usefixtures("models")
def test_the_variable_is_no_misspelt_setting_of_the_service() -> None:
    assert load_settings().model is None


@pytest.mark.usefixtures("models")
def test_a_broken_bundle_is_listed_with_the_reason() -> None:
    told = visavis("models", "--no-speed")
    assert told.exit_code == 0
    (line,) = (line for line in told.output.splitlines() if line.startswith("broken"))
    assert "cannot be used: card.json is not a valid model card" in line
    assert "points: not measured" in told.output


def test_the_time_of_a_pair_is_measured_here() -> None:
    told = visavis("models", "--json")
    assert told.exit_code == 0, told.output
    assert all(each["pair_ms"] > 0 for each in json.loads(told.output))


def test_a_name_in_the_folder_is_a_model(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bundle_folder("own") == models / "own"
    assert visavis("model", "--model", "own").output.startswith("just-learnt")
    assert bundle_folder("sface-128") == BUILT_IN_MODELS["sface-128"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    assert bundle_folder("own") == Path("own")  # a path comes first
    assert bundle_folder("./own") == Path("own")
    with pytest.raises(BundleError, match="visavis models lists all that are known"):
        read_bundle("unknown")


def test_without_the_variable_only_the_built_in_models_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISAVIS_MODELS", raising=False)
    assert known_bundles() == dict(BUILT_IN_MODELS)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path / "none"))
    told = visavis("models", "--no-speed")
    assert told.exit_code == 2
    assert "VISAVIS_MODELS names cannot be read: No such file or directory" in told.output
