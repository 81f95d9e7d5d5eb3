"""`visavis evaluate` from the command line to the answer, on real photos."""

import json
from pathlib import Path
from shutil import copy

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageFilter
from pillow_heif import register_heif_opener
from processor import HAS_BF16

from embedder import ScoreKind, chosen_point, load
from embedder.weights.bundle import BUILT_IN
from visavis.cli.main import main

register_heif_opener()  # so that a test can write HEIC


@pytest.fixture(scope="module")
def people(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four people with two photos each, in LFW's layout."""
    folder = tmp_path_factory.mktemp("people")
    names = sorted({photo.name.split("-")[0] for photo in examples.glob("*.jpg")})
    for name in names:
        (folder / name).mkdir()
        for k, photo in enumerate(sorted(examples.glob(f"{name}-*.jpg")), start=1):
            copy(photo, folder / name / f"{name}_{k:04}.jpg")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def answer(*arguments: object) -> dict:
    result = visavis("evaluate", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_pairs(path: Path, people: Path, n_folds: int | None = None) -> Path:
    """Pairs in LFW's format: everybody once with himself, once with the next one."""
    names = sorted(folder.name for folder in people.iterdir())
    lines = [f"{name}\t1\t2" for name in names]
    lines += [f"{one}\t1\t{other}\t2" for one, other in zip(names, names[1:] + names[:1], strict=True)]
    head = str(len(names)) if n_folds is None else f"{n_folds}\t{len(names)}"
    path.write_text("\n".join([head, *lines * (n_folds or 1)]) + "\n")
    return path


def test_all_against_all_has_error_rates_but_no_accuracy(people: Path, cache: Path) -> None:
    found = answer("--identities", people, "--cache", cache)
    assert found["accuracy"] is None
    assert (found["n_genuine"], found["n_impostor"]) == (4, 24)
    assert (found["fmr_at_threshold"], found["fnmr_at_threshold"], found["eer"]) == (0, 0, 0)
    none = {"images": 0, "comparisons": 0, "genuine": 0, "impostor": 0, "reasons": {}, "photos": []}
    assert found["failures_to_acquire"] == none
    assert set(found["tar_at_fmr"]) == {"1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6"}
    assert set(found["tar_at_fmr"].values()) == {None}  # 24 comparisons carry none of them


@pytest.mark.parametrize("scores", ["normalized", "plain"])
def test_the_threshold_is_the_cards_default_point_where_nobody_says_otherwise(
    people: Path, cache: Path, penalty_bundle: Path, bare_bundle: Path, scores: ScoreKind
) -> None:
    model = penalty_bundle if scores == "normalized" else bare_bundle
    card = load(model).card
    found = answer("--identities", people, "--cache", cache, "--model", model)
    assert (found["threshold"], found["threshold_source"]) == (chosen_point(card, None).threshold, "card")
    names = [claim["operating_point"] for claim in found["claims"] if claim["scores"] == scores]
    assert names == [point.name for point in card.operating_points]


def test_a_rate_of_none_has_an_interval_that_is_not_empty(people: Path, cache: Path) -> None:
    low, high = answer("--identities", people, "--cache", cache)["intervals"]["fmr_at_threshold"]
    assert low == 0
    assert 0.45 < high < 0.47  # none in 24, but between no more than 6 pairs of people: up to 46%


def test_pairs_of_a_view_1_file_have_an_accuracy(people: Path, cache: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.txt", people)
    found = answer("--pairs", pairs, "--images", people, "--cache", cache, "--threshold", 0.55)
    assert found["accuracy"] == {"mean": 1, "se": 0}
    assert (found["threshold"], found["threshold_source"]) == (0.55, "number")
    assert found["data"]["face"] == "center"


def test_a_view_2_file_is_decided_fold_by_fold(people: Path, cache: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.txt", people, n_folds=3)
    found = answer("--pairs", pairs, "--images", people, "--cache", cache)
    assert found["threshold_source"] == "folds"
    assert len(found["fold_thresholds"]) == 3
    assert found["accuracy"] == {"mean": 1, "se": 0}


def test_the_threshold_can_be_chosen_on_other_pairs(people: Path, cache: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.txt", people)
    found = answer("--pairs", pairs, "--images", people, "--cache", cache, "--threshold-pairs", pairs)
    assert found["threshold_source"] == "pairs"
    best = answer("--pairs", pairs, "--images", people, "--cache", cache, "--threshold", "best")
    assert found["threshold"] == best["threshold"]


def test_a_csv_names_its_pairs_itself(people: Path, cache: Path, tmp_path: Path) -> None:
    one, *others = sorted(str(photo.relative_to(people)) for photo in people.rglob("*.jpg"))
    rows = [f"{one},{other},{int(one[:3] == other[:3])}" for other in others]
    (tmp_path / "pairs.csv").write_text("probe,reference,same\n" + "\n".join(rows) + "\n")
    found = answer("--csv", tmp_path / "pairs.csv", "--images", people, "--cache", cache)
    assert (found["n_genuine"], found["n_impostor"]) == (1, 6)


def test_a_photo_without_a_face_is_counted_both_ways(people: Path, cache: Path, tmp_path: Path) -> None:
    broken = copied(people, tmp_path / "people")
    first = min(broken.rglob("*.jpg"))
    Image.new("RGB", (200, 200), "white").save(first)
    found = answer("--identities", broken, "--cache", cache)
    name = f"{first.parent.name}/{first.name}"
    assert found["failures_to_acquire"] == {
        "images": 1,
        "comparisons": 7,
        "genuine": 1,
        "impostor": 6,
        "reasons": {"no_face": 1},
        "photos": [{"image": name, "reason": "no_face"}],
    }
    assert (found["n_genuine"], found["n_impostor"], found["fnmr_at_threshold"]) == (3, 18, 0)
    counted = found["with_failures_as_non_matches"]
    assert (counted["n_genuine"], counted["n_impostor"], counted["fnmr_at_threshold"]) == (4, 24, 0.25)


def test_two_models_stand_side_by_side(people: Path, cache: Path) -> None:
    found = answer("--identities", people, "--cache", cache, "--against", BUILT_IN)
    assert found["against"]["second"]["model"] == found["model"]
    assert {each["difference"] for each in found["against"]["differences"]} == {0}


def test_a_report_is_a_page_that_needs_no_other_file(people: Path, cache: Path, tmp_path: Path) -> None:
    arguments = ("--identities", people, "--cache", cache, "--threshold", "0.1", "--report", tmp_path / "report")
    assert answer(*arguments)["fnmr_at_threshold"] == 1  # so strict that each genuine pair is among the worst ones
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 8
    assert 'src="http' not in page
    assert {path.name for path in (tmp_path / "report").glob("*.png")} >= {"scores.png", "reliability.png"}


def test_groups_have_rates_of_their_own(people: Path, cache: Path, tmp_path: Path) -> None:
    names = sorted(folder.name for folder in people.iterdir())
    rows = [f"{name},{'first' if k < 2 else 'second'}" for k, name in enumerate(names)]
    (tmp_path / "groups.csv").write_text("identity,group\n" + "\n".join(rows) + "\n")
    found = answer("--identities", people, "--cache", cache, "--groups", tmp_path / "groups.csv")["groups"]
    assert found["n_photos"] == {"first": 4, "second": 4}
    within, across, _ = found["cells"]
    assert (within["fmr"]["n_comparisons"], within["fnmr"]["n_comparisons"]) == (4, 2)
    assert (across["fmr"]["n_comparisons"], across["fmr"]["differs"]) == (16, None)
    told = visavis("evaluate", "--identities", people, "--cache", cache, "--groups", tmp_path / "groups.csv").stdout
    assert "too few comparisons to say" in told


def test_identification_is_measured_if_asked_for(people: Path, cache: Path) -> None:
    given = ("--identities", people, "--cache", cache)
    found, without = answer(*given, "--identification"), answer(*given)
    (gallery,) = found["identification"]["galleries"]
    counts = {key: gallery[key] for key in ("n_people", "n_templates", "n_draws", "n_mated", "n_non_mated")}
    assert counts == {"n_people": 2, "n_templates": 2, "n_draws": 100, "n_mated": 200, "n_non_mated": 200}
    assert gallery["rank_1"]["value"] == 1
    assert gallery["fnir_at_fpir"].keys() == gallery["threshold_at_fpir"].keys() == {"1e-1", "1e-2", "1e-3"}
    assert [claim["asked_fpir"] for claim in gallery["claims"]] == [0.1, 0.01, 0.001]
    assert without == found | {"identification": None}
    told = visavis("evaluate", *given, "--identification").stdout
    assert "2 people, 2 templates: 200 mated and 200 non-mated searches in 100 draws" in told


def test_more_photos_of_a_person_can_be_enrolled(people: Path, cache: Path, tmp_path: Path) -> None:
    folder = copied(people, tmp_path / "people")
    for person in folder.iterdir():
        Image.open(min(person.iterdir())).rotate(3).save(person / "turned.jpg", quality=95)
    given = ("--identities", folder, "--cache", cache, "--identification", "--templates", 2)
    found = answer(*given)["identification"]
    assert found["templates_per_person"] == 2
    assert [gallery["n_templates"] for gallery in found["galleries"]] == [4]
    assert {claim["claimed_fnir"]["value"] for claim in found["galleries"][0]["claims"]} == {None}
    assert "up to 2 photos of each person enrolled" in visavis("evaluate", *given).stdout


def test_pairs_are_searched_for_too_as_all_their_photos(people: Path, cache: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.txt", people)
    found = answer("--pairs", pairs, "--images", people, "--cache", cache, "--identification")
    assert (found["n_genuine"], found["n_impostor"]) == (4, 4)
    assert found["identification"]["galleries"][0]["n_mated"] == 200


def test_a_group_file_that_names_nobody_here_is_told(people: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("identity,group\nnobody,first\n")
    result = visavis("evaluate", "--identities", people, "--cache", cache, "--groups", tmp_path / "groups.csv")
    assert result.exit_code == 2
    assert "line 2: 'nobody' is not in this evaluation" in result.stderr


@pytest.mark.parametrize(
    ("name", "option", "mirror"), [("sface-128", "--mirror", True), ("dlib-resnet29-128", "--no-mirror", False)]
)
def test_mirrored_otherwise_than_the_card_says_its_points_do_not_hold(
    name: str, option: str, *, mirror: bool, people: Path, cache: Path
) -> None:
    given = ("--identities", people, "--cache", cache, "--model", name, option)
    refused = visavis("evaluate", *given)
    assert refused.exit_code == 2
    assert "run visavis calibrate" in refused.stderr
    found = answer(*given, "--threshold", "0.6")
    assert (found["claims"], found["probability"], found["model"]["mirror"]) == ([], None, mirror)


def test_the_same_command_gives_the_same_bytes(people: Path, cache: Path) -> None:
    one, again = (visavis("evaluate", "--identities", people, "--cache", cache, "--json").stdout for _ in range(2))
    assert one == again


def test_a_person_reads_the_same_in_words(people: Path, cache: Path) -> None:
    told = visavis("evaluate", "--identities", people, "--cache", cache).stdout
    assert "8 photos of 4 people" in told
    assert "4 genuine, 24 impostor" in told
    assert "fmr-1e-3" in told


def test_normalised_scores_decide_where_the_card_has_a_penalty(people: Path, cache: Path, penalty_bundle: Path) -> None:
    given = ("--identities", people, "--cache", cache, "--model", penalty_bundle)
    found, plain = answer(*given), answer(*given, "--scores", "plain")
    threshold = chosen_point(load(penalty_bundle).card, None).threshold
    for each, scores in ((found, "normalized"), (plain, "plain")):
        assert (each["scores"], each["threshold"], each["threshold_source"]) == (scores, threshold, "card")
        assert {claim["scores"] for claim in each["claims"]} == {scores}


def test_the_former_name_of_normalised_scores_is_taken_with_a_warning(
    people: Path, cache: Path, penalty_bundle: Path
) -> None:
    given = ("--identities", people, "--cache", cache, "--model", penalty_bundle, "--json")
    former, now = (visavis("evaluate", *given, "--scores", name) for name in ("own", "normalized"))
    assert json.loads(former.stdout) == json.loads(now.stdout)
    assert "--scores own is now --scores normalized" in former.stderr
    assert "--scores own" not in now.stderr


def test_a_number_is_a_plain_distance_so_plain_ones_are_compared_with_it(
    people: Path, cache: Path, penalty_bundle: Path
) -> None:
    given = ("--identities", people, "--cache", cache, "--model", penalty_bundle, "--threshold", "0.6")
    assert answer(*given)["scores"] == "plain"
    refused = visavis("evaluate", *given, "--scores", "normalized")
    assert refused.exit_code == 2
    assert "--threshold 0.6 is a plain distance, so it needs --scores plain" in refused.stderr


@pytest.mark.parametrize("choice", [("--scores", "normalized"), ("--quality", "refuse")])
def test_what_a_card_without_a_penalty_cannot_do_is_told(
    people: Path, bare_bundle: Path, choice: tuple[str, str]
) -> None:
    result = visavis("evaluate", "--identities", people, "--model", bare_bundle, *choice)
    assert result.exit_code == 2
    assert f"{' '.join(choice)} cannot be" in result.stderr
    assert "run visavis calibrate --degrade" in result.stderr


def test_the_threshold_of_normalised_scores_can_be_chosen_on_other_pairs_or_fold_by_fold(
    people: Path, cache: Path, tmp_path: Path, penalty_bundle: Path
) -> None:
    pairs = write_pairs(tmp_path / "pairs.txt", people, n_folds=3)
    given = ("--pairs", pairs, "--images", people, "--cache", cache, "--model", penalty_bundle)
    folds, chosen = answer(*given), answer(*given, "--threshold-pairs", pairs)
    assert (folds["scores"], folds["threshold_source"], len(folds["fold_thresholds"])) == ("normalized", "folds", 3)
    assert (chosen["scores"], chosen["threshold_source"], chosen["accuracy"]["mean"]) == ("normalized", "pairs", 1)


def test_each_of_two_models_has_its_own_kind_of_scores(
    people: Path, cache: Path, penalty_bundle: Path, bare_bundle: Path
) -> None:
    given = ("--identities", people, "--cache", cache, "--model", penalty_bundle, "--against", bare_bundle)
    found = answer(*given)
    assert (found["scores"], found["against"]["second"]["scores"]) == ("normalized", "plain")
    assert "the distance with the penalty for poor photos against" in visavis("evaluate", *given).stdout
    plain = answer(*given, "--scores", "plain")
    assert (plain["scores"], plain["against"]["second"]["scores"]) == ("plain", "plain")
    refused = visavis("evaluate", *given, "--scores", "normalized")
    assert refused.exit_code == 2
    assert "--scores normalized cannot be" in refused.stderr


def test_photos_that_verify_would_refuse_are_left_out_if_asked(
    people: Path, cache: Path, tmp_path: Path, penalty_bundle: Path
) -> None:
    folder = copied(people, tmp_path / "people")
    first = min(folder.rglob("*.jpg"))
    with Image.open(first) as photo:
        photo.filter(ImageFilter.GaussianBlur(10)).save(first, quality=95)
    given = ("--identities", folder, "--cache", cache, "--model", penalty_bundle)
    found = answer(*given, "--quality", "refuse")
    name = f"{first.parent.name}/{first.name}"
    assert found["refused_for_low_quality"] == {
        "images": 1,
        "comparisons": 7,
        "genuine": 1,
        "impostor": 6,
        "photos": [name],
    }
    assert (found["n_genuine"], found["n_impostor"], found["failures_to_acquire"]["images"]) == (3, 18, 0)
    assert found["with_failures_as_non_matches"]["n_genuine"] == 3
    ignoring = answer(*given)
    assert (ignoring["n_genuine"], ignoring["refused_for_low_quality"]) == (4, None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is no source of photos"),
        (["--identities", "a", "--csv", "b"], "give one source of photos"),
        (["--pairs", "a"], "needs --images"),
        (["--identities", "a", "--images", "b"], "omit --images"),
        (["--identities", "a", "--threshold", "0"], "a number greater than 0"),
        (["--identities", "a", "--threshold", "nan"], "a number greater than 0"),
        (["--identities", "a", "--threshold", "best", "--threshold-pairs", "b"], "not both"),
        (["--identities", "a", "--templates", "2"], "add --identification"),
        (["--identities", "a", "--identification", "--templates", "0"], "--templates"),
        (["--identities", "no/such/folder"], "no/such/folder"),
        (["--pairs", "no/such/file", "--images", "a"], "no/such/file"),
        (["--protocol", "cfp-fp", "--images", "no/such/folder"], "no/such/folder"),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_a_line_with_status_2(arguments: list[str], says: str) -> None:
    result = visavis("evaluate", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_model_that_is_not_there_is_told(people: Path) -> None:
    result = visavis("evaluate", "--identities", people, "--model", "no/such/bundle")
    assert result.exit_code == 2
    assert "no model bundle" in result.stderr


def test_either_runtime_finds_the_same_and_each_keeps_its_own_embeddings(people: Path, tmp_path: Path) -> None:
    given = ("--identities", people, "--cache", tmp_path)
    ours, theirs = (answer(*given, "--runtime", runtime) for runtime in ("openvino", "torch"))
    assert ours["eer"] == theirs["eer"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not support bf16")
def test_bf16_takes_no_embeddings_of_f32_from_the_cache(people: Path, tmp_path: Path) -> None:
    given = ("--identities", people, "--cache", tmp_path)
    answer(*given)
    assert visavis("evaluate", *given, "--precision", "bf16").exit_code == 0
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(HAS_BF16, reason="this processor computes in bf16")
def test_bf16_is_refused_where_the_processor_lacks_it(people: Path) -> None:
    refused = visavis("evaluate", "--identities", people, "--precision", "bf16")
    assert refused.exit_code == 2
    assert "does not support bf16; use f32" in refused.stderr


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "prepare"])
def test_a_device_that_is_not_there_is_told(people: Path, tmp_path: Path, command: str) -> None:
    photos = [people] if command == "prepare" else ["--identities", people]
    out = [] if command == "evaluate" else ["--out", tmp_path / "out"]
    result = visavis(command, *photos, *out, "--device", "abacus")
    assert result.exit_code == 2
    assert "no device 'abacus' here" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_folds_are_refused_where_there_are_none(people: Path, cache: Path) -> None:
    result = visavis("evaluate", "--identities", people, "--cache", cache, "--threshold", "folds")
    assert result.exit_code == 2
    assert "no folds" in result.stderr


def copied(people: Path, folder: Path) -> Path:
    for photo in sorted(people.rglob("*.jpg")):
        (folder / photo.parent.name).mkdir(parents=True, exist_ok=True)
        copy(photo, folder / photo.parent.name / photo.name)
    return folder


def test_one_image_under_two_people_is_told(people: Path, cache: Path, tmp_path: Path) -> None:
    folder = copied(people, tmp_path / "people")
    first, *_, last = sorted(folder.rglob("*.jpg"))
    copy(first, last.parent / "copy.jpg")
    (caution,) = answer("--identities", folder, "--cache", cache)["cautions"]
    assert caution.startswith("one image is stored under two people or more")
    assert first.name in caution


def test_one_image_twice_under_one_person_and_once_under_another_is_told_with_a_file_of_each(
    people: Path, cache: Path, tmp_path: Path
) -> None:
    folder = copied(people, tmp_path / "people")
    first, *_, last = sorted(folder.rglob("*.jpg"))
    copy(first, first.parent / f"{first.stem}-again.jpg")
    copy(first, last.parent / "copy.jpg")
    across, within = answer("--identities", folder, "--cache", cache)["cautions"]
    own = sorted(f"{first.parent.name}/{name}" for name in (first.name, f"{first.stem}-again.jpg"))
    assert f"(for instance {own[0]} and {last.parent.name}/copy.jpg)" in across
    assert f"(for instance {own[0]} and {own[1]}): too easy genuine comparisons" in within


def test_a_photo_that_failed_is_named_to_programs(people: Path, cache: Path, tmp_path: Path) -> None:
    folder = copied(people, tmp_path / "people")
    broken = min(folder.rglob("*.jpg"))
    broken.write_bytes(b"no image")
    failures = answer("--identities", folder, "--cache", cache)["failures_to_acquire"]
    assert failures["photos"] == [{"image": f"{broken.parent.name}/{broken.name}", "reason": "not_an_image"}]


def test_new_formats_are_measured_and_nothing_in_the_folder_goes_uncounted(people: Path, tmp_path: Path) -> None:
    folder = copied(people, tmp_path / "people")
    first, second, third, *_ = sorted(folder.rglob("*.jpg"))
    for path, suffix, kind in ((first, ".heic", "HEIF"), (second, ".avif", "AVIF"), (third, ".jp2", "JPEG2000")):
        Image.open(path).save(path.with_suffix(suffix), kind)
        path.unlink()
    (first.parent / "raw.CR2").write_bytes(b"II*\0\x10\0\0\0CR\x02\0")
    for name in ("notes.txt", ".DS_Store", f"{first.parent.name}/film.mp4"):
        (folder / name).touch()
    told = visavis("evaluate", "--identities", folder).stdout
    assert "9 photos of 4 people" in told
    assert "failures     1 photos (1 not_an_image)" in told
    assert f"{first.parent.name}/raw.CR2 (not_an_image)" in told
    assert "ignored      3 other files in the folder" in told


def test_an_empty_path_is_no_path() -> None:
    for option in ("--identities", "--report", "--cache"):
        result = visavis("evaluate", option, "")
        assert result.exit_code == 2
        assert "empty path" in result.stderr
