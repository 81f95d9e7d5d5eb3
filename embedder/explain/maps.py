"""Feature maps of one layer for one face, the most responsive first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..types import Chip, ModelIdentity
from .colors import Scale, scale_of
from .layers import Layer

Maps = NDArray[np.float32]  # (channels, height, width)
Kernels = NDArray[np.float32]  # (kernels, depth, height, width)


@dataclass(frozen=True, slots=True)
class Response:
    """How a channel answers to the face."""

    channel: int  # from 0
    peak: float  # its value farthest from 0, in the layer's own unit
    mean: float  # over the map


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """What a layer hands on for one face. A picture of them shows the face: treat it like the photo."""

    layer: Layer
    chip: Chip
    model: ModelIdentity
    maps: Maps  # (channels, height, width), by channel
    responses: tuple[Response, ...]  # the largest peak first

    @property
    def ordered(self) -> Maps:
        """The maps in the order of the responses."""
        return self.maps[[response.channel for response in self.responses]]

    @property
    def scale(self) -> Scale:
        """The values at the ends of the colours that they are drawn in."""
        return scale_of(self.maps)


def feature_maps(layer: Layer, chip: Chip, model: ModelIdentity, maps: Maps) -> FeatureMaps:
    """Put a layer's maps in the order in which they respond."""
    flat = maps.reshape(len(maps), -1)
    peaks = flat[np.arange(len(flat)), np.abs(flat).argmax(axis=1)]
    means = flat.mean(axis=1)
    order = np.argsort(-np.abs(peaks), kind="stable")
    responses = tuple(Response(int(each), float(peaks[each]), float(means[each])) for each in order)
    return FeatureMaps(layer, chip, model, maps, responses)
