"""`visavis calibrate` from photos to a bundle that every command takes."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from penalty_bundle import RULE
from PIL import Image, ImageFilter

from embedder import BundleError, load
from visavis.cli.main import main


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def london_with(model: Path, out: Path, data: Path, *more: str) -> Result:
    photos = ("--identities", data / "london", "--name", "London", "--population", "Students in a studio.")
    return visavis("calibrate", *photos, "--model", model, "--out", out, "--cache", out.parent / "cache", *more)


@pytest.fixture(scope="module")
def calibrated(data: Path, bare_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a penalty for poor photos, calibrated on the London people."""
    folder = tmp_path_factory.mktemp("calibrated")
    result = london_with(bare_bundle, folder / "bundle", data)
    assert result.exit_code == 0, result.output
    assert "no penalty for poor photos" in result.stdout
    assert "fmr-1e-3" in result.stdout
    return folder / "bundle"


@pytest.fixture(scope="module")
def kept(calibrated: Path, penalty_bundle: Path, data: Path) -> Path:
    """The same with a model that has a penalty; the embeddings are the same."""
    folder = calibrated.parent
    result = london_with(penalty_bundle, folder / "kept", data)
    assert result.exit_code == 0, result.output
    assert "penalty for poor photos up to 0.120: from sharpness 0.45 down to 0.2 (median 0.7)" in result.stdout
    return folder / "kept"


@pytest.fixture(scope="module")
def fitted(calibrated: Path, data: Path) -> Path:
    """The model without a penalty, and one fitted to degraded copies of the London photos."""
    folder = calibrated.parent
    result = london_with(calibrated, folder / "fitted", data, "--degrade")
    assert result.exit_code == 0, result.output
    assert "penalty for poor photos up to 0." in result.stdout
    return folder / "fitted"


