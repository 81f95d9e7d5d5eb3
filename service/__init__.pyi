from .serving import ServingError as ServingError, run as run
from .startup_check import Finding as Finding, check as check
