"""People and their templates: enrol, identify, forget. It knows embeddings, the model card and storage, but no HTTP.

`__init__.pyi` lists the names of this package; each is imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
