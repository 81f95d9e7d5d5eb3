"""Edges: their directions, what light leaves as it was, and a plain loop that finds the same."""

from math import cos, hypot, pi, sin

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from embedder.backbones.small import AROUND, DIRECTIONS, FAINTEST, GREY, Edges

SIDE = 24


def ramp(direction: int, steepness: float = 0.1) -> Tensor:
    """A picture that grows lighter in that direction: (1, 3, side, side)."""
    y, x = torch.meshgrid(torch.arange(SIDE) * 1.0, torch.arange(SIDE) * 1.0, indexing="ij")
    angle = 2 * pi * direction / DIRECTIONS
    return (steepness * (cos(angle) * x + sin(angle) * y)).expand(1, 3, SIDE, SIDE)


def patterns(seed: int = 0) -> Tensor:
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(4 * coarse - 2, (SIDE, SIDE), mode="bilinear")


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_where_it_grows_lighter_that_direction_is_the_strongest(direction: int) -> None:
    inside = Edges(3)(ramp(direction))[0, :, 3:-3, 3:-3]
    assert (inside.argmax(dim=0) == direction).all()
    opposite = inside[(direction + DIRECTIONS // 2) % DIRECTIONS]
    assert not opposite.any()


def test_more_or_less_light_and_contrast_leave_edges_as_they_are() -> None:
    shown = patterns()
    found, changed = Edges(3)(shown)[..., 2:-2, 2:-2], Edges(3)(1.7 * shown + 0.5)[..., 2:-2, 2:-2]
    assert found.max() > 0.5
    assert (found - changed).abs().max() < 0.02


def test_a_flat_picture_has_no_edges_but_its_own_border() -> None:
    assert Edges(2)(torch.full((1, 3, SIDE, SIDE), 0.7))[..., 1:-1, 1:-1].max() < 1e-5


def test_in_bf16_edges_are_nearly_those_of_f32() -> None:
    levels = ((63.75 * patterns() + 127.5).round() - 127.5) / 64  # as a network is shown pixels
    with torch.autocast("cpu", torch.bfloat16):
        rounded = Edges(3)(levels).float()
    assert 0 < (rounded - Edges(3)(levels)).abs().max() < 0.03


def test_a_plain_loop_finds_the_same() -> None:
    shown = patterns(1)
    assert torch.allclose(Edges(3)(shown)[0], looped(shown[0], 3), atol=1e-5)


def looped(picture: Tensor, cell: int) -> Tensor:
    """Edges of one picture (3, side, side), number by number."""
    grey = [
        [sum(share * float(picture[k, y, x]) for k, share in enumerate(GREY)) for x in range(SIDE)] for y in range(SIDE)
    ]

    def at(y: int, x: int) -> float:
        return grey[y][x] if 0 <= y < SIDE and 0 <= x < SIDE else 0.0

    def towards(direction: int, y: int, x: int) -> float:
        right = sum(weight * (at(y + dy, x + 1) - at(y + dy, x - 1)) for dy, weight in ((-1, 1), (0, 2), (1, 1))) / 8
        down = sum(weight * (at(y + 1, x + dx) - at(y - 1, x + dx)) for dx, weight in ((-1, 1), (0, 2), (1, 1))) / 8
        angle = 2 * pi * direction / DIRECTIONS
        return max(cos(angle) * right + sin(angle) * down, 0.0)

    n = SIDE // cell
    cells = torch.zeros(DIRECTIONS, n, n)
    for direction in range(DIRECTIONS):
        for y in range(SIDE):
            for x in range(SIDE):
                cells[direction, y // cell, x // cell] += towards(direction, y, x) / cell**2
    around = [[hypot(*cells[:, y, x].tolist()) ** 2 for x in range(n)] for y in range(n)]
    for side in AROUND:
        around = [[mean_near(around, y, x, side // 2) for x in range(n)] for y in range(n)]
    return cells / (torch.tensor(around) + FAINTEST).sqrt()


def mean_near(numbers: list[list[float]], y: int, x: int, reach: int) -> float:
    n = len(numbers)
    near = [
        numbers[v][u]
        for v in range(max(y - reach, 0), min(y + reach + 1, n))
        for u in range(max(x - reach, 0), min(x + reach + 1, n))
    ]
    return sum(near) / len(near)
