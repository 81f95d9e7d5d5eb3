from .access.caller import Scope as Scope
from .access.keys import (
    KeyFile as KeyFile,
    KeyFileError as KeyFileError,
    KeyGrant as KeyGrant,
    KeyRecord as KeyRecord,
    NewKey as NewKey,
)
from .audit.chain import (
    Anchor as Anchor,
    AuditFolderError as AuditFolderError,
    AuditLine as AuditLine,
    ChainReader as ChainReader,
    read_anchors as read_anchors,
    verify_chain as verify_chain,
)
from .serving import ServingError as ServingError, run as run
from .startup_check import Finding as Finding, check as check
from .telemetry.machine import Machine as Machine, this_machine as this_machine
from .telemetry.traces import TRACE_ENDPOINTS as TRACE_ENDPOINTS
from .worker_process import idle_worker_mib as idle_worker_mib
