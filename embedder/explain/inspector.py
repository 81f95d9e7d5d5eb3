"""A network with its inside open: which layers it has, what each makes of a chip, and by which kernels."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnknownLayer
from ..runtime.openvino import folded, watched
from ..types import Pixels
from .graph_layers import LayerGraph, shape_of
from .layers import Layer, NetworkDescription
from .maps import Kernels, Maps

if TYPE_CHECKING:
    from ..types import Pass


class NetworkInspector:
    """Of an exported graph, run by OpenVINO. Safe to call from several threads."""

    def __init__(self, graph: Path | bytes, stored_parameters: int) -> None:
        """Measure the layers' shapes by running the network once."""
        self._model = folded(graph)
        self._walk = LayerGraph(self._model)
        run = watched(self._model, [found.itself for found in self._walk.found])
        (given,) = self._model.get_parameters()
        measured = run(np.zeros(shape_of(given), given.get_element_type().to_dtype()))
        self.description = NetworkDescription(self._walk.layers([maps.shape for maps in measured]), stored_parameters)

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises UnknownLayer."""
        return self.description.layers[self._place(name)]

    def maps(self, name: str, chip: Pixels) -> Maps:
        """What a layer hands on, after its sum and activation, for one chip (side, side, 3). Raises UnknownLayer."""
        (maps,) = self._run(chip[None])[self._place(name)]
        return np.atleast_3d(maps).reshape(self.layer(name).hands_on)

    def kernels(self, name: str) -> Kernels | None:
        """The kernels of a layer, normalisation folded in; None for a pool. Raises UnknownLayer."""
        weight, layer = self._walk.found[self._place(name)].weight, self.layer(name)
        return None if weight is None else weight.reshape(layer.shape[0], layer.window.depth, *layer.window.size)

    @cached_property
    def _run(self) -> "Pass":
        """All layers at once: of one more network, and not one for each layer."""
        return watched(self._model, [found.last for found in self._walk.found])

    def _place(self, name: str) -> int:
        if name not in self._walk.names:
            raise UnknownLayer(name, self._walk.names)
        return self._walk.names.index(name)
