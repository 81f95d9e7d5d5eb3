"""The MTCNN cascade, from the coarsest scale to the finest: proposals, refined, then judged with landmarks.

Source: Zhang et al. 2016, with the thresholds that facenet-pytorch uses. One view in, its faces out. A search for the
largest face ends where no finer scale can change the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..runtime.runtime import DetectionPasses
from ..types import Box, Face
from .boxes import Floats, Indices, corrected, squared, suppressed
from .pyramid import CELL_PX, Cuts, Pyramid, scales_of
from .shapes import STRIDE_PX, over_crops, over_levels
from .views import View

GROWTH = 2.0  # no face is larger than the cells that proposed it by more than this; docs/why.md says how that is known
_REFINE_SIZE, _OUTPUT_SIZE = 24, 48
_MAX_OVERLAP = 0.7  # of two faces, as a share of the smaller one


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """How small a face is looked for, and how sure each network must be."""

    min_face_px: float = 20.0
    min_face_share: float = 0.02  # of the picture's longer side: bounds the work on a large picture
    scale_step: float = 0.709
    min_scores: tuple[float, float, float] = (0.7, 0.7, 0.7)
    # Of two proposals at one scale, of two at any scales, and of two refined ones.
    max_overlaps: tuple[float, float, float] = (0.5, 0.5, 0.5)
    together_px: float = 80.0  # levels of at most this are looked at in one pass

    def scales(self, size: tuple[int, int]) -> list[list[float]]:
        """The scales at which a picture of that size is searched, the coarsest first; the small ones go together."""
        scales = scales_of(size, max(self.min_face_px, self.min_face_share * max(size)), self.scale_step)
        small = [scale for scale in scales if scale * max(size) <= self.together_px]
        return [each for each in (small, *([scale] for scale in scales[len(small) :])) if each]


@dataclass(frozen=True, slots=True)
class Found:
    """The faces of a view, largest first; not `is_whole` = scales were left out that could hold smaller ones."""

    faces: tuple[Face, ...]
    is_whole: bool

    @property
    def n_faces(self) -> int | None:
        """How many faces there are; None where that is not known."""
        return len(self.faces) if self.is_whole else None


class Cascade:
    """The three networks with their settings. Safe to call from several threads."""

    def __init__(
        self, networks: DetectionPasses, settings: CascadeSettings, cuts: Callable[[View], Cuts] = Pyramid
    ) -> None:
        self._networks, self._settings, self._cuts = networks, settings, cuts

    def __call__(self, view: View, *, least_share: float = 0.0) -> Found:
        """Find the faces of at least that share of the largest one's area; 0 finds all.

        Smaller ones may be among those found, or not.
        """
        search = _Search(self._networks, self._settings, self._cuts(view))
        for scales in self._settings.scales(view.size):
            if faces := search.settled(least_share, _largest_at(scales[0])):
                return Found(tuple(faces), is_whole=False)
            search.look_at(scales)
        return Found(tuple(search.faces()), is_whole=True)


def _largest_at(scale: float) -> float:
    """The area of the largest face that can be found at a scale, in px squared."""
    return (GROWTH * CELL_PX / scale) ** 2


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """What the first two networks said of n places."""

    cells: Floats  # (n, 4), as proposed
    cell_scores: Floats  # (n,)
    squares: Floats  # (n, 4), as they were refined
    scores: Floats  # (n,)
    corrections: Floats  # (n, 4)

    def and_also(self, more: "_Candidates") -> "_Candidates":
        return _Candidates(
            np.concatenate([self.cells, more.cells]),
            np.concatenate([self.cell_scores, more.cell_scores]),
            np.concatenate([self.squares, more.squares]),
            np.concatenate([self.scores, more.scores]),
            np.concatenate([self.corrections, more.corrections]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What the third network said of one candidate."""

    score: float
    corrections: Floats  # (4,)
    shares: Floats  # (10,)


