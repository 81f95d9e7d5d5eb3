from .progress import told_on_stderr as told_on_stderr
from .run import Summary as Summary, embed_folders as embed_folders
from .wanted import Wanted as Wanted
