"""`visavis calibrate` from photos to a bundle that every command takes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from own_bundle import write_own_bundle
from PIL import Image

from embedder import BUILT_IN, BundleError, load
from embedder.cli import main


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def london_with(model: Path, out: Path, data: Path) -> Result:
    return visavis(
        *(
            "calibrate",
            "--identities",
            data / "london",
            "--model",
            model,
            "--out",
            out,
            "--cache",
            out.parent / "cache",
        ),
        *("--name", "London", "--population", "Students in a studio."),
    )


@pytest.fixture(scope="module")
def calibrated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one threshold for all pairs, calibrated on the London people."""
    folder = tmp_path_factory.mktemp("calibrated")
    result = london_with(BUILT_IN, folder / "bundle", data)
    assert result.exit_code == 0, result.output
    assert "one threshold for all pairs: no cohort" in result.stdout
    assert "fmr-1e-3" in result.stdout
    return folder / "bundle"


@pytest.fixture(scope="module")
def calibrated_own(calibrated: Path, data: Path) -> Path:
    """The same with a model that has thresholds of the pairs' own; the embeddings are the same."""
    folder = calibrated.parent
    result = london_with(write_own_bundle(folder / "own"), folder / "own-bundle", data)
    assert result.exit_code == 0, result.output
    assert "every pair its own threshold, by normalised distance" in result.stdout
    return folder / "own-bundle"


def test_the_bundle_has_points_of_its_own_and_the_same_weights(calibrated: Path) -> None:
    card, built_in = load(calibrated).card, load().card
    assert (card.digest, card.weights_sha256) == (built_in.digest, built_in.weights_sha256)
    assert card.card_digest != built_in.card_digest
    assert [point.name for point in card.operating_points] == ["fmr-1e-2", "fmr-1e-3"]
    assert card.calibration is not None
    assert card.own_threshold is None
    assert (card.calibration.data.name, card.calibration.data.population) == ("London", "Students in a studio.")
    assert (card.calibration.data.n_identities, card.operating_points[0].n_impostor) == (102, 204 * 203 // 2 - 102)


def test_without_a_cohort_a_model_keeps_what_it_knows_and_points_are_measured_anew(
    calibrated_own: Path, calibrated: Path
) -> None:
    before, after = (load(path).card.own_threshold for path in (calibrated.parent / "own", calibrated_own))
    assert before is not None
    assert after is not None
    assert (after.quality, after.cohort, after.coefficients_sha256) == (
        before.quality,
        before.cohort,
        before.coefficients_sha256,
    )
    assert [point.name for point in after.operating_points] == ["fmr-1e-2", "fmr-1e-3"]
    for point in after.operating_points:
        assert point.fmr is not None
        assert point.fmr <= float(point.name.removeprefix("fmr-"))
        assert point.n_impostor == 204 * 203 // 2 - 102
    assert load(calibrated_own).card.operating_points == load(calibrated).card.operating_points


def test_own_points_hold_on_the_photos_that_they_were_measured_on(calibrated_own: Path, data: Path) -> None:
    cache = calibrated_own.parent / "cache"
    arguments = ("--identities", data / "london", "--model", calibrated_own, "--cache", cache, "--scores", "own")
    said = json.loads(visavis("evaluate", *arguments, "--json").stdout)
    for claim in said["claims"]:
        assert claim["measured_fmr"]["value"] == pytest.approx(claim["claimed_fmr"]["value"], rel=1e-5)


def test_calibrating_twice_gives_the_same_bytes(calibrated_own: Path, data: Path) -> None:
    again = calibrated_own.parent / "again"
    assert london_with(calibrated_own.parent / "own", again, data).exit_code == 0
    names = sorted(path.name for path in again.iterdir())
    assert names == [
        "card.json",
        "neighbourhood.safetensors",
        "network-int8.onnx",
        "network.onnx",
        "weights.safetensors",
    ]
    assert all((again / name).read_bytes() == (calibrated_own / name).read_bytes() for name in names)


def test_a_cohort_of_the_same_people_is_refused_before_anything_is_embedded(data: Path, tmp_path: Path) -> None:
    london = data / "london"
    result = visavis("calibrate", "--identities", london, "--cohort", london, "--out", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "102 people are both in the cohort and in the photos to calibrate on" in result.stderr
    assert "embedding" not in result.stderr


def test_too_few_photos_for_a_cohort_are_refused(calibrated: Path, data: Path, tmp_path: Path) -> None:
    arguments = ("--cohort", data / "orl", "--cache", calibrated.parent / "cache", "--out", tmp_path / "bundle")
    result = visavis("calibrate", "--identities", data / "london", *arguments)
    assert result.exit_code == 2
    assert "204 photos of 102 people with a usable face are too few to fit what a poor photo costs" in result.stderr


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
def on_two(calibrated_own: Path, data: Path, grey: Path) -> tuple[Path, Result]:
    """The model with thresholds of the pairs' own, calibrated on the London people, and on grey photos of others."""
    folder = calibrated_own.parent
    cache = ("--cache", folder / "cache")
    given = ("--name", "London", "--also", grey, "--also-population", "Men, mostly.", "--out", folder / "two", *cache)
    result = visavis("calibrate", "--identities", data / "london", "--model", folder / "own", *given)
    assert result.exit_code == 0, result.output
    return folder / "two", result


def test_a_further_population_makes_no_point_looser_and_is_in_the_card(
    on_two: tuple[Path, Result], calibrated_own: Path
) -> None:
    card, alone = load(on_two[0]).card, load(calibrated_own).card
    assert card.calibration is not None
    (population,) = card.calibration.populations
    assert (population.name, population.population) == ("grey", "Men, mostly.")
    assert (population.n_identities, population.n_images) == (40, 121)
    for kind in ("plain", "own"):
        for point, before in zip(card.points(kind), alone.points(kind), strict=True):
            assert point.threshold <= before.threshold
            assert point.n_genuine == before.n_genuine == 102
        loose, strict = card.points(kind)
        assert strict.population == "London"
        assert "Too few comparisons for this rate: grey." in strict.note
        assert loose.population == ("London" if loose.threshold == alone.points(kind)[0].threshold else "grey")
    grey_points = [point for point in card.points("plain") if point.population == "grey"]
    assert [(point.name, point.n_impostor) for point in grey_points] == [("fmr-1e-2", 119 * 118 // 2 - 118)]


def test_the_command_says_who_set_a_point_and_how_many_photos_are_left_out(on_two: tuple[Path, Result]) -> None:
    told = on_two[1].stdout
    assert ", set by grey" in told
    assert ", set by London (default)" in told
    assert "beware: grey: one image lies under two people or more (for instance s1/1.pgm and s2/copy.pgm)" in told
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
    assert "two populations are called 'london'" in result.stderr


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
        (["--identities", "a", "--out", "x", "--cohort-population", ""], "must say something"),
        (["--identities", "a", "--out", "x", "--also", "b", "--also-population", " "], "must say something"),
        (["--identities", "a", "--out", "x", "--also", "b", "--also", "c", "--also-population", "d"], "describe each"),
        (["--identities", "a", "--out", "x", "--also-population", "d"], "--also was given 0 times"),
        (["--identities", "a", "--out", "x", "--also", "b", "--cohort", "c"], "--also or --cohort, not both"),
        (["--identities", "a", "--out", "tests"], "choose a new folder"),
    ],
)
def test_what_cannot_be_calibrated_is_told_in_a_line_with_status_2(arguments: list[str], says: str) -> None:
    result = visavis("calibrate", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
