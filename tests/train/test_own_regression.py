"""The regression: scikit-learn's ridge finds the same, and what is quadratic in the embedding is learnt."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from embedder import features
from train.own_threshold import regression
from train.own_threshold.regression import REGULARIZATION, fit, predict, r_squared

Few = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Few:
    """Faces with fewer features than there are, so that both ridges are quick; and their means and spreads."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(0, 0.12, (900, 128)).astype(np.float32)
    monkeypatch.setattr(regression, "features", lambda part: features(part)[:, :200])
    means = 0.65 + vectors[:, 0] * vectors[:, 1] + 0.3 * vectors[:, 2] + generator.normal(0, 0.001, 900)
    return vectors, means, np.exp(-3.5 + vectors[:, 3])


def test_it_is_scikit_learns_ridge_also_in_blocks(few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, means, spreads = few
    monkeypatch.setattr(regression, "BLOCK", 128)
    found = fit(vectors, means, spreads)
    for name, targets in (("mean", means), ("log_spread", np.log(spreads))):
        theirs = Ridge(alpha=REGULARIZATION, solver="cholesky").fit(features(vectors)[:, 1:200], targets)
        assert found[name][0] == pytest.approx(theirs.intercept_, abs=1e-5)
        assert np.allclose(found[name][1:], theirs.coef_, atol=1e-5)


def test_what_it_predicts_is_what_it_was_taught(few: Few) -> None:
    vectors, means, spreads = few
    coefficients = fit(vectors[:800], means[:800], spreads[:800])
    predicted, spread = predict(vectors[800:], coefficients)
    assert r_squared(predicted, means[800:]) > 0.5
    assert r_squared(np.log(spread), np.log(spreads[800:])) > 0.9
    assert coefficients["mean"].dtype == np.float32


def test_the_same_faces_give_the_same_bytes(few: Few) -> None:
    assert all(fit(*few)[name].tobytes() == fit(*few)[name].tobytes() for name in ("mean", "log_spread"))