class _Search:
    """The search of one view, scale after scale. No network runs twice on the same piece."""

    def __init__(self, networks: DetectionPasses, settings: CascadeSettings, cuts: Cuts) -> None:
        self._networks, self._settings, self._cuts = networks, settings, cuts
        self._candidates = _NONE
        self._judged: dict[int, _Judged] = {}

    def look_at(self, scales: list[float]) -> None:
        """Add what is found at these scales, the coarsest first."""
        cells, scores, corrections = self._proposed(scales[::-1])
        squares = squared(corrected(cells, corrections, inclusive=0))
        inside, pieces = self._cuts.crops(squares, _REFINE_SIZE)
        if len(pieces):
            refined = over_crops(self._networks.refinement, pieces)
            found = _Candidates(cells[inside], scores[inside], squares[inside], *refined)
            self._candidates = self._candidates.and_also(found)

    def settled(self, least_share: float, largest_to_come: float) -> list[Face]:
        """The faces, if those to come, of at most this area in px squared, are below that share of the largest one."""
        if self._largest_hope() * least_share <= largest_to_come:  # the last network takes longest
            return []
        faces = self.faces()
        return faces if faces and faces[0].box.area * least_share > largest_to_come else []

    def faces(self) -> list[Face]:
        """All faces found so far, largest first."""
        places, boxes = self._refined()
        self._judge(places, boxes)
        least = self._settings.min_scores[2]
        sure = [place in self._judged and self._judged[place].score > least for place in places.tolist()]
        return _faces(boxes[sure], [self._judged[place] for place in places[sure].tolist()]) if any(sure) else []

    def _largest_hope(self) -> float:
        """The area of the largest candidate, in px squared: of the largest face, if the last network agrees."""
        found = self._candidates
        squares = found.squares[found.scores > self._settings.min_scores[1]]
        return float(((squares[:, 2:] - squares[:, :2]) ** 2).max(initial=0))

    def _proposed(self, scales: list[float]) -> tuple[Floats, Floats, Floats]:
        """The cells that may hold a face, (n, 4), with their scores, (n,), and corrections, (n, 4)."""
        maps = over_levels(self._networks.proposal, [self._cuts.level(scale) for scale in scales])
        places = [np.nonzero(scores >= self._settings.min_scores[0]) for scores, _ in maps]
        levels = np.repeat(np.arange(len(scales)), [len(rows) for rows, _ in places])
        cells = _cells(np.concatenate(places, axis=1), np.array(scales, np.float32)[levels])
        scores = np.concatenate([scores[place] for (scores, _), place in zip(maps, places, strict=True)])
        corrections = [part[:, rows, columns].T for (_, part), (rows, columns) in zip(maps, places, strict=True)]
        kept = suppressed(cells, scores, self._settings.max_overlaps[0], groups=levels)
        kept = kept[suppressed(cells[kept], scores[kept], self._settings.max_overlaps[1])]
        return cells[kept], scores[kept], np.concatenate(corrections)[kept]

    def _refined(self) -> tuple[Indices, Floats]:
        """The candidates that the third network is to judge, and their boxes."""
        found = self._candidates
        places = suppressed(found.cells, found.cell_scores, self._settings.max_overlaps[1])
        places = places[found.scores[places] > self._settings.min_scores[1]]
        places = places[suppressed(found.squares[places], found.scores[places], self._settings.max_overlaps[2])]
        return places, squared(corrected(found.squares[places], found.corrections[places], inclusive=1))

    def _judge(self, places: Indices, boxes: Floats) -> None:
        new = np.array([place not in self._judged for place in places.tolist()], np.bool_)
        inside, pieces = self._cuts.crops(boxes[new], _OUTPUT_SIZE)
        if len(pieces):
            outputs = over_crops(self._networks.output, pieces)
            for place, score, corrections, shares in zip(places[new][inside], *outputs, strict=True):
                self._judged[int(place)] = _Judged(float(score), corrections, shares)


_EMPTY = np.empty((0, 4), np.float32)
_NONE = _Candidates(_EMPTY, _EMPTY[:, 0], _EMPTY, _EMPTY[:, 0], _EMPTY)


def _cells(places: Indices, scales: Floats) -> Floats:
    """What the cells at rows and columns (2, n) look at, in px of the view: (n, 4)."""
    corners = STRIDE_PX * places[::-1].T
    edges = np.concatenate([corners + 1, corners + CELL_PX], axis=1).astype(np.float32)
    return np.asarray(np.floor(edges / scales[:, None]))  # as facenet-pytorch divides: in f32, or edges are a pixel off


def _faces(boxes: Floats, judged: list[_Judged]) -> list[Face]:
    """Each face once, largest first; of boxes with equal scores the last one, as facenet-pytorch has it."""
    boxes, judged = boxes[::-1], judged[::-1]
    scores = np.array([each.score for each in judged])
    landmarks = _landmarks(boxes, np.stack([each.shares for each in judged]))
    boxes = corrected(boxes, np.stack([each.corrections for each in judged]), inclusive=1)
    kept = suppressed(boxes, scores, _MAX_OVERLAP, over_smaller=True)
    found = [_face(boxes[place], landmarks[place], scores[place]) for place in kept]
    return sorted(found, key=lambda face: face.box.area, reverse=True)


def _landmarks(boxes: Floats, shares: Floats) -> Floats:
    """Landmarks (n, 5, 2) in px from shares (n, 10) of the box: 5 x, then 5 y."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    points = shares.reshape(-1, 2, 5).transpose(0, 2, 1)
    return points * size[:, None] + boxes[:, None, :2] - 1


def _face(box: Floats, landmarks: Floats, score: float) -> Face:
    left, top, right, bottom = (float(edge) for edge in box)
    points = tuple((float(x), float(y)) for x, y in landmarks)
    return Face(Box(left, top, right - left, bottom - top), points, float(score))
