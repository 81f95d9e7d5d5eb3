"""What is claimed for a number of templates, from the points of a card."""

from itertools import pairwise
from math import log10

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from embedder import FaceEmbedder, ModelCard, OperatingPoint
from gallery import ClaimUnavailable, claim_for, fpir_of, largest_gallery, strictest_fpir

RATES = st.floats(1e-5, 0.5)


def card_with(card: ModelCard, *points: OperatingPoint) -> ModelCard:
    return card.model_copy(update={"operating_points": points})


def point(fmr: float | None, threshold: float, **facts: object) -> OperatingPoint:
    return OperatingPoint.model_validate(
        {"name": f"at-{threshold}", "threshold": threshold, "fmr": fmr, "fnmr": None, "note": ""} | facts
    )


def test_fpir_is_that_of_independent_comparisons() -> None:
    draws = np.random.default_rng(0).random((20_000, 300)) < 1e-3
    assert fpir_of(1e-3, 300) == pytest.approx(draws.any(axis=1).mean(), abs=0.01)
    assert fpir_of(1e-6, 1_000) == pytest.approx(1e-3, rel=1e-3)


def test_at_a_measured_point_the_claim_is_that_point(embedder: FaceEmbedder) -> None:
    for each in embedder.card.operating_points:
        for n_templates in (1, 7, 1000):
            claim = claim_for(embedder.card, fpir=fpir_of(each.fmr, n_templates), n_templates=n_templates)
            assert claim.threshold == pytest.approx(each.threshold, abs=1e-9)
            assert (claim.fmr, claim.fnir) == pytest.approx((each.fmr, each.fnmr))
            assert claim.fnir_interval == pytest.approx(each.fnmr_interval)
            ends = [fpir_of(end, n_templates) for end in each.fmr_interval]
            assert claim.fpir_interval == pytest.approx(ends, abs=1e-12)


def test_halfway_between_two_points_in_log_fmr_the_claim_is_halfway(embedder: FaceEmbedder) -> None:
    for looser, stricter in pairwise(embedder.card.operating_points):
        fmr = 10 ** ((log10(looser.fmr) + log10(stricter.fmr)) / 2)
        claim = claim_for(embedder.card, fpir=fpir_of(fmr, 50), n_templates=50)
        assert claim.threshold == pytest.approx((looser.threshold + stricter.threshold) / 2)
        assert claim.fnir == pytest.approx((looser.fnmr + stricter.fnmr) / 2)
        ends = zip(looser.fmr_interval, stricter.fmr_interval, strict=True)
        multiples = [(one / looser.fmr + other / stricter.fmr) / 2 for one, other in ends]
        assert claim.fpir_interval == pytest.approx([fpir_of(fmr * each, 50) for each in multiples])


@given(fpir=RATES, n_templates=st.integers(1, 10**7))
@settings(max_examples=300, deadline=None)
def test_a_claim_is_refused_exactly_beyond_the_strictest_point(
    embedder: FaceEmbedder, fpir: float, n_templates: int
) -> None:
    card = embedder.card
    most = largest_gallery(card, fpir)
    if n_templates <= most:
        claim = claim_for(card, fpir=fpir, n_templates=n_templates)
        assert claim.fpir <= fpir * (1 + 1e-9)
        assert claim.fmr >= min(each.fmr for each in card.operating_points) * (1 - 1e-9)
        return
    with pytest.raises(ClaimUnavailable) as refused:
        claim_for(card, fpir=fpir, n_templates=n_templates)
    error = refused.value
    assert (error.largest, error.strictest) == (most, strictest_fpir(card, n_templates))
    if most:
        claim_for(card, fpir=fpir, n_templates=error.largest)
    if error.strictest is not None:
        claim_for(card, fpir=error.strictest, n_templates=n_templates)
        with pytest.raises(ClaimUnavailable):
            claim_for(card, fpir=error.strictest * 0.98, n_templates=n_templates)


