"""What travels over HTTP, as pydantic models: the one vocabulary of server and client, request by request.

Knows no torch, no FastAPI and no embedder, so that a client can import it alone.
"""

from .answers import *  # noqa: F403 - every public name of these files is part of the vocabulary
from .explanations import *  # noqa: F403 - the same
from .requests import *  # noqa: F403 - the same
