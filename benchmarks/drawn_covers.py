"""Kinds of covers that are kept out of every fit: their shapes, textures and colours are not in train's covers.py."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from train.evaluation.covers import (
    CoveredFace,
    Floats,
    Landmarks,
    Outline,
    Paint,
    Rng,
    box,
    draw,
    ellipse,
    plain,
    skin_colour,
    smooth,
)

Size = tuple[int, int]
COLOURS = np.array(
    [
        [30, 40, 85],
        [70, 120, 70],
        [175, 40, 45],
        [110, 70, 140],
        [225, 130, 50],
        [225, 190, 165],
        [90, 60, 45],
        [175, 210, 235],
    ]
)  # navy, green, red, purple, orange, beige, dark brown, light blue


def cone(rng: Rng) -> Outline:
    """A mask with a point over the nose, such as an FFP2 mask."""
    top, side, low = rng.uniform(0.2, 0.5), rng.uniform(0.7, 0.9), rng.uniform(1.5, 1.75)
    right = [(0.18, top + 0.05), (0.55, 0.62), (side, 1.0), (0.6, 1.4)]
    return [smooth([(0, top), *right, (0, low), *((-x, y) for x, y in reversed(right))])]


def bandana(rng: Rng) -> Outline:
    """A triangular cloth from the nose down."""
    top, side, low = rng.uniform(0.3, 0.65), rng.uniform(1.05, 1.25), rng.uniform(2.2, 2.9)
    right = [(0.4, top + 0.02), (side, top + 0.1), (0.85 * side, 1.3)]
    return [[(0, top), *right, (rng.uniform(-0.2, 0.2), low), *((-x, y) for x, y in reversed(right))]]


def folded(rng: Rng) -> Outline:
    """A mask with straight edges and a fold, such as a folded cloth."""
    top, low = rng.uniform(0.35, 0.6), rng.uniform(1.55, 1.9)
    return [[(-1, top), (1, top), (0.95, 1.2), (0.45, low), (-0.45, low), (-0.95, 1.2)]]


def aviator(rng: Rng) -> Outline:
    """Two drop-shaped lenses with a bridge."""
    size, y = rng.uniform(0.9, 1.15), rng.uniform(0.03, 0.13)
    drop = np.array([(-42, -20), (0, -26), (36, -22), (40, 0), (25, 30), (-8, 42), (-36, 25), (-45, 0)]) / 100 * size
    left = smooth([(float(x) - 0.5, float(v) + y) for x, v in drop])
    return [left, [(-x, v) for x, v in left], box(-0.2, y - 0.22, 0.2, y - 0.14)]


def goggles(rng: Rng) -> Outline:
    """One lens over both eyes."""
    return [ellipse((0, 0.02), (rng.uniform(0.95, 1.15), rng.uniform(0.3, 0.5)), power=4)]


def cat_eye(rng: Rng) -> Outline:
    """Two lenses with raised outer corners."""
    size, y = rng.uniform(0.95, 1.1), rng.uniform(0, 0.08)
    half = np.array([(-46, -30), (20, -22), (38, -8), (34, 22), (0, 32), (-34, 22)]) / 100 * size
    left = smooth([(float(x) - 0.5, float(v) + y) for x, v in half])
    return [left, [(-x, v) for x, v in left], box(-0.2, y - 0.12, 0.2, y - 0.04)]


def fingers(rng: Rng) -> Outline:
    """Three or four fingers before the eyes or the mouth."""
    middle, side, width = rng.choice([0.05, 1.05]), rng.choice([-1, 1]), rng.uniform(0.18, 0.26)
    rows = middle + (np.arange(rng.integers(3, 5)) - 1.2) * width
    tilt = 0.3 * side * rng.uniform(-0.5, 0.5)
    return [
        ellipse((side * rng.uniform(0.5, 0.75), float(row)), (1.3, 0.56 * width), angle=tilt, power=3.5) for row in rows
    ]


def fringe(rng: Rng) -> Outline:
    """Hair over the forehead and the eyes."""
    ends = [(float(x), rng.uniform(0.05, 0.5)) for x in np.linspace(1.15, -1.15, rng.integers(5, 9))]
    return [[(-1.3, -1.4), (1.3, -1.4), *ends]]


def phone(rng: Rng) -> Outline:
    """A phone before the mouth."""
    center, radii = (
        (rng.uniform(-0.25, 0.25), rng.uniform(0.95, 1.35)),
        (rng.uniform(0.5, 0.75), rng.uniform(0.55, 0.9)),
    )
    return [ellipse(center, radii, angle=rng.uniform(-0.4, 0.4), power=8)]


def stripes(size: Size, rng: Rng, colour: Floats) -> Floats:
    """Stripes of another colour, at any angle."""
    y, x = np.indices(size)
    angle, period = rng.uniform(0, np.pi), max(3, size[1] / rng.uniform(4, 14))
    is_stripe = (x * np.cos(angle) + y * np.sin(angle)) % period < period / 2
    return np.asarray(np.where(is_stripe[..., None], rng.uniform(0, 255, 3), plain(size, rng, colour)))


def plaid(size: Size, rng: Rng, colour: Floats) -> Floats:
    """Stripes at two angles."""
    return (stripes(size, rng, colour) + stripes(size, rng, colour)) / 2


def strands(size: Size, rng: Rng, colour: Floats) -> Floats:
    """Vertical lines, as of hair or of knitted cloth."""
    lines = rng.normal(0, 1, (1, size[1], 1)) + 0.4 * rng.normal(0, 1, (*size, 1))
    return np.asarray(plain(size, rng, colour) + rng.uniform(10, 35) * lines)


def camouflage(size: Size, rng: Rng, colour: Floats) -> Floats:
    """Patches of four shades."""
    coarse = rng.uniform(-40, 40, rng.integers(3, 9, 2)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
    shades = np.array([np.clip(colour * share + rng.uniform(-20, 20, 3), 0, 255) for share in (0.5, 0.8, 1.1, 1.4)])
    return np.asarray(shades[np.digitize(field, [-20, 0, 20])])


MASKS = (cone, bandana, folded)
GLASSES = (aviator, goggles, cat_eye)
TEXTURES = (stripes, plaid, strands, camouflage)
Draw = Callable[[Image.Image, Landmarks, Rng], CoveredFace]


def mask(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    """Draw a mask."""
    paint = Paint(TEXTURES[rng.integers(len(TEXTURES))], COLOURS[rng.integers(len(COLOURS))].astype(float))
    return draw(picture, landmarks, MASKS[rng.integers(len(MASKS))](rng), paint, rng)


def dark_glasses(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    """Draw dark glasses, tinted and glossy."""
    colour = COLOURS[rng.integers(len(COLOURS))] * rng.uniform(0.1, 0.35)
    paint = Paint(plain, colour, rng.uniform(0.88, 1), rng.choice([0, 40, 80]))
    return draw(picture, landmarks, GLASSES[rng.integers(len(GLASSES))](rng), paint, rng)


def clear_glasses(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    """Draw a frame with lenses that are hardly tinted."""
    outline = GLASSES[rng.integers(len(GLASSES))](rng)
    tint = Paint(plain, rng.uniform(0, 255, 3), rng.uniform(0, 0.2), is_shaded=False)
    frame = Paint(plain, rng.uniform(0, 120, 3), is_shaded=False, line_width=rng.uniform(0.015, 0.06))
    with_lenses = draw(picture, landmarks, outline, tint, rng)
    with_frame = draw(with_lenses.picture, landmarks, outline, frame, rng)
    return CoveredFace(with_frame.picture, np.maximum(with_lenses.opacity, with_frame.opacity))


def hand(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    """Draw fingers in the colour of the skin."""
    paint = Paint(plain, skin_colour(picture, landmarks) + rng.normal(0, 6, 3))
    return draw(picture, landmarks, fingers(rng), paint, rng)


def hair(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    """Draw hair over the eyes."""
    paint = Paint(strands, np.array([60, 45, 35]) * rng.uniform(0.4, 2.5))
    return draw(picture, landmarks, fringe(rng), paint, rng)


def held_phone(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    """Draw a phone before the mouth."""
    return draw(picture, landmarks, phone(rng), Paint(plain, COLOURS[rng.integers(len(COLOURS))].astype(float)), rng)


DRAWN: dict[str, Draw] = {
    "masks": mask,
    "dark glasses": dark_glasses,
    "hands": hand,
    "hair over the eyes": hair,
    "phones": held_phone,
    "clear glasses": clear_glasses,
}
