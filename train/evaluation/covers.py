"""Draw covers on faces: masks, dark glasses, hands and other things, in many shapes, textures and colours.

Positions on a face are x in distances between the eyes, from the middle of the eyes to the image-right, and y in
distances from the eyes to the mouth, downwards. So the eyes are at y = 0 and the mouth is at y = 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.floating]
Rng = np.random.Generator
Landmarks = Sequence[tuple[float, float]]  # five points, as of a Face
Polygon = Sequence[tuple[float, float]]  # positions on a face
Outline = list[Polygon]
Shape = Callable[[Rng], Outline]
Texture = Callable[[tuple[int, int], Rng, Floats], Floats]  # size, generator, colour -> (height, width, 3)

UP = 3  # an outline is drawn at this multiple of the picture's size, for smooth edges
SHADING_WIDTH = 0.35  # sigma of the blur that gives the light on a face, in distances between the eyes


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """Maps positions on a face to px of the picture."""

    middle: complex
    across: complex
    down: complex

    @classmethod
    def of(cls, landmarks: Landmarks) -> "FaceFrame":
        """Return the frame of a face by its landmarks."""
        left_eye, right_eye, _, left_mouth, right_mouth = (complex(*point) for point in landmarks)
        middle = (left_eye + right_eye) / 2
        return cls(middle, right_eye - left_eye, (left_mouth + right_mouth) / 2 - middle)

    def px(self, polygon: Polygon) -> list[tuple[float, float]]:
        """Return the polygon in px of the picture."""
        places = [self.middle + x * self.across + y * self.down for x, y in polygon]
        return [(place.real, place.imag) for place in places]


@dataclass(frozen=True, slots=True)
class Paint:
    """The look of a cover."""

    texture: Texture
    colour: Floats  # (3,) grey levels
    opacity: float = 1.0  # 0..1
    gloss: float = 0.0  # grey levels of a reflection
    is_shaded: bool = True  # by the light on the face
    line_width: float | None = None  # in distances between the eyes; None = filled


@dataclass(frozen=True, slots=True, eq=False)
class CoveredFace:
    """A picture with a cover on a face."""

    picture: Image.Image
    opacity: Floats  # (height, width) of the covers, 0..1

    def hidden_shares(self, landmarks: Landmarks) -> tuple[float, float]:
        """Return the covered shares of the region of the eyes and of that of the mouth, 0 to 1."""
        frame = FaceFrame.of(landmarks)
        return _mean_within(self.opacity, frame.px(EYE_REGION)), _mean_within(self.opacity, frame.px(MOUTH_REGION))


def _mean_within(opacity: Floats, polygon: Polygon) -> float:
    mask = Image.new("1", opacity.shape[::-1])
    ImageDraw.Draw(mask).polygon(polygon, fill=1)
    inside = np.asarray(mask)
    return float(opacity[inside].mean()) if inside.any() else 0.0


def smooth(corners: Polygon, n: int = 8) -> Polygon:
    """Return a closed Catmull-Rom curve through corners, with n points from each to the next."""
    points = np.array(corners)
    before, after, second = (np.roll(points, k, axis=0) for k in (1, -1, -2))
    t = np.linspace(0, 1, n, endpoint=False)[:, None, None]
    curve = (
        2 * points
        + (after - before) * t
        + (2 * before - 5 * points + 4 * after - second) * t**2
        + (3 * points - before - 3 * after + second) * t**3
    ) / 2
    return [(float(x), float(y)) for x, y in curve.swapaxes(0, 1).reshape(-1, 2)]


def ellipse(center: tuple[float, float], radii: tuple[float, float], *, angle: float = 0, power: float = 2) -> Polygon:
    """Return a superellipse: power 2 is an ellipse, a larger one is closer to a rectangle; `angle` in radians."""
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    x, y = (
        radius * np.sign(f) * np.abs(f) ** (2 / power) for radius, f in zip(radii, (np.cos(t), np.sin(t)), strict=True)
    )
    turned = (x + 1j * y) * np.exp(1j * angle) + complex(*center)
    return [(float(point.real), float(point.imag)) for point in turned]


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    """Return a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