def test_the_bundle_has_points_of_its_own_and_the_same_weights(calibrated: Path) -> None:
    card, built_in = load(calibrated).card, load().card
    assert (card.digest, card.weights_sha256) == (built_in.digest, built_in.weights_sha256)
    assert card.card_digest != built_in.card_digest
    assert [point.name for point in card.operating_points] == ["fmr-1e-2", "fmr-1e-3"]
    assert card.calibration is not None
    assert card.quality_penalties == ()
    assert (card.calibration.data.name, card.calibration.data.population) == ("London", "Students in a studio.")
    assert (card.calibration.data.n_identities, card.operating_points[0].n_impostor) == (102, 204 * 203 // 2 - 102)


def test_without_degrade_a_model_keeps_its_penalty_and_points_are_measured_anew(kept: Path) -> None:
    card = load(kept).card
    assert card.quality_penalties == RULE
    assert [point.name for point in card.operating_points] == ["fmr-1e-2", "fmr-1e-3"]
    for point in card.operating_points:
        assert point.fmr is not None
        assert point.fmr <= float(point.name.removeprefix("fmr-"))
        assert point.n_impostor == 204 * 203 // 2 - 102


def test_what_a_poor_photo_costs_is_fitted_to_real_photos_degraded(fitted: Path) -> None:
    penalty, *of_covers = load(fitted).card.quality_penalties
    assert penalty.measure == "sharpness"
    assert {each.measure for each in of_covers} <= {"eyes_visible", "mouth_visible"}
    assert all(each.min_value == 0 and each.at(each.usual) == 0 for each in of_covers)
    assert 0.05 <= penalty.min_value < penalty.values[0] < 0.2
    assert 0.05 < penalty.penalties[0] < 0.3
    assert penalty.at(penalty.usual) < 0.1 * penalty.penalties[0]


def test_two_blurred_photos_are_judged_more_strictly_by_the_fitted_model_and_one_is_not(
    fitted: Path, examples: Path
) -> None:
    model = load(fitted)
    sharp, blurred = (
        [_with_blur(examples / f"001-{mood}.jpg", px) for mood in ("neutral", "smiling")] for px in (0, 8)
    )
    level = model.verify(*sharp).operating_point.threshold
    assert model.verify(*blurred).threshold < level - 0.1
    assert model.verify(blurred[0], sharp[1]).threshold == pytest.approx(model.verify(*sharp).threshold, abs=0.02)


def _with_blur(path: Path, sigma_px: float) -> bytes:
    out = BytesIO()
    with Image.open(path) as picture:
        picture.filter(ImageFilter.GaussianBlur(sigma_px)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("bundle", ["calibrated", "kept", "fitted"])
def test_points_hold_on_the_photos_that_they_were_measured_on(
    bundle: str, calibrated: Path, data: Path, request: pytest.FixtureRequest
) -> None:
    cache, model = calibrated.parent / "cache", request.getfixturevalue(bundle)
    said = json.loads(
        visavis("evaluate", "--identities", data / "london", "--model", model, "--cache", cache, "--json").stdout
    )
    assert said["scores"] == ("plain" if bundle == "calibrated" else "normalized")
    assert "cannot confirm its claims" in said["cautions"][0]
    for claim in said["claims"]:
        assert claim["measured_fmr"]["value"] == pytest.approx(claim["claimed_fmr"]["value"], rel=1e-5)
        assert claim["holds"] is True


def test_calibrating_twice_gives_the_same_bytes(fitted: Path, calibrated: Path, data: Path) -> None:
    again = fitted.parent / "again"
    assert london_with(calibrated, again, data, "--degrade").exit_code == 0
    names = sorted(path.name for path in again.iterdir())
    assert names == ["card.json", "network-int8.onnx", "network.onnx", "weights.safetensors"]
    assert all((again / name).read_bytes() == (fitted / name).read_bytes() for name in names)


def test_photos_of_too_few_people_to_fit_what_a_poor_photo_costs_are_refused(
    grey: Path, calibrated: Path, tmp_path: Path
) -> None:
    cache = ("--cache", calibrated.parent / "cache")
    result = visavis("calibrate", "--identities", grey, "--degrade", "--out", tmp_path / "bundle", *cache)
    assert result.exit_code == 2
    assert "photos of 40 people with a usable face are too few to fit a penalty for poor photos" in result.stderr


def test_the_bundle_verifies_by_its_own_point(calibrated: Path, examples: Path) -> None:
    pair = examples / "001-neutral.jpg", examples / "001-smiling.jpg"
    said = json.loads(visavis("verify", *pair, "--model", calibrated, "--json").stdout)
    assert said["threshold"] == load(calibrated).card.operating_points[1].threshold
    assert said["operating_point"]["name"] == "fmr-1e-3"


def test_a_calibration_of_other_weights_is_refused(calibrated: Path, tmp_path: Path) -> None:
    card = json.loads((calibrated / "card.json").read_text())
    card["calibration"]["model_digest"] = "sha256:" + "0" * 64
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "weights.safetensors").symlink_to(calibrated / "weights.safetensors")
    with pytest.raises(BundleError, match="made for other weights"):
        load(tmp_path)


@pytest.fixture(scope="module")
def grey(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos each of forty people, so small that strangers look alike; one is under another person too."""
    folder = tmp_path_factory.mktemp("grey") / "grey"
    for person in sorted((data / "orl").iterdir()):
        (folder / person.name).mkdir(parents=True)
        for photo in sorted(person.glob("*.pgm"))[:3]:
            with Image.open(photo) as picture:
                picture.resize((18, 22), Image.Resampling.BOX).save(folder / person.name / photo.name)
    (folder / "s2" / "copy.pgm").symlink_to(folder / "s1" / "1.pgm")
    return folder


@pytest.fixture(scope="module")
def on_two(calibrated: Path, bare_bundle: Path, data: Path, grey: Path) -> tuple[Path, Result]:
    """The model without a penalty, calibrated on the London people, and on grey photos of others."""
    folder = calibrated.parent
    cache = ("--cache", folder / "cache")
    given = ("--name", "London", "--also", grey, "--also-population", "Men, mostly.", "--out", folder / "two", *cache)
    result = visavis("calibrate", "--identities", data / "london", "--model", bare_bundle, *given)
    assert result.exit_code == 0, result.output
    return folder / "two", result


def test_a_further_population_makes_no_point_looser_and_is_in_the_card(
    on_two: tuple[Path, Result], calibrated: Path
) -> None:
    card, alone = load(on_two[0]).card, load(calibrated).card
    assert card.calibration is not None
    (population,) = card.calibration.populations
    assert (population.name, population.population) == ("grey", "Men, mostly.")
    assert (population.n_identities, population.n_images) == (40, 121)
    for point, before in zip(card.operating_points, alone.operating_points, strict=True):
        assert point.threshold <= before.threshold
        assert point.n_genuine == before.n_genuine == 102
    loose, strict = card.operating_points
    assert strict.population == "London"
    assert "Too few comparisons for this rate: grey." in strict.note
    assert (loose.population, loose.n_impostor) == ("grey", 119 * 118 // 2 - 118)


def test_the_command_says_who_set_a_point_and_how_many_photos_are_left_out(on_two: tuple[Path, Result]) -> None:
    told = on_two[1].stdout
    assert ", set by grey" in told
    assert ", set by London (default)" in told
    assert "caution: grey: one image is stored under two people or more (for instance s1/1.pgm and s2/copy.pgm)" in told
    assert "these 2 photos are left out" in told


def test_the_card_of_several_populations_is_told_in_words(on_two: tuple[Path, Result]) -> None:
    told = visavis("model", "--model", on_two[0]).stdout
    assert "; set by London\n" in told
    assert "measured on  London: 102 people, 204 images" in told
    assert "FMR also on  grey: 40 people, 121 images" in told
    assert "Men, mostly." in told


def test_photos_of_any_population_of_the_card_are_told_to_have_been_seen(
    on_two: tuple[Path, Result], grey: Path
) -> None:
    cache = ("--cache", on_two[0].parent / "cache")
    found = json.loads(visavis("evaluate", "--identities", grey, "--model", on_two[0], *cache, "--json").stdout)
    assert "these are the photos that the card was calibrated on" in found["cautions"][0]


def test_two_populations_of_one_name_are_refused(data: Path, tmp_path: Path) -> None:
    london = data / "london"
    result = visavis("calibrate", "--identities", london, "--also", london, "--out", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "two populations have the name 'london'" in result.stderr


def test_nothing_is_overwritten(calibrated: Path, data: Path) -> None:
    cache = calibrated.parent / "cache"
    again = visavis("calibrate", "--identities", data / "london", "--out", calibrated, "--cache", cache)
    assert again.exit_code == 2
    assert "choose a new folder" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "x"], "there is no source of photos"),
        (["--identities", "no/such/folder", "--out", "x"], "no/such/folder"),
        (["--identities", "a"], "--out"),
        (["--identities", "a", "--out", "x", "--population", " "], "must not be empty"),
        (["--identities", "a", "--out", "x", "--also", "b", "--also-population", " "], "must not be empty"),
        (["--identities", "a", "--out", "x", "--also", "b", "--also", "c", "--also-population", "d"], "describe all"),
        (["--identities", "a", "--out", "x", "--also-population", "d"], "--also was given 0 times"),
        (["--identities", "a", "--out", "tests"], "choose a new folder"),
    ],
)
def test_what_cannot_be_calibrated_is_told_in_a_line_with_status_2(arguments: list[str], says: str) -> None:
    result = visavis("calibrate", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
