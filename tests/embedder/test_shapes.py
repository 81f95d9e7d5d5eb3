"""Levels side by side in one pass: no two overlap, and each gives what it gives by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedder.detection.pyramid import scales_of
from embedder.detection.shapes import layout, over_levels
from embedder.runtime.openvino import OpenVinoRuntime

sides = st.integers(13, 400)


@given(sides, sides, st.integers(1, 10))
def test_no_level_covers_another(height: int, width: int, n_levels: int) -> None:
    sizes = [(int(height * 0.709**n) + 1, int(width * 0.709**n) + 1) for n in range(n_levels)]
    places = layout(sizes)
    assert len(places) == n_levels
    covered = np.zeros((2 * height + 40, 5 * width + 60), int)
    for (level_height, level_width), (left, top) in zip(sizes, places, strict=True):
        assert left % 2 == top % 2 == 0
        covered[top : top + level_height, left : left + level_width] += 1
    assert covered.max() == 1
    assert covered.sum() == sum(level_height * level_width for level_height, level_width in sizes)


def test_side_by_side_each_level_gives_what_it_gives_by_itself() -> None:
    proposal = OpenVinoRuntime().detection().proposal
    rng = np.random.default_rng(0)
    levels = [rng.integers(0, 256, (int(63 * s) + 1, int(47 * s) + 1, 3), np.uint8) for s in (1, 0.71, 0.5, 0.36, 0.26)]
    together = over_levels(proposal, levels)
    for level, found in zip(levels, together, strict=True):
        [(scores, corrections)] = over_levels(proposal, [level])
        rows, columns = found[0].shape
        assert (rows, columns) == tuple((side - 12) // 2 + 1 for side in level.shape[:2])
        assert np.allclose(found[0], scores[:rows, :columns], atol=1e-5)
        assert np.allclose(found[1], corrections[:, :rows, :columns], atol=1e-5)


@given(sides, sides, st.floats(12, 60))
def test_the_scales_run_from_the_whole_picture_to_the_smallest_face(width: int, height: int, least: float) -> None:
    scales = scales_of((width, height), least, 0.709)
    assert scales == sorted(scales)
    if min(width, height) < least:
        assert not scales
    else:
        assert scales[-1] == 12 / least
        assert 12 <= min(width, height) * scales[0] < 12 / 0.709