EYE_REGION = box(-0.85, -0.28, 0.85, 0.3)
MOUTH_REGION = ellipse((0, 1.02), (0.62, 0.5), power=3)


def surgical_mask(rng: Rng) -> Outline:
    """A mask from the nose to below the chin, with sides."""
    top, side, low = rng.uniform(0.25, 0.6), rng.uniform(0.88, 1.12), rng.uniform(1.5, 1.85)
    ear, jaw = top + rng.uniform(0.02, 0.2), rng.uniform(0.82, 0.98)
    right = [(0.35, top + 0.05), (side, ear), (jaw, 1.15), (0.55, low - 0.12)]
    return [smooth([(0, top), *right, (0, low), *((-x, y) for x, y in reversed(right))])]


def gaiter(rng: Rng) -> Outline:
    """A scarf from the nose to the neck."""
    top, side, low = rng.uniform(0.3, 0.75), rng.uniform(1.0, 1.2), rng.uniform(2.0, 3.0)
    right = [(0.4, top + 0.04), (side, top + 0.15), (0.9 * side, 1.2), (0.85 * side, low)]
    return [smooth([(0, top), *right, *((-x, y) for x, y in reversed(right))], 6)]


def round_glasses(rng: Rng) -> Outline:
    """Two round lenses with a bridge."""
    radius, y = rng.uniform(0.33, 0.45), rng.uniform(0, 0.1)
    lenses = [ellipse((x, y), (radius, 0.9 * radius)) for x in (-0.5, 0.5)]
    return [*lenses, box(-0.2, y - 0.12, 0.2, y - 0.04)]


def square_glasses(rng: Rng) -> Outline:
    """Two nearly rectangular lenses with a bridge and temples."""
    radii, y = (rng.uniform(0.38, 0.48), rng.uniform(0.27, 0.4)), rng.uniform(-0.01, 0.09)
    lenses = [ellipse((x, y), radii, power=4) for x in (-0.5, 0.5)]
    return [*lenses, *(box(x, y - 0.2, x + width, y - 0.08) for x, width in ((-0.2, 0.4), (-1.1, 0.3), (0.8, 0.3)))]


def bar(rng: Rng) -> Outline:
    """A bar over the eyes."""
    side, up, down = rng.uniform(0.85, 1.3), *rng.uniform(0.2, 0.4, 2)
    return [box(-side, -up, side, down)]


def fist(rng: Rng) -> Outline:
    """A round thing before the mouth, such as a hand or a cup."""
    center, radii = (rng.uniform(-0.25, 0.25), rng.uniform(0.9, 1.3)), (rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.7))
    return [ellipse(center, radii, angle=rng.uniform(-0.6, 0.6))]


def blot(rng: Rng) -> Outline:
    """An irregular thing anywhere on the face."""
    y = rng.choice([rng.normal(0, 0.2), rng.normal(1.05, 0.25), rng.uniform(-1, 2)])
    middle, radii = np.array([rng.uniform(-0.6, 0.6), y]), np.array([rng.uniform(0.2, 1.2), rng.uniform(0.15, 0.7)])
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 10)))
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.6, 1.2, (len(angles), 2))
    corners = [(float(x), float(y)) for x, y in middle + radii * around]
    return [smooth(corners) if rng.random() < 0.5 else corners]  # noqa: PLR2004 - half of them


def plain(size: tuple[int, int], _rng: Rng, colour: Floats) -> Floats:
    """One colour."""
    return np.broadcast_to(colour, (*size, 3)).astype(np.float64)


def pleats(size: tuple[int, int], rng: Rng, colour: Floats) -> Floats:
    """Horizontal folds."""
    period = size[0] / rng.uniform(3, 7)
    rows = (np.arange(size[0]) % period) / period
    return np.asarray(plain(size, rng, colour) * (0.85 + 0.2 * rows)[:, None, None])


