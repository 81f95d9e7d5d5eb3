"""The records of the benchmark of speed: the bars, the lines of JSON, and the worker's answers."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path += [str(BENCHMARKS), str(BENCHMARKS / "rivals")]

from race.accuracy import share_right  # noqa: E402 - the path must be there first
from race.figures import Telling, figure  # noqa: E402 - the same
from race.verifying import tell_times  # noqa: E402 - the same
from race.workers import NATIVE, OPENCV, VISAVIS  # noqa: E402 - the same
from turns import Turns  # noqa: E402 - the same

from train.evaluation.compared import ListedScores  # noqa: E402 - the same
from train.evaluation.protocols.protocol import PairList  # noqa: E402 - the same


class Equality:
    """Calls two files one person where they are equal, and refuses an empty one."""

    def facts(self) -> dict[str, object]:
        return {}

    def verify(self, probe: bytes, reference: bytes) -> bool:
        if not probe:
            raise LookupError
        return probe == reference

    def embedding(self, photo: bytes) -> list[float]:
        if not photo:
            raise LookupError
        return [float(photo)]

    def network(self) -> object:
        return None


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    for name, content in (("a", "1"), ("b", "2"), ("empty", "")):
        (tmp_path / name).write_text(content)
    read = Turns(Equality())
    pairs = (("a", "a"), ("a", "b"), ("empty", "a"))
    assert read.read([[str(tmp_path / name) for name in pair] for pair in pairs]) == len(pairs)
    return read


def test_a_worker_tells_its_decision_or_why_it_has_none(turns: Turns) -> None:
    assert [turns.verify(number)["told"] for number in range(4)] == [True, False, "LookupError", True]


def test_a_worker_tells_an_embedding_or_why_it_has_none(turns: Turns, tmp_path: Path) -> None:
    assert [turns.embedding(str(tmp_path / name)) for name in ("b", "empty")] == [[2.0], "LookupError"]


def test_visavis_is_held_against_every_rival_in_every_precision_round_by_round(tmp_path: Path) -> None:
    tell = Telling()
    taken = {VISAVIS: [1.0, 2.0, 4.0], f"{VISAVIS}, bf16": [1.0, 1.0, 1.0], OPENCV: [2.0, 6.0, 4.0], NATIVE: [8.0] * 3}
    tell_times(("part", "case"), taken, {OPENCV: 2.5}, tell)
    tell.write(tmp_path / "lines")
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert [(line["who"], line["least"], line["median"], line["most"], line["at_least"]) for line in lines] == [
        (f"visavis against {OPENCV}", 1, 2, 3, 2.5),
        (f"visavis against {NATIVE}", 2, 4, 8, None),
        (f"visavis, bf16 against {OPENCV}", 2, 4, 6, 2.5),
        (f"visavis, bf16 against {NATIVE}", 8, 8, 8, None),
    ]


def test_a_pair_without_a_face_is_no_match_and_is_counted() -> None:
    same = np.array([True, True, True, False, False])
    first = np.arange(5, dtype=np.int32)
    listed = ListedScores(PairList(first, first, same, None), np.array([0.1, 0.9, np.nan, 0.8, np.nan]))
    share, error = share_right(listed, 0.5)  # right: the first, the fourth, and the fifth, of two people
    assert (share, error) == (pytest.approx(3 / 5), pytest.approx((0.6 * 0.4 / 5) ** 0.5))
    of_found, error = share_right(listed, 0.5, failures_count=False)
    assert (of_found, error) == (pytest.approx(2 / 3), pytest.approx((2 / 9 / 3) ** 0.5))


def test_a_figure_is_the_median_of_its_rounds_with_their_least_and_most() -> None:
    found = figure(("part", "case"), "who", "ms", [9.0, 1.0, 2.0])
    assert (found.median, found.least, found.most, found.n, found.verdict) == (2.0, 1.0, 9.0, 3, "")


@pytest.mark.parametrize(
    ("bar", "verdict"),
    [
        ({"at_least": 2}, "at least 2: held"),
        ({"at_least": 3}, "at least 3: MISSED"),
        ({"at_most": 2}, "at most 2: held"),
        ({"at_most": 1}, "at most 1: MISSED"),
    ],
)
def test_a_figure_says_whether_its_median_held_its_bar(bar: dict[str, float], verdict: str) -> None:
    assert figure(("part", "case"), "who", "ms", [9.0, 1.0, 2.0], **bar).verdict == verdict


def test_every_figure_becomes_a_line_of_json(tmp_path: Path) -> None:
    tell = Telling()
    tell.head({"cores": 2})
    tell(figure(("part", "case"), "who", "ms", [1.0], at_most=5))
    tell.write(tmp_path / "lines")
    facts, line = map(json.loads, (tmp_path / "lines").read_text().splitlines())
    assert facts == {"part": "facts", "cores": 2}
    assert (line["case"], line["median"], line["n"], line["at_most"], line["at_least"]) == ("case", 1.0, 1, 5, None)
