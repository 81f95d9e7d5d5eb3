"""Networks that have learnt nothing, opened once for all tests: exporting one takes seconds."""

from functools import cache

from embedder.explain.inside import Inside
from embedder.explain.opening import open_backbone


@cache
def opened(backbone: str) -> Inside:
    return open_backbone(backbone)
