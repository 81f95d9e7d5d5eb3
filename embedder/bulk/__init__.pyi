from .manifest import BulkRequest as BulkRequest
from .progress import told_on_stderr as told_on_stderr
from .run import BulkSummary as BulkSummary, embed_folders as embed_folders
