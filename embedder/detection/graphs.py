"""The detector's two networks as ONNX files with their weights inside; tools/make_detector.py makes them."""

import hashlib
from pathlib import Path

from ..weights.card import DetectorFacts

YUNET, ONET = (Path(__file__).parent / f"{name}.onnx" for name in ("yunet", "onet"))
NAME = "yunet+onet/1"  # the number is raised when a change of the code moves faces or landmarks


def built_in_detector() -> DetectorFacts:
    """The facts of the detector that is built in, as a card states them."""
    digest = hashlib.sha256(YUNET.read_bytes() + ONET.read_bytes()).hexdigest()
    return DetectorFacts(name=NAME, weights_sha256=f"sha256:{digest}")
