"""All against all, block by block, against all distances at once."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from train.evaluation import all_pairs, scores
from train.evaluation.all_pairs import compare_all, n_comparisons
from train.evaluation.scores import ComparisonKind, ScoreSet


def at_once(vectors: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Genuine and impostor distances, each sorted."""
    first, second = np.triu_indices(len(vectors), 1)
    distances = np.linalg.norm(vectors[first].astype(float) - vectors[second].astype(float), axis=1)
    same = identities[first] == identities[second]
    return np.sort(distances[same]), np.sort(distances[~same])


def random_faces(n: int, n_identities: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    vectors = (generator.normal(size=(n, 128)) / 16).astype(np.float32)
    return vectors, generator.integers(n_identities, size=n).astype(np.int32)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_every_comparison_is_counted_once_and_kept_by_name(n: int, n_identities: int, seed: int) -> None:
    vectors, identities = random_faces(n, n_identities, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "BLOCK", 16)  # so that few faces fill several blocks
        found = compare_all(vectors, identities, seed=0)
    for kind, expected in zip((found.genuine, found.impostor), at_once(vectors, identities), strict=True):
        assert np.allclose(kind.sample.values, expected, atol=1e-7)
        assert kind.tally.n == len(expected)
        for threshold in (0.7, 1.0, 1.41421):
            assert kind.tally.below(threshold) == (expected < threshold).sum()


def test_names_are_those_of_the_photos_also_where_faces_are_missing() -> None:
    vectors, identities = random_faces(30, 5, seed=1)
    vectors[[3, 17]] = np.nan
    found = compare_all(vectors, identities, seed=0)
    for kind, is_genuine in ((found.genuine, True), (found.impostor, False)):
        probe, reference = kind.sample.probe, kind.sample.reference
        distances = np.linalg.norm(vectors[probe].astype(float) - vectors[reference].astype(float), axis=1)
        assert np.allclose(distances, kind.sample.values, atol=1e-7)
        assert ((identities[probe] == identities[reference]) == is_genuine).all()


def test_comparisons_that_a_missing_face_costs_are_counted() -> None:
    vectors, identities = random_faces(30, 5, seed=1)
    vectors[[3, 17]] = np.nan
    found = compare_all(vectors, identities, seed=0)
    impostor, genuine = n_comparisons(identities)
    assert found.genuine.tally.n + found.genuine.n_failed == genuine
    assert found.impostor.tally.n + found.impostor.n_failed == impostor
    assert genuine + impostor == 30 * 29 / 2


def thinned() -> tuple[ScoreSet, np.ndarray, np.ndarray]:
    """Faces whose comparisons are kept in part only, with all their distances."""
    vectors, identities = random_faces(900, 30, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "N_EXACT", 5_000)
        patch.setattr(scores, "N_PART", 2_000)
        found = compare_all(vectors, identities, seed=0)
    return found, *at_once(vectors, identities)


def test_of_very_many_comparisons_those_that_decide_are_all_kept() -> None:
    found, genuine, impostor = thinned()
    nearest = int(np.searchsorted(impostor, impostor[4_900]))
    assert np.allclose(found.impostor.sample.values[:nearest], impostor[:nearest], atol=1e-7)
    assert (found.impostor.sample.weights[:nearest] == 1).all()
    assert np.allclose(found.genuine.sample.values[-4_900:], genuine[-4_900:], atol=1e-7)


@pytest.mark.parametrize("which", ["genuine", "impostor"])
def test_the_part_that_is_kept_stands_for_all(which: str) -> None:
    found, genuine, impostor = thinned()
    expected = {"genuine": genuine, "impostor": impostor}[which]
    kind: ComparisonKind = getattr(found, which)
    assert len(kind.sample.values) < len(expected)
    assert kind.sample.weights.sum() == pytest.approx(len(expected))
    for share in (0.1, 0.5, 0.9):
        threshold = np.quantile(expected, share)
        below = kind.sample.weights[kind.sample.values < threshold].sum() / len(expected)
        assert below == pytest.approx(share, abs=0.02)


def test_the_same_seed_keeps_the_same_comparisons() -> None:
    one, again = thinned()[0], thinned()[0]
    assert one.impostor.sample.probe.tobytes() == again.impostor.sample.probe.tobytes()


PEAK = r"""
import re, sys
from pathlib import Path
import numpy as np
from train.evaluation.all_pairs import compare_all
vectors = np.random.default_rng(4).normal(scale=float(sys.argv[1]), size=(12_000, 128)) + 1
found = compare_all(vectors.astype(np.float32), np.arange(12_000, dtype=np.int32) // 4, seed=0)
assert found.impostor.tally.n + found.genuine.tally.n == 12_000 * 11_999 / 2
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)  # peak, of this program alone
"""
DIGESTS = """
import hashlib, sys
import numpy as np
from train.evaluation.all_pairs import compare_all
from train.evaluation.scoring import Penalties
generator = np.random.default_rng(4)
vectors = generator.normal(scale=0.06, size=(3_000, 128)).astype(np.float32)
penalties = Penalties(generator.uniform(0, 0.1, (1, 3_000))) if sys.argv[1:] else None
found = compare_all(vectors, np.arange(3_000, dtype=np.int32) // 4, seed=0, penalties=penalties).impostor
parts = (found.sample.values, found.sample.probe, found.tally.values, found.tally.cumulative)
print([hashlib.sha256(part.tobytes()).hexdigest() for part in parts])
"""


def run(program: str, *arguments: str, **environment: str) -> str:
    command, own = [sys.executable, "-c", program, *arguments], os.environ | environment
    return subprocess.run(command, env=own, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("spread", ["0.06", "0"])
def test_memory_does_not_grow_with_the_square_of_the_faces(spread: str) -> None:
    """12,000 faces make 72 million comparisons: listed, they would fill 1.4 GiB. Nor where all embeddings are one."""
    assert float(run(PEAK, spread)) < 500  # MiB


@pytest.mark.parametrize("arguments", [(), ("penalties",)])
def test_the_same_seed_keeps_the_same_bytes_however_many_threads_multiply(arguments: tuple[str, ...]) -> None:
    one, two = (run(DIGESTS, *arguments, OPENBLAS_NUM_THREADS=n) for n in "12")
    assert one == two


def test_one_identity_alone_has_no_impostor_comparison() -> None:
    vectors, _ = random_faces(5, 1, seed=0)
    found = compare_all(vectors, np.zeros(5, np.int32), seed=0)
    assert (found.genuine.tally.n, found.impostor.tally.n) == (10, 0)
