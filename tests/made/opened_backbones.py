"""Networks that have learnt nothing, opened once for all tests: exporting one takes seconds."""

from functools import cache

from embedder.explain.inside import NetworkInspector
from embedder.explain.opening import inspect_backbone


@cache
def opened(backbone: str) -> NetworkInspector:
    return inspect_backbone(backbone)
