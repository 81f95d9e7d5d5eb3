"""Bundles and cards: what is altered, broken or unfit to serve is refused with the reason."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from embedder import (
    BundleError,
    DetectorFacts,
    OperatingPoint,
    bundle_folder,
    load,
)
from embedder.weights.bundle import (
    BUILT_IN,
    BUILT_IN_MODELS,
    CARD_FILE,
    WEIGHTS_FILE,
    read_bundle,
    write_bundle,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUILT_IN, tmp_path / "bundle"))


def alter_card(folder: Path, **facts: object) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | facts))


@pytest.mark.parametrize(("name", "license_"), [("sface-128", "Apache-2.0"), ("dlib-resnet29-128", "CC0-1.0")])
def test_a_built_in_card_says_what_must_be_said(name: str, license_: str) -> None:
    card = read_bundle(name).card
    assert (card.name, card.provenance.license) == (name, license_)
    assert any("photo of a photo" in limit for limit in card.limits)
    assert [point.name for point in card.operating_points] == [f"fmr-1e-{power}" for power in range(2, 7)]
    assert [penalty.measure for penalty in card.quality_penalties] == ["sharpness", "eyes_visible", "mouth_visible"]
    assert card.default_point == "fmr-1e-3"
    assert all(data.population for data in card.calibration.measured_on)


POINTS = [(name, point) for name in BUILT_IN_MODELS for point in read_bundle(name).card.operating_points]


@pytest.mark.parametrize(
    "point", [point for _, point in POINTS], ids=[f"{name}-{point.name}" for name, point in POINTS]
)
def test_each_built_in_point_keeps_what_its_name_claims(point: OperatingPoint) -> None:
    claimed = float(point.name.removeprefix("fmr-"))
    low, high = point.fmr_interval
    assert low <= point.fmr <= min(high, claimed)
    assert point.fnmr_interval[0] <= point.fnmr <= point.fnmr_interval[1]
    assert point.fmr * point.n_impostor >= 10  # fewer false matches would carry no rate


def test_a_copied_bundle_is_the_same_model(copy: Path) -> None:
    assert load(copy).identity == load().identity


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_a_built_in_model_is_loaded_by_its_name(name: str) -> None:
    assert load(name).card == read_bundle(BUILT_IN_MODELS[name]).card
    assert load(name).card.name == name


def test_the_default_model_is_sface_128() -> None:
    assert load().card.name == BUILT_IN.name == next(iter(BUILT_IN_MODELS)) == "sface-128"


@pytest.mark.parametrize("name", ["sface", "SFACE-128", "dlib-resnet29-128/"])
def test_what_is_neither_a_name_nor_a_bundle_is_refused_with_the_built_in_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="built-in ones are sface-128 and dlib-resnet29-128"):
        load(name)


def test_a_folder_named_like_a_built_in_model_is_reached_by_its_path(
    bare_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bare_bundle, tmp_path / "sface-128")
    monkeypatch.chdir(tmp_path)
    assert load("sface-128").card.quality_penalties
    for path in ("./sface-128", Path("sface-128")):
        assert not load(path).card.quality_penalties
    assert bundle_folder("./sface-128") == Path("sface-128")


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
        ({"detector": {"name": "another/1", "weights_sha256": "sha256:" + "0" * 64}}, "altered"),
    ],
)
def test_an_altered_card_is_refused(copy: Path, facts: dict[str, object], reason: str) -> None:
    alter_card(copy, **facts)
    with pytest.raises(BundleError, match=reason):
        load(copy)


def of_another_detector(copy: Path, facts: Mapping[str, str]) -> Path:
    """The bundle as if its chips were cut by what another detector found, with a digest that says so."""
    card = read_bundle(copy).card
    detector = DetectorFacts(**card.detector.model_dump() | facts)
    digest = card.model_copy(update={"detector": detector}).computed_digest()
    assert digest != card.digest
    uncalibrated = {"operating_points": [], "default_point": None, "calibration": None}
    alter_card(copy, detector=detector.model_dump(), digest=digest, **uncalibrated)
    return copy


@pytest.mark.parametrize("facts", [{"name": "mtcnn/1"}, {"weights_sha256": "sha256:" + "0" * 64}])
def test_a_model_of_another_detector_is_another_model_and_is_refused_with_what_to_do(
    copy: Path, facts: Mapping[str, str]
) -> None:
    name = facts.get("name", "yunet+onet/1")
    told = rf"made for the detector {re.escape(name)}, but .* uses yunet\+onet/1: .*make it again"
    with pytest.raises(BundleError, match=told):
        load(of_another_detector(copy, facts))


def test_a_card_of_an_earlier_visavis_names_no_detector_and_is_refused_with_what_to_do(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    del card["detector"]
    (copy / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(
        BundleError, match="an earlier visavis with a detector that was removed wrote it: make the bundle again"
    ):
        load(copy)


def test_a_calibration_of_other_weights_is_refused(copy: Path) -> None:
    calibration = json.loads((copy / CARD_FILE).read_text())["calibration"]
    alter_card(copy, calibration=calibration | {"model_digest": "sha256:" + "0" * 64})
    with pytest.raises(BundleError, match="made for other weights"):
        load(copy)


def test_a_bundle_that_was_not_calibrated_yet_is_loaded(copy: Path) -> None:
    alter_card(copy, operating_points=[], default_point=None, calibration=None, quality_penalties=[])
    assert load(copy).card.operating_points == ()


def test_two_points_of_one_name_are_refused(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    alter_card(copy, operating_points=card["operating_points"] * 2)
    with pytest.raises(BundleError, match="different names"):
        load(copy)


def with_populations(copy: Path, *names: str, set_by: str | None) -> Path:
    """The default model's card as if it had been measured on further populations, one of which set the first point."""
    card = json.loads((copy / CARD_FILE).read_text())
    further = [card["calibration"]["data"] | {"name": name} for name in names]
    first, *others = (
        {key: fact for key, fact in point.items() if key != "population"} for point in card["operating_points"]
    )
    alter_card(
        copy,
        calibration=card["calibration"] | {"populations": further},
        operating_points=[first if set_by is None else first | {"population": set_by}, *others],
    )
    return copy


