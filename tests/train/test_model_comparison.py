"""Two models side by side: the difference of each figure, paired over the same people."""

import numpy as np
import pytest

from embedder import FaceEmbedder
from train.evaluation.bootstrap import Resampling
from train.evaluation.evaluation import EvaluationConfig, EvaluationResult, evaluate_compared
from train.evaluation.model_comparison import compare_models

from .conftest import MadeUp


def evaluated(embedder: FaceEmbedder, made_up: MadeUp, *, spread: float, seed: int = 3) -> EvaluationResult:
    """Of the same people and photos, but embedded with more or less scatter: a worse or a better model."""
    compared = made_up(120, 3, seed=seed, spread=spread)
    return evaluate_compared(compared, EvaluationConfig(embedder, "largest", resampling=Resampling(400, 0)), "best")


def test_a_model_against_itself_differs_in_nothing(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    one, again = (evaluated(embedder, made_up, spread=0.1) for _ in range(2))
    for each in compare_models(one, again).differences:
        assert each.first == each.second
        assert each.difference.value == 0
        assert each.p_value == 1


def test_a_better_model_is_found_better_beyond_chance(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    better, worse = (evaluated(embedder, made_up, spread=spread) for spread in (0.09, 0.13))
    found = {each.figure: each for each in compare_models(better, worse).differences}
    eer = found["EER"]
    assert eer.first < eer.second
    assert eer.difference.interval is not None
    assert eer.difference.interval[1] < 0
    assert eer.p_value < 0.05


def test_the_interval_of_a_paired_difference_is_narrower_than_of_unpaired_ones(
    embedder: FaceEmbedder, made_up: MadeUp
) -> None:
    one, other = (evaluated(embedder, made_up, spread=spread) for spread in (0.12, 0.121))
    paired = one.measured["eer"].draws - other.measured["eer"].draws
    shuffled = one.measured["eer"].draws - np.random.default_rng(0).permutation(other.measured["eer"].draws)
    assert paired.std() < 0.5 * shuffled.std()


def test_evaluations_of_different_photos_are_not_compared(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    one = evaluated(embedder, made_up, spread=0.1)
    compared = made_up(100, 3, spread=0.1)
    other = evaluate_compared(compared, EvaluationConfig(embedder, "largest", resampling=Resampling(400, 0)), "best")
    with pytest.raises(ValueError, match="different data"):
        compare_models(one, other)


def test_a_handful_of_people_say_nothing_about_which_model_is_better(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    setting = EvaluationConfig(embedder, "largest", resampling=Resampling(100, 0))
    better, worse = (evaluate_compared(made_up(4, 40, spread=spread), setting, "best") for spread in (0.13, 0.16))
    found = {each.figure: each for each in compare_models(better, worse).differences}
    for each in found.values():
        assert (each.difference.interval, each.p_value) == (None, None)
    assert found["EER"].difference.value < 0


def test_two_models_without_an_error_are_not_certain_to_be_equal(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    one, other = (evaluated(embedder, made_up, spread=spread) for spread in (0.02, 0.03))
    for each in compare_models(one, other).differences:
        assert each.first == each.second
        assert (each.difference.value, each.difference.interval, each.p_value) == (0, None, 1)
