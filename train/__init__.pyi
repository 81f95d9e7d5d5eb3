from .data.photos import read_source as read_source, shown as shown
from .data.plan import read_excluded as read_excluded
from .data.prepared import PreparedData as PreparedData, is_prepared as is_prepared, open_prepared as open_prepared
from .data.preparing import (
    ChipCutter as ChipCutter,
    PreparationResult as PreparationResult,
    prepare as prepare,
    require_free_or_ours as require_free_or_ours,
)
from .data.report import report_json as report_json, report_text as report_text
from .evaluation.bootstrap import Resampling as Resampling
from .evaluation.cache import open_cache as open_cache
from .evaluation.calibration import Population as Population, PopulationFacts as PopulationFacts, calibrate as calibrate
from .evaluation.compared import ComparedPhotos as ComparedPhotos
from .evaluation.data_checks import calibration_cautions as calibration_cautions
from .evaluation.embedding import EmbeddedSet as EmbeddedSet, embed_photos as embed_photos
from .evaluation.evaluation import (
    EvaluationConfig as EvaluationConfig,
    EvaluationResult as EvaluationResult,
    embed_and_compare as embed_and_compare,
    evaluate_compared as evaluate_compared,
)
from .evaluation.groups import (
    GroupReport as GroupReport,
    PhotoGroups as PhotoGroups,
    compare_groups as compare_groups,
    read_photo_groups as read_photo_groups,
)
from .evaluation.labels import (
    LabelsError as LabelsError,
    check_labels as check_labels,
    require_evidence as require_evidence,
)
from .evaluation.model_comparison import compare_models as compare_models
from .evaluation.output import EvaluationOutput as EvaluationOutput, labels_record as labels_record
from .evaluation.protocols.cfp import CfpKind as CfpKind, read_cfp as read_cfp
from .evaluation.protocols.csv_pairs import read_csv as read_csv
from .evaluation.protocols.folders import people_of as people_of, read_identities as read_identities
from .evaluation.protocols.lfw import read_lfw as read_lfw
from .evaluation.protocols.protocol import LabeledPhoto as LabeledPhoto, Protocol as Protocol
from .evaluation.quality_penalty import fit_quality_penalties as fit_quality_penalties
from .evaluation.report import (
    LABELS_FILE as LABELS_FILE,
    LABELS_PAGE as LABELS_PAGE,
    LabelChips as LabelChips,
    require_folder as require_folder,
    write_labels as write_labels,
    write_report as write_report,
)
from .evaluation.results import (
    DecisionThreshold as DecisionThreshold,
    Estimate as Estimate,
    LabelReport as LabelReport,
    estimated as estimated,
    interval_text as interval_text,
    rate_text as rate_text,
)
from .evaluation.scoring import require_quality_penalty as require_quality_penalty
from .evaluation.text import labels_lines as labels_lines
from .evaluation.thresholds import (
    NamedThreshold as NamedThreshold,
    ThresholdChoice as ThresholdChoice,
    best_of as best_of,
    require_choice as require_choice,
)
from .projection import (
    LearnedProjection as LearnedProjection,
    ProjectionCost as ProjectionCost,
    ProjectionPeople as ProjectionPeople,
    difference_text as difference_text,
    learn_projection as learn_projection,
    principal_components as principal_components,
    projection_cost as projection_cost,
    write_projected as write_projected,
)
from .run.people import embedded_chips as embedded_chips, protocol_of as protocol_of
from .run.run import run_training as run_training
from .run_file_reading import read_run_file as read_run_file
