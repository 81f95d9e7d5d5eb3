"""Bundles and cards: what is altered, broken or unfit to serve is refused with the reason."""

import json
import shutil
from pathlib import Path

import pytest

from embedder import BundleError, OperatingPoint, load
from embedder.weights.bundle import BUILT_IN, CARD_FILE, WEIGHTS_FILE, read_bundle, write_bundle


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUILT_IN, tmp_path / "bundle"))


def alter_card(folder: Path, **facts: object) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | facts))


def test_the_built_in_card_says_what_must_be_said() -> None:
    card = read_bundle(BUILT_IN).card
    assert card.provenance.license == "CC0-1.0"
    assert any("photo of a photo" in limit for limit in card.limits)
    assert [point.name for point in card.operating_points] == ["fmr-1e-2", "fmr-1e-3", "fmr-1e-4", "fmr-1e-5"]
    assert card.default_point == "fmr-1e-3"
    assert card.calibration.data.population


@pytest.mark.parametrize("point", read_bundle(BUILT_IN).card.operating_points, ids=lambda point: point.name)
def test_each_built_in_point_keeps_what_its_name_claims(point: OperatingPoint) -> None:
    claimed = float(point.name.removeprefix("fmr-"))
    low, high = point.fmr_interval
    assert low <= point.fmr <= min(high, claimed)
    assert point.fnmr_interval[0] <= point.fnmr <= point.fnmr_interval[1]
    assert point.fmr * point.n_impostor >= 10  # fewer false matches would carry no rate


def test_a_copied_bundle_is_the_same_model(copy: Path) -> None:
    assert load(copy).identity == load().identity


def test_the_card_digest_covers_what_the_digest_does_not(copy: Path) -> None:
    alter_card(copy, summary="Another summary.")
    ours, theirs = read_bundle(BUILT_IN).card, read_bundle(copy).card
    assert ours.digest == theirs.digest
    assert ours.card_digest != theirs.card_digest


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"operating_points": []}, "none of"),
        ({"default_point": None}, "none of"),
        ({"calibration": {"model_digest": "sha256:" + "0" * 64}}, "calibration"),
        ({"default_point": "fmr-1e-9"}, "none of"),
        ({"unknown": 1}, "unknown"),
        ({"name": "Not A Name"}, "name"),
        ({"metric": "cosine"}, "metric"),
        ({"digest": "sha256:" + "0" * 64}, "altered|other weights"),
        ({"alignment": {"chip_size_px": 150, "points": [[1, 2]] * 5, "landmark_offset_px": 0}}, "altered"),
        ({"weights_sha256": "sha256:" + "0" * 64}, "altered"),
    ],
)
def test_an_altered_card_is_refused(copy: Path, facts: dict[str, object], reason: str) -> None:
    alter_card(copy, **facts)
    with pytest.raises(BundleError, match=reason):
        load(copy)


def test_a_calibration_of_other_weights_is_refused(copy: Path) -> None:
    calibration = json.loads((copy / CARD_FILE).read_text())["calibration"]
    alter_card(copy, calibration=calibration | {"model_digest": "sha256:" + "0" * 64})
    with pytest.raises(BundleError, match="made for other weights"):
        load(copy)


def test_a_bundle_that_was_not_calibrated_yet_is_loaded(copy: Path) -> None:
    alter_card(copy, operating_points=[], default_point=None, calibration=None)
    assert load(copy).card.operating_points == ()


def test_two_points_of_one_name_are_refused(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    alter_card(copy, operating_points=card["operating_points"] * 2)
    with pytest.raises(BundleError, match="different names"):
        load(copy)


def test_altered_weights_are_refused(copy: Path) -> None:
    data = bytearray((copy / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (copy / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(BundleError, match="sha256 differs"):
        load(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_a_card_that_is_no_card_is_refused(copy: Path, content: str) -> None:
    (copy / CARD_FILE).write_text(content)
    with pytest.raises(BundleError, match=r"card\.json"):
        load(copy)


@pytest.mark.parametrize("name", [CARD_FILE, WEIGHTS_FILE])
def test_a_bundle_with_a_file_missing_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name):
        load(copy)


def test_a_path_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle"):
        load(tmp_path / "none")


def test_weights_that_the_card_does_not_describe_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not those"):
        write_bundle(tmp_path / "bundle", read_bundle(BUILT_IN).card, b"other")