def dots(size: tuple[int, int], rng: Rng, colour: Floats) -> Floats:
    """Dots of another colour."""
    period = max(4, size[1] / rng.uniform(5, 12))
    y, x = np.indices(size) % period - period / 2
    is_dot = np.hypot(x, y) < period * rng.uniform(0.2, 0.35)
    return np.where(is_dot[..., None], rng.uniform(0, 255, 3), plain(size, rng, colour))


def blotches(size: tuple[int, int], rng: Rng, colour: Floats) -> Floats:
    """Soft light and dark patches."""
    coarse = rng.uniform(-1, 1, rng.integers(3, 9, 2)) * rng.uniform(20, 90)
    field = Image.fromarray(coarse.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(plain(size, rng, colour) + np.asarray(field)[..., None])


MASKS: tuple[Shape, ...] = (surgical_mask, gaiter)
GLASSES: tuple[Shape, ...] = (round_glasses, square_glasses)
TEXTURES: tuple[Texture, ...] = (plain, pleats, dots, blotches)
FABRICS = np.array(
    [
        *([238, 240, 240], [150, 195, 220], [25, 25, 28], [235, 170, 185], [128, 130, 135]),
        *([225, 200, 90], [40, 140, 140], [105, 72, 50], [200, 165, 135]),
    ]
)  # white, pale blue, black, pink, grey, yellow, teal, brown, tan


def draw(picture: Image.Image, landmarks: Landmarks, outline: Outline, paint: Paint, rng: Rng) -> CoveredFace:
    """Draw a cover on the face with these landmarks, on an RGB picture."""
    frame, opacity = FaceFrame.of(landmarks), np.zeros(picture.size[::-1], np.float32)
    polygons = [frame.px(polygon) for polygon in outline]
    places, margin = np.concatenate(polygons), 3 + 0.1 * abs(frame.across)
    left, top = np.floor(np.maximum(places.min(axis=0) - margin, 0)).astype(int).tolist()
    right, bottom = np.ceil(np.minimum(places.max(axis=0) + margin, picture.size)).astype(int).tolist()
    if right <= left or bottom <= top:
        return CoveredFace(picture, opacity)
    line_px = None if paint.line_width is None else paint.line_width * abs(frame.across)
    covering = _mask(polygons, (left, top, right, bottom), line_px) * np.float32(paint.opacity)
    opacity[top:bottom, left:right] = covering
    region = np.asarray(picture.crop((left, top, right, bottom)), np.float64)
    painted = _painted(region, paint, abs(frame.across), rng)
    mixed = region + covering[..., None] * (painted - region)
    covered = picture.copy()
    covered.paste(Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)), (left, top))
    return CoveredFace(covered, opacity)


def _mask(polygons: list[list[tuple[float, float]]], area: tuple[int, int, int, int], line_px: float | None) -> Floats:
    left, top, right, bottom = area
    mask = Image.new("L", ((right - left) * UP, (bottom - top) * UP))
    canvas = ImageDraw.Draw(mask)
    for polygon in polygons:
        points = [((x - left) * UP, (y - top) * UP) for x, y in polygon]
        if line_px is None:
            canvas.polygon(points, fill=255)
        else:
            canvas.line([*points, points[0]], fill=255, width=max(1, round(UP * line_px)))
    return np.asarray(mask.reduce(UP), np.float32) / 255


def _painted(region: Floats, paint: Paint, eye_distance: float, rng: Rng) -> Floats:
    height, width = region.shape[:2]
    x, y = np.linspace(-1, 1, width), np.linspace(0, 1, height)[:, None]
    colours = paint.texture((height, width), rng, paint.colour)
    if paint.is_shaded:
        grey = Image.fromarray(region.mean(axis=2).astype(np.uint8))
        light = np.asarray(grey.filter(ImageFilter.GaussianBlur(max(1, SHADING_WIDTH * eye_distance))), np.float64)
        shading = (0.5 + 0.5 * light / max(light.mean(), 20)) * (1 - 0.35 * x**2)
        colours = colours * shading[..., None]
    if paint.gloss:
        spot = np.exp(-(((x - rng.uniform(-1, 1)) / 0.3) ** 2) - ((y - rng.uniform(0, 0.6)) / 0.3) ** 2)
        colours = colours + paint.gloss * (spot + (1 - y) / 2)[..., None]
    return colours + rng.normal(0, rng.uniform(0, 4), colours.shape)


