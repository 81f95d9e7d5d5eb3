"""This project's pipeline, as anyone calls it in a process of his own: `load().verify(probe, reference)`."""

from importlib.metadata import version

import numpy as np
from turns import answer

from embedder import load


class VisavisPipeline:
    def __init__(self) -> None:
        self._embedder = load()
        side = self._embedder.card.alignment.chip_size_px
        self._chip = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)

    def facts(self) -> dict[str, object]:
        return {
            "visavis": version("visavis"),
            "openvino": version("openvino"),
            "model": self._embedder.card.name,
            "mirror": self._embedder.card.architecture.mirror,
        }

    def verify(self, probe: bytes, reference: bytes) -> bool:
        return self._embedder.verify(probe, reference).same

    def network(self) -> object:
        return self._embedder.embed_faces(self._chip)


if __name__ == "__main__":
    answer(VisavisPipeline())
