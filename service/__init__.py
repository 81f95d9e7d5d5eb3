"""HTTP around a FaceEmbedder, and the client for it. Importing this package imports nothing: name the room you mean.

Importing it imports nothing else: `__init__.pyi` lists the names, and each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
