from .serving import ServingError as ServingError, run as run
