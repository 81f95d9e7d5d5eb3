"""Error rates by group: the user's labels as they are read, rates against plain loops, and verdicts that are earned."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from train.evaluation import groups as module, scores
from train.evaluation.all_pairs import compare_all
from train.evaluation.bootstrap import Resampling, interval
from train.evaluation.groups import (
    MAX_GROUPS,
    GroupCell,
    GroupReport,
    PhotoGroups,
    compare_groups,
    in_words,
    read_photo_groups,
)
from train.evaluation.protocols.protocol import LabeledPhoto, Protocol, ProtocolError
from train.evaluation.results import Estimate
from train.evaluation.scores import ScoreSet

PHOTOS = [LabeledPhoto(Path(f"{name}.jpg"), f"{name}.jpg", name[0]) for name in ("a1", "a2", "b1", "c1", "c2")]
PROTOCOL = Protocol("five photos", tuple(PHOTOS), None, "largest")
FEW = Resampling(20, 0)


def read(folder: Path, *lines: str) -> PhotoGroups:
    file = folder / "groups.csv"
    file.write_text("\n".join(lines))
    return read_photo_groups(file, PROTOCOL)


def test_photos_are_labelled_one_by_one(tmp_path: Path) -> None:
    found = read(tmp_path, "image,group", "a1.jpg,old", "a2.jpg,young", "b1.jpg,old", "c1.jpg,old", "c2.jpg,old")
    assert found.names == ("old", "young")
    assert found.of_photos.tolist() == [0, 1, 0, 0, 0]


def test_the_label_of_an_identity_is_that_of_all_its_photos(tmp_path: Path) -> None:
    found = read(tmp_path, "identity,group", "a,x", "b,y", "c,x")
    assert found.of_photos.tolist() == [0, 0, 1, 0, 0]


def test_photos_that_the_file_does_not_name_are_in_no_group(tmp_path: Path) -> None:
    assert read(tmp_path, "identity,group", "c,x").of_photos.tolist() == [-1, -1, -1, 0, 0]


def test_columns_may_be_turned_and_lines_be_blank_spaced_or_said_twice(tmp_path: Path) -> None:
    found = read(tmp_path, "group, identity", "", "x , a", "x,a", '"y, z",b')
    assert found.names == ("x", "y, z")
    assert found.of_photos.tolist() == [0, 0, 1, -1, -1]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "line 1: should be image,group or identity,group, not ''"),
        (["photo,group", "a1.jpg,x"], "line 1: should be image,group or identity,group, not 'photo,group'"),
        (["image,group,age", "a1.jpg,x,9"], "line 1: should be"),
        (["identity,group", "a,x", "z,x"], "line 3: 'z' is not in this evaluation; names look like 'a'"),
        (["image,group", "a,x"], r"line 2: 'a' is not in this evaluation; .*'a1\.jpg'"),
        (["identity,group", "a,x", "", "a,y"], "line 4: puts 'a' into a second group"),
        (["identity,group", "a"], "line 2: should be a name and a group"),
        (["identity,group", "a,"], "line 2: should be a name and a group"),
        (["identity,group", "a,x,y"], "line 2: should be a name and a group"),
        (["identity,group"], f"names 0 groups; it should name between 1 and {MAX_GROUPS}"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(tmp_path: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(ProtocolError, match=f"groups.csv.*{reason}"):
        read(tmp_path, *lines)


def test_more_groups_than_a_matrix_can_show_are_refused(tmp_path: Path) -> None:
    photos = tuple(LabeledPhoto(Path(f"{k}.jpg"), f"{k}.jpg", str(k)) for k in range(21))
    file = tmp_path / "groups.csv"
    file.write_text("identity,group\n" + "".join(f"{k},{k}\n" for k in range(21)))
    with pytest.raises(ProtocolError, match="names 21 groups"):
        read_photo_groups(file, Protocol("photos", photos, None, "largest"))


def test_a_file_that_is_missing_or_no_csv_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        read_photo_groups(tmp_path / "none.csv", PROTOCOL)
    with pytest.raises(ProtocolError, match="is not a CSV file"):
        read(tmp_path, "a" * 200_000)


def faces(n_identities: int, n_each: int, seed: int, spread: float = 1.7) -> tuple[np.ndarray, np.ndarray]:
    """Photos whose genuine distances are about 5.7 and whose impostor ones are about 11, or as people are spread."""
    generator = np.random.default_rng(seed)
    people = spread * generator.normal(size=(n_identities, 1, 16))
    photos = people + generator.normal(size=(n_identities, n_each, 16))
    padded = np.zeros((n_identities * n_each, 128), np.float32)
    padded[:, :16] = photos.reshape(-1, 16)
    return padded, np.repeat(np.arange(n_identities, dtype=np.int32), n_each)


def labelled(*of_photos: int) -> PhotoGroups:
    return PhotoGroups(("a", "b", "c")[: max(of_photos) + 1], np.array(of_photos, np.int32))


def cell(report: GroupReport, first: str, second: str) -> GroupCell:
    return next(each for each in report.cells if (each.first, each.second) == (first, second))


def loop_rates(
    vectors: np.ndarray, of_photos: np.ndarray, people: list[np.ndarray], pair: tuple[int, int]
) -> tuple[float, float]:
    """FMR and FNMR below 6.0 of one pair of groups, where people are given as lists of photos, copies as often."""
    wrong, n = [0, 0], [0, 0]
    drawn = [(copy, photo) for copy, photos in enumerate(people) for photo in photos.tolist()]
    for (one, a), (other, b) in combinations(drawn, 2):
        if sorted((of_photos[a], of_photos[b])) != sorted(pair):
            continue
        same = bool(people[one][0] == people[other][0])
        if same and one != other:
            continue  # two copies of one person are not compared
        is_near = np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)) < 6.0
        wrong[same] += is_near != same
        n[same] += 1
    impostor, genuine = (w / k if k else float("nan") for w, k in zip(wrong, n, strict=True))
    return impostor, genuine


def test_rates_and_their_intervals_are_those_of_plain_loops_over_drawn_people() -> None:
    vectors, identities = faces(16, 6, seed=2, spread=0.8)
    of_photos = np.random.default_rng(0).integers(2, size=96).astype(np.int32)
    of_photos[7] = -1
    report = compare_groups(compare_all(vectors, identities, seed=0), labelled(*of_photos), 6.0, FEW)
    photos = [np.flatnonzero(identities == k) for k in range(16)]
    seeds = np.random.SeedSequence(0).spawn(20)
    draws = [[photos[k] for k in np.random.default_rng(seed).integers(16, size=16)] for seed in seeds]
    for first, second in ((0, 0), (0, 1), (1, 1)):
        found = cell(report, "ab"[first], "ab"[second])
        expected = loop_rates(vectors, of_photos, photos, (first, second))
        assert (found.fmr.rate.value, found.fnmr.rate.value) == pytest.approx(expected)
        drawn = np.array([loop_rates(vectors, of_photos, people, (first, second)) for people in draws])
        assert found.fmr.rate.interval == pytest.approx(interval(drawn[:, 0]))
        assert found.fnmr.rate.interval == pytest.approx(interval(drawn[:, 1]))


def scores_of(n_identities: int, seed: int = 0) -> ScoreSet:
    return compare_all(*faces(n_identities, 3, seed), seed=0)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(st.lists(st.integers(-1, 2), min_size=30, max_size=30).filter(lambda labels: max(labels) >= 0))
def test_every_comparison_of_labelled_photos_is_in_one_cell(labels: list[int]) -> None:
    report = compare_groups(scores_of(10), labelled(*labels), 8.0, FEW)
    n_labelled = sum(label >= 0 for label in labels)
    assert sum(each.fmr.n + each.fnmr.n for each in report.cells) == n_labelled * (n_labelled - 1) // 2
    assert report.overall.fmr.n + report.overall.fnmr.n == n_labelled * (n_labelled - 1) // 2
    assert (sum(report.n_photos), report.n_unlabelled) == (n_labelled, 30 - n_labelled)
    wrong = sum((each.fmr.rate.value or 0) * each.fmr.n for each in report.cells)
    assert wrong == pytest.approx((report.overall.fmr.rate.value or 0) * report.overall.fmr.n)


def test_one_group_of_all_has_the_rates_of_all() -> None:
    scores = scores_of(60)
    report = compare_groups(scores, labelled(*[0] * 180), 8.0, FEW)
    (everyone,) = report.cells
    assert everyone.fmr.rate.value == pytest.approx(float(scores.impostor.tally.share_below(8.0)))
    assert everyone.fnmr.rate.value == pytest.approx(1 - float(scores.genuine.tally.share_below(8.0)))
    assert (everyone.fmr.n_identities, everyone.fnmr.n_identities) == (60, 60)
    assert everyone.fmr.times == Estimate(1.0, (1.0, 1.0))


def test_what_the_groups_are_called_changes_no_rate() -> None:
    scores, labels = scores_of(40), [0] * 60 + [1] * 60
    one, other = (compare_groups(scores, labelled(*of_photos), 8.0, FEW) for of_photos in (labels, labels[::-1]))
    assert one.within[0].fmr == other.within[1].fmr
    assert one.cells[1].fmr == other.cells[1].fmr


def test_the_same_seed_gives_the_same_report() -> None:
    scores, groups = scores_of(12), labelled(*[0] * 18, *[1] * 18)
    assert compare_groups(scores, groups, 8.0, FEW) == compare_groups(scores, groups, 8.0, FEW)


def test_a_genuine_comparison_across_groups_is_one_of_a_person_in_both() -> None:
    report = compare_groups(scores_of(10), labelled(*[0, 0, 1] * 10), 8.0, FEW)
    assert [each.fnmr.n for each in report.cells] == [10, 20, 0]
    assert cell(report, "b", "b").fnmr.rate == Estimate(None, None)


def test_of_thinned_comparisons_each_stands_for_its_like() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "N_EXACT", 4_000)
        patch.setattr(scores, "N_PART", 2_000)
        thinned = compare_all(*faces(100, 3, 0), seed=0)
    groups = labelled(*[0] * 150, *[1] * 150)
    found, whole = (compare_groups(scores, groups, 6.0, FEW) for scores in (thinned, scores_of(100)))
    assert len(thinned.impostor.sample.values) < whole.overall.fmr.n / 2
    for one, other in zip(found.cells, whole.cells, strict=True):
        assert one.fmr.n == pytest.approx(other.fmr.n, rel=0.1)
        assert one.fmr.rate.value == pytest.approx(other.fmr.rate.value, rel=0.1)


def alike_and_others() -> tuple[ScoreSet, PhotoGroups]:
    """160 people, 60 of whom look much alike."""
    vectors, identities = faces(160, 3, seed=4)
    vectors[:180] *= 0.8
    return compare_all(vectors, identities, seed=0), labelled(*[0] * 180, *[1] * 300)


def test_a_group_whose_people_look_alike_differs_by_its_fmr() -> None:
    report = compare_groups(*alike_and_others(), 8.0, Resampling(200, 0))
    found = cell(report, "a", "a").fmr
    assert found.times.value == pytest.approx((found.rate.value or 0) / (report.overall.fmr.rate.value or 1))
    assert found.differs is True
    assert in_words("FMR", found).endswith("]: differs")


@pytest.mark.slow
def test_labels_that_mean_nothing_make_no_difference_but_by_chance() -> None:
    """People are as unlike each other as they are in life: some look like many, most like few."""
    vectors, identities = faces(240, 3, seed=0)
    vectors *= np.repeat(np.random.default_rng(1).lognormal(0, 0.15, size=(240, 1)), 3, axis=0).astype(np.float32)
    scores, said = compare_all(vectors, identities, seed=0), []
    for seed in range(20):
        of_people = np.random.default_rng(seed).integers(3, size=240)
        report = compare_groups(scores, labelled(*np.repeat(of_people, 3)), 7.0, Resampling(200, seed))
        said += [each.differs for cell in report.cells for each in (cell.fmr, cell.fnmr) if each.n]
    told = [each for each in said if each is not None]
    assert len(told) > 100
    assert sum(told) <= 0.07 * len(told)


def test_too_few_comparisons_or_people_get_no_verdict() -> None:
    scores, few_people = scores_of(120), labelled(*[0] * 3 * 49, *[1] * 3 * 71)
    report = compare_groups(scores, few_people, 8.0, FEW)
    assert cell(report, "b", "b").fmr.differs is not None
    for first, second in (("a", "a"), ("a", "b")):
        found = cell(report, first, second).fmr
        assert found.n * (report.overall.fmr.rate.value or 0) > 10
        assert (found.differs, found.times) == (None, Estimate(None, None))
        assert in_words("FMR", found) == "FMR: too few comparisons to say"
    strict = compare_groups(scores, labelled(*[0] * 180, *[1] * 180), 3.5, FEW)
    assert [each.fmr.differs for each in strict.within] == [None, None]


def test_ten_errors_expected_are_just_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, groups = scores_of(120), labelled(*[0] * 180, *[1] * 180)
    found = compare_groups(scores, groups, 7.0, FEW)
    expected = found.within[0].fmr.n * (found.overall.fmr.rate.value or 0)
    for limit, is_stated in ((expected, True), (expected * 1.001, False)):
        monkeypatch.setattr(module, "MIN_ERRORS", limit)
        report = compare_groups(scores, groups, 7.0, FEW)
        assert (report.within[0].fmr.differs is not None) == is_stated


def test_a_group_without_a_false_match_may_still_differ() -> None:
    """Where many are expected and none is seen, resampling says 0 to 0; the exact bound of none in n is taken."""
    vectors, identities = faces(120, 3, seed=4)
    vectors[:180, :16] *= 4
    report = compare_groups(compare_all(vectors, identities, seed=0), labelled(*[0] * 180, *[1] * 180), 8.0, FEW)
    found, of_all = cell(report, "a", "a").fmr, report.overall.fmr.rate.value
    assert found.rate.value == 0
    assert found.rate.interval is not None
    assert of_all is not None
    assert found.times == Estimate(0.0, (0.0, found.rate.interval[1] / of_all))
    assert found.differs is True


def test_the_file_and_the_comparisons_speak_of_the_same_photos(tmp_path: Path) -> None:
    vectors, identities = faces(3, 2, seed=1)
    groups = read(tmp_path, "identity,group", "a,x", "c,y")
    report = compare_groups(compare_all(vectors[:5], identities[:5], seed=0), groups, 8.0, FEW)
    assert (report.names, report.n_photos, report.n_unlabelled) == (("x", "y"), (2, 2), 1)
