"""Learns weights and measures them; stands on the embedder, and nothing stands on it.

Importing it imports nothing else: `__init__.pyi` lists the names, and each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
