from .access.caller import Scope as Scope
from .access.keys import (
    KeyFile as KeyFile,
    KeyFileError as KeyFileError,
    KeyGrant as KeyGrant,
    KeyRecord as KeyRecord,
    NewKey as NewKey,
)
from .serving import ServingError as ServingError, run as run
from .startup_check import Finding as Finding, check as check
from .telemetry.machine import Machine as Machine, this_machine as this_machine
