"""The requests and answers of the HTTP API as pydantic models, shared by server and client.

It imports no torch, no FastAPI and no embedder, so that a client can import it alone.
"""

from .answers import *  # noqa: F403 - every public name of these files is part of the API
from .explanations import *  # noqa: F403 - the same
from .galleries import *  # noqa: F403 - the same
from .requests import *  # noqa: F403 - the same
