"""Networks that have learnt nothing, opened once for all tests: exporting one takes seconds."""

from functools import cache

from embedder.explain.explainer import inspect_backbone
from embedder.explain.inspector import NetworkInspector


@cache
def opened(backbone: str) -> NetworkInspector:
    return inspect_backbone(backbone)
