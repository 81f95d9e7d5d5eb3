from .progress import told_on_stderr as told_on_stderr
from .run import BulkSummary as BulkSummary, embed_folders as embed_folders
from .wanted import BulkRequest as BulkRequest
