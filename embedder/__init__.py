"""The embedder: maps a face image to an embedding.

Importing the package does not load torch: `__init__.pyi` lists the names, and each is imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