@given(fpir=RATES, factor=st.floats(1, 100), n_templates=st.integers(1, 10**5))
@settings(max_examples=300, deadline=None)
def test_a_stricter_claim_never_has_a_looser_threshold(
    embedder: FaceEmbedder, fpir: float, factor: float, n_templates: int
) -> None:
    if n_templates <= largest_gallery(embedder.card, fpir / factor):
        stricter = claim_for(embedder.card, fpir=fpir / factor, n_templates=n_templates)
        looser = claim_for(embedder.card, fpir=fpir, n_templates=n_templates)
        assert stricter.threshold <= looser.threshold
        assert stricter.fpir <= looser.fpir


def test_what_is_asked_looser_than_the_loosest_point_is_claimed_as_that_point(embedder: FaceEmbedder) -> None:
    loosest = max(embedder.card.operating_points, key=lambda each: each.threshold)
    claim = claim_for(embedder.card, fpir=0.3, n_templates=2)
    assert claim.threshold == loosest.threshold
    assert claim.fpir == pytest.approx(fpir_of(loosest.fmr, 2))
    assert claim.fpir < 0.3


def test_a_refusal_says_what_can_be_claimed(embedder: FaceEmbedder) -> None:
    message = r"FPIR of 0\.001 for at most 1,017 templates.* 50,000; ask for an FPIR of 0\.048 or more"
    with pytest.raises(ClaimUnavailable, match=message):
        claim_for(embedder.card, fpir=1e-3, n_templates=50_000)


def test_fewer_templates_are_advised_only_where_they_would_do(embedder: FaceEmbedder) -> None:
    with pytest.raises(ClaimUnavailable, match=r"at most 0 templates.* an FPIR of 9\.84e-07 or more$"):
        claim_for(embedder.card, fpir=1e-9, n_templates=1)
    with pytest.raises(ClaimUnavailable, match=r"there are 10,000,000; use galleries with fewer templates, or measure"):
        claim_for(embedder.card, fpir=0.999, n_templates=10**7)


def test_a_card_without_measured_points_carries_nothing(bare_embedder: FaceEmbedder) -> None:
    card = card_with(bare_embedder.card, point(None, 1.0), point(0, 0.5))
    with pytest.raises(ClaimUnavailable, match=r"at most 0 templates, and there are 1; measure more operating points"):
        claim_for(card, fpir=0.5, n_templates=1)


@pytest.mark.parametrize("fmr", [1.0, 1e-13, 5e-324])
def test_a_rate_that_no_photos_can_measure_carries_nothing(embedder: FaceEmbedder, fmr: float) -> None:
    alone, beside = card_with(embedder.card, point(fmr, 0.5)), card_with(embedder.card, point(fmr, 0.5), point(1e-3, 1))
    assert (largest_gallery(alone, 0.5), strictest_fpir(alone, 10)) == (0, None)
    with pytest.raises(ClaimUnavailable):
        claim_for(alone, fpir=0.5, n_templates=1)
    assert largest_gallery(beside, 0.01) == 10
    assert claim_for(beside, fpir=0.01, n_templates=10).threshold == 1


def test_rates_that_were_not_measured_are_not_claimed(embedder: FaceEmbedder) -> None:
    claim = claim_for(card_with(embedder.card, point(1e-3, 1.0)), fpir=1e-2, n_templates=10)
    assert (claim.fpir_interval, claim.fnir, claim.fnir_interval) == (None, None, None)


def test_of_points_in_disorder_the_stricter_thresholds_count(embedder: FaceEmbedder) -> None:
    card = card_with(embedder.card, point(1e-2, 0.9), point(1e-3, 1.0), point(1e-3, 0.95), point(1e-4, 0.5))
    assert claim_for(card, fpir=1e-3, n_templates=1).threshold == pytest.approx(0.9)


@pytest.mark.parametrize(("fpir", "n_templates"), [(0, 1), (1, 1), (float("nan"), 1), (0.1, 0)])
def test_values_that_make_no_sense_are_refused(embedder: FaceEmbedder, fpir: float, n_templates: int) -> None:
    with pytest.raises(ValueError, match=r"must be between 0 and 1|at least one template"):
        claim_for(embedder.card, fpir=fpir, n_templates=n_templates)