def test_a_point_says_which_population_set_it(copy: Path) -> None:
    card = load(with_populations(copy, "others", set_by="others")).card
    assert [point.population for point in card.operating_points[:2]] == ["others", None]
    assert [data.name for data in card.calibration.measured_on] == [card.calibration.data.name, "others"]


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_a_card_that_is_read_is_written_as_it_was(name: str) -> None:
    assert read_bundle(name).card.to_json() == (BUILT_IN_MODELS[name] / CARD_FILE).read_text(encoding="utf-8")


def test_a_card_that_knows_no_populations_is_written_without_them(copy: Path) -> None:
    card = json.loads(load(with_populations(copy, set_by=None)).card.to_json())
    assert "populations" not in card["calibration"]
    assert not any("population" in point for point in card["operating_points"])


@pytest.mark.parametrize(
    ("names", "set_by", "reason"),
    [
        (["others"], "nobody", "the population of fmr-1e-2, 'nobody', is none of the calibration's"),
        (["others", "others"], "others", "populations must have different names"),
        (["others", ""], "others", "at least 1 character"),
    ],
)
def test_populations_that_do_not_fit_together_are_refused(
    copy: Path, names: list[str], set_by: str, reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        load(with_populations(copy, *names, set_by=set_by))


def test_altered_weights_are_refused(copy: Path) -> None:
    data = bytearray((copy / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (copy / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(BundleError, match="sha256 differs"):
        load(copy)


@pytest.mark.parametrize("own", [None, {"floor": 1}])
def test_a_card_of_an_earlier_visavis_is_refused_with_what_to_do(copy: Path, own: object) -> None:
    alter_card(copy, own_threshold=own)
    with pytest.raises(BundleError, match=r"own thresholds were removed: delete this key from card\.json"):
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
    with pytest.raises(ValueError, match=r"not the weights\.safetensors that the card describes"):
        write_bundle(tmp_path / "bundle", read_bundle(BUILT_IN).card, b"other")
