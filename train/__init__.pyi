from .data.cutting import Cutter as Cutter
from .data.exclusion import read_excluded as read_excluded
from .data.preparing import Prepared as Prepared, prepare as prepare, require_free_or_ours as require_free_or_ours
from .data.progress import told_on_stderr as told_on_stderr
from .data.report import as_json as as_json
from .data.report_text import as_text as as_text
from .data.source import read_source as read_source
from .evaluation.against import compare_models as compare_models
from .evaluation.answer import Answer as Answer
from .evaluation.bootstrap import Resampling as Resampling
from .evaluation.cache import open_cache as open_cache
from .evaluation.calibration import Described as Described, Population as Population, calibrate as calibrate
from .evaluation.cautions import of_calibration as of_calibration
from .evaluation.compared import Compared as Compared
from .evaluation.evaluation import (
    Evaluated as Evaluated,
    Setting as Setting,
    embed_and_compare as embed_and_compare,
    evaluate as evaluate,
)
from .evaluation.groups import GroupReport as GroupReport, compare_groups as compare_groups
from .evaluation.labels import Groups as Groups, read_groups as read_groups
from .evaluation.progress import progress_line as progress_line
from .evaluation.protocols.cfp import CfpKind as CfpKind, read_cfp as read_cfp
from .evaluation.protocols.folders import people_of as people_of, read_identities as read_identities
from .evaluation.protocols.lfw import read_lfw as read_lfw
from .evaluation.protocols.protocol import Photo as Photo, Protocol as Protocol
from .evaluation.protocols.table import read_csv as read_csv
from .evaluation.quality_penalty import fit_quality_penalties as fit_quality_penalties
from .evaluation.record import Threshold as Threshold
from .evaluation.report import require_folder as require_folder, write_report as write_report
from .evaluation.scoring import require_rule as require_rule
from .evaluation.thresholds import Choice as Choice, NamedChoice as NamedChoice, best_of as best_of, require as require
from .evaluation.words import rate as rate, span as span
from .run.run import go as go
from .runfile.reading import read_run_file as read_run_file
