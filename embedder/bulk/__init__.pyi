from .executor import Executor as Executor, ProcessPool as ProcessPool
from .given_photos import photo_source as photo_source
from .manifest import BulkRequest as BulkRequest, Shard as Shard
from .output import LocalFolder as LocalFolder, OutputFolder as OutputFolder
from .ray_executor import RayCluster as RayCluster
from .reading import EmbeddedFaces as EmbeddedFaces, PhotoFace as PhotoFace, read_faces as read_faces
from .run import BulkSummary as BulkSummary, embed_folders as embed_folders
from .shards import MergeSummary as MergeSummary, merge_shards as merge_shards
from .sources import LocalPhotos as LocalPhotos, PhotoSource as PhotoSource
from .stores import output_folder as output_folder
