"""Trains and evaluates models. It depends on `embedder`; only the command line (`visavis`) uses it.

The package is lazy: `__init__.pyi` lists the public names, and each is imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
