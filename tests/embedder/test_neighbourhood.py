"""The regression from an embedding to its place among strangers: equal to its features, face by face, held in range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from own_bundle import coefficients, own_threshold
from safetensors.numpy import load

from embedder import Neighbourhoods, features

TENSORS = load(coefficients(seed=1))
OWN = own_threshold(coefficients(seed=1))
NEIGHBOURHOODS = Neighbourhoods.of(OWN.mean_range, OWN.spread_range, TENSORS)
VECTORS = arrays(np.float32, (3, 128), elements=st.floats(-0.25, 0.25, width=32))


def test_features_are_one_the_channels_and_their_products() -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 128))
    for vector, row in zip(vectors, features(vectors), strict=True):
        products = [vector[i] * vector[j] for i in range(128) for j in range(i, 128)]
        assert row == pytest.approx([1, *vector, *products])


@given(VECTORS)
def test_a_prediction_is_the_features_times_the_coefficients_held_in_range(vectors: np.ndarray) -> None:
    means, spreads = NEIGHBOURHOODS(vectors)
    mean, log_spread = (features(vectors) @ TENSORS[name].astype(np.float64) for name in ("mean", "log_spread"))
    assert means == pytest.approx(np.clip(mean, *OWN.mean_range))
    assert spreads == pytest.approx(np.clip(np.exp(log_spread), *OWN.spread_range))


@given(VECTORS)
def test_a_prediction_does_not_depend_on_who_else_is_there(vectors: np.ndarray) -> None:
    together = np.stack(NEIGHBOURHOODS(vectors))
    for k in range(len(vectors)):
        assert np.stack(NEIGHBOURHOODS(vectors[k : k + 1]))[:, 0].tolist() == together[:, k].tolist()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_no_embedding_leads_out_of_the_range(size: float) -> None:
    means, spreads = NEIGHBOURHOODS(np.full((1, 128), size, np.float32))
    assert OWN.mean_range[0] <= means[0] <= OWN.mean_range[1]
    assert OWN.spread_range[0] * (1 - 1e-12) <= spreads[0] <= OWN.spread_range[1] * (1 + 1e-12)


def test_a_face_that_was_not_found_has_no_place() -> None:
    means, spreads = NEIGHBOURHOODS(np.full((1, 128), np.nan, np.float32))
    assert np.isnan(means).all()
    assert np.isnan(spreads).all()
    assert NEIGHBOURHOODS(np.empty((0, 128), np.float32))[0].shape == (0,)
