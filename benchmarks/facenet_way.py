"""facenet-pytorch's way of resizing, for comparisons at equal settings: plain means over whole pixels.

Each pixel of the result is the mean of the pixels it touches, none of them weighed (torch's "area"), in full size.
By sums over all pixels above and to the left, so that every box and every level takes as long, however large it is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedder.detection.boxes import Flags, Floats
from embedder.detection.cascade import CascadeSettings
from embedder.detection.pyramid import Crops, clipped, level_size
from embedder.detection.views import View

SETTINGS = CascadeSettings(  # its defaults
    min_face_px=20, min_face_share=0, min_scores=(0.6, 0.7, 0.7), max_overlaps=(0.5, 0.7, 0.7), together_px=0
)


class Bins(NamedTuple):
    """Which pixels each of `size` pixels is the mean of: from `starts` on, up to but without `ends`, (n, size)."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]


class PlainMeans:
    """Cuts of a view, each from all its pixels."""

    def __init__(self, view: View) -> None:
        self._view = view
        pixels = np.asarray(view.at(1))
        sums = np.zeros((pixels.shape[0] + 1, pixels.shape[1] + 1, 3), np.int32)
        np.cumsum(pixels, axis=0, dtype=np.int32, out=sums[1:, 1:])
        self._sums = np.cumsum(sums, axis=1, out=sums)  # int32 may wrap round: differences come out right all the same

    def level(self, scale: float) -> NDArray[np.float32]:
        """The whole view at a scale."""
        width, height = level_size(self._view, scale)
        whole = np.array([[0, 0, *self._view.size]])
        return self._means(bins(whole[:, 1], whole[:, 3], height), bins(whole[:, 0], whole[:, 2], width))[0]

    def crops(self, boxes: Floats, size: int) -> tuple[Flags, Crops]:
        """Boxes at size x size."""
        inside, windows = clipped(boxes, self._view.size)
        edges = windows.astype(np.intp)
        return inside, self._means(bins(edges[:, 1], edges[:, 3], size), bins(edges[:, 0], edges[:, 2], size))

    def _means(self, rows: Bins, columns: Bins) -> NDArray[np.float32]:
        def at(row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[np.int32]:
            return self._sums[row[:, :, None], column[:, None, :]]

        totals = at(rows.ends, columns.ends) - at(rows.starts, columns.ends)
        totals -= at(rows.ends, columns.starts) - at(rows.starts, columns.starts)
        counts = (rows.ends - rows.starts)[:, :, None] * (columns.ends - columns.starts)[:, None, :]
        return totals.astype(np.float32) / counts[..., None].astype(np.float32)


def bins(first: NDArray[np.intp], last: NDArray[np.intp], size: int) -> Bins:
    """Cut each of n stretches of pixels into `size` bins that touch or overlap."""
    length, place = (last - first)[:, None], np.arange(size)
    starts = first[:, None] + place * length // size
    ends = first[:, None] - (-(place + 1) * length) // size
    return Bins(starts, ends)
