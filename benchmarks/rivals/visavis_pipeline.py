"""visavis's pipeline, called in process: `load().verify(probe, reference)`.

Usage: python visavis_pipeline.py [PRECISION].
"""

import sys
from importlib.metadata import version

import numpy as np
from turns import answer

from embedder import RuntimeOptions, load


class VisavisPipeline:
    def __init__(self, running: RuntimeOptions) -> None:
        self._embedder = load(running=running)
        side = self._embedder.card.alignment.chip_size_px
        self._chip = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)

    def facts(self) -> dict[str, object]:
        return {
            "visavis": version("visavis"),
            "openvino": version("openvino"),
            "model": self._embedder.card.name,
            "mirror": self._embedder.card.architecture.mirror,
            "way": self._embedder.runtime_description,
        }

    def verify(self, probe: bytes, reference: bytes) -> bool:
        return self._embedder.verify(probe, reference).same

    def embedding(self, photo: bytes) -> list[float]:
        vector: list[float] = self._embedder.embed(photo, face="center").vector.tolist()
        return vector

    def network(self) -> object:
        return self._embedder.embed_faces(self._chip)


if __name__ == "__main__":
    answer(VisavisPipeline(RuntimeOptions(precision=sys.argv[1]) if sys.argv[1:] else RuntimeOptions()))
