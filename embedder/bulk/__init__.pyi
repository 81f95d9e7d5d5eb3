from .manifest import BulkRequest as BulkRequest
from .run import BulkSummary as BulkSummary, embed_folders as embed_folders