def skin_colour(picture: Image.Image, landmarks: Landmarks) -> Floats:
    """Return the median colour of cheeks and forehead."""
    places = np.array(FaceFrame.of(landmarks).px([(-0.45, 0.55), (0.45, 0.55), (0, -0.6)]))
    x, y = np.clip(places, 0, np.array(picture.size) - 1).astype(int).T
    return np.asarray(np.median(np.asarray(picture)[y, x].astype(np.float64), axis=0))


CoverKind = Literal["mask", "glasses", "other", "blot", "clear"]
KINDS: dict[CoverKind, float] = {"mask": 0.24, "glasses": 0.2, "other": 0.16, "blot": 0.3, "clear": 0.1}  # shares


def draw_random(picture: Image.Image, landmarks: Landmarks, rng: Rng, kind: CoverKind | None = None) -> CoveredFace:
    """Draw a cover of random shape, texture and colour; `kind` is drawn by the shares of KINDS by default."""
    kind = kind or tuple(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    if kind == "clear":
        return _with_clear_glasses(picture, landmarks, rng)
    outline, paint = _random_cover(kind, picture, landmarks, rng)
    return draw(picture, landmarks, outline, paint, rng)


def _random_cover(kind: CoverKind, picture: Image.Image, landmarks: Landmarks, rng: Rng) -> tuple[Outline, Paint]:
    texture, is_shaded = TEXTURES[rng.integers(len(TEXTURES))], bool(rng.integers(2))
    if kind == "mask":
        return MASKS[rng.integers(len(MASKS))](rng), Paint(texture, _fabric_colour(rng))
    if kind == "glasses":
        dark = np.clip(rng.uniform(5, 60) + rng.normal(0, 8, 3), 0, 255)
        paint = Paint(plain, dark, rng.uniform(0.85, 1), rng.choice([0, 0, 20, 60]), is_shaded)
        return GLASSES[rng.integers(len(GLASSES))](rng), paint
    shapes = (blot,) if kind == "blot" else (bar, fist)
    colours = (_fabric_colour(rng), skin_colour(picture, landmarks) + rng.normal(0, 12, 3), _hair_colour(rng))
    paint = Paint(texture, colours[rng.choice(3, p=COLOUR_SHARES)], is_shaded=is_shaded)
    return shapes[rng.integers(len(shapes))](rng), paint


COLOUR_SHARES = (0.45, 0.35, 0.2)  # of fabrics, skin and hair


def _hair_colour(rng: Rng) -> Floats:
    return np.asarray(np.array([60, 45, 35]) * rng.uniform(0.2, 3) + rng.normal(0, 5, 3))


def _fabric_colour(rng: Rng) -> Floats:
    if rng.random() < 0.6:  # noqa: PLR2004 - the share of common fabrics
        return np.asarray(np.clip(FABRICS[rng.integers(len(FABRICS))] + rng.normal(0, 12, 3), 0, 255))
    return np.asarray(rng.uniform(10, 250, 3) * rng.choice([1, 1, 0.5]))


def _with_clear_glasses(picture: Image.Image, landmarks: Landmarks, rng: Rng) -> CoveredFace:
    outline = GLASSES[rng.integers(len(GLASSES))](rng)
    lens = Paint(plain, rng.uniform(0, 255, 3), rng.uniform(0, 0.25), rng.choice([0, 20, 60]), is_shaded=False)
    frame = Paint(plain, rng.uniform(0, 120, 3), is_shaded=False, line_width=rng.uniform(0.01, 0.06))
    with_lenses = draw(picture, landmarks, outline[:2], lens, rng)
    with_frame = draw(with_lenses.picture, landmarks, outline, frame, rng)
    return CoveredFace(with_frame.picture, np.maximum(with_lenses.opacity, with_frame.opacity))
