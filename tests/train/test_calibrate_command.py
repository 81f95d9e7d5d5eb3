"""`visavis calibrate` from photos to a bundle that every command takes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from embedder import BundleError, load
from embedder.cli import main


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def calibrated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model, calibrated on the London people."""
    folder = tmp_path_factory.mktemp("calibrated")
    result = visavis(
        *("calibrate", "--identities", data / "london", "--out", folder / "bundle", "--cache", folder / "cache"),
        *("--name", "London", "--population", "Students in a studio."),
    )
    assert result.exit_code == 0, result.output
    assert "fmr-1e-3" in result.stdout
    return folder / "bundle"


def test_the_bundle_has_points_of_its_own_and_the_same_weights(calibrated: Path) -> None:
    card, built_in = load(calibrated).card, load().card
    assert (card.digest, card.weights_sha256) == (built_in.digest, built_in.weights_sha256)
    assert card.card_digest != built_in.card_digest
    assert [point.name for point in card.operating_points] == ["fmr-1e-2", "fmr-1e-3"]
    assert card.calibration is not None
    assert (card.calibration.data.name, card.calibration.data.population) == ("London", "Students in a studio.")
    assert (card.calibration.data.n_identities, card.operating_points[0].n_impostor) == (102, 204 * 203 // 2 - 102)


def test_the_bundle_verifies_by_its_own_point(calibrated: Path, examples: Path) -> None:
    pair = examples / "001-neutral.jpg", examples / "001-smiling.jpg"
    said = json.loads(visavis("verify", *pair, "--model", calibrated, "--json").stdout)
    assert said["threshold"] == load(calibrated).card.operating_points[1].threshold
    assert said["operating_point"]["name"] == "fmr-1e-3"


def test_the_points_hold_on_the_very_photos_that_they_were_measured_on(calibrated: Path, data: Path) -> None:
    cache = calibrated.parent / "cache"
    result = visavis("evaluate", "--identities", data / "london", "--model", calibrated, "--cache", cache, "--json")
    assert "says nothing" in json.loads(result.stdout)["cautions"][0]
    for claim in json.loads(result.stdout)["claims"]:
        assert claim["measured_fmr"]["value"] == pytest.approx(claim["claimed_fmr"]["value"], rel=1e-5)
        assert claim["holds"] is True


def test_a_calibration_of_other_weights_is_refused(calibrated: Path, tmp_path: Path) -> None:
    card = json.loads((calibrated / "card.json").read_text())
    card["calibration"]["model_digest"] = "sha256:" + "0" * 64
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "weights.safetensors").symlink_to(calibrated / "weights.safetensors")
    with pytest.raises(BundleError, match="made for other weights"):
        load(tmp_path)


def test_nothing_is_overwritten(calibrated: Path, data: Path) -> None:
    cache = calibrated.parent / "cache"
    again = visavis("calibrate", "--identities", data / "london", "--out", calibrated, "--cache", cache)
    assert again.exit_code == 2
    assert "choose a new folder" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "x"], "say where the photos are"),
        (["--identities", "no/such/folder", "--out", "x"], "no/such/folder"),
        (["--identities", "a"], "--out"),
        (["--identities", "a", "--out", "x", "--population", " "], "must say something"),
        (["--identities", "a", "--out", "tests"], "choose a new folder"),
    ],
)
def test_what_cannot_be_calibrated_is_told_in_a_line_with_status_2(arguments: list[str], says: str) -> None:
    result = visavis("calibrate", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
