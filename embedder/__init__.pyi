from .backbones.registry import BACKBONES as BACKBONES, default_input_size_px as default_input_size_px
from .deadline import Deadline as Deadline, begin_step as begin_step, use_deadline as use_deadline
from .decision import (
    EVEN_PRIOR as EVEN_PRIOR,
    ComparedFace as ComparedFace,
    Comparison as Comparison,
    ComparisonBatch as ComparisonBatch,
    Distances as Distances,
    Judgement as Judgement,
    VerifyKeywords as VerifyKeywords,
    VerifyOptions as VerifyOptions,
    decision_rule as decision_rule,
    euclidean as euclidean,
    posterior as posterior,
)
from .detection.detector import (
    built_in_detector as built_in_detector,
    face_selector as face_selector,
    is_one_face as is_one_face,
)
from .errors import (
    BundleError as BundleError,
    DeadlineExceeded as DeadlineExceeded,
    DigestMismatch as DigestMismatch,
    DlibFileError as DlibFileError,
    FaceCovered as FaceCovered,
    FaceError as FaceError,
    ImageError as ImageError,
    ImageTooLarge as ImageTooLarge,
    ImageTooSlow as ImageTooSlow,
    ImageUnreadable as ImageUnreadable,
    LowQuality as LowQuality,
    ModelError as ModelError,
    NoFace as NoFace,
    NoSuchFace as NoSuchFace,
    NotAnImage as NotAnImage,
    OperatingPointUnavailable as OperatingPointUnavailable,
    OutOfMemory as OutOfMemory,
    RuntimeUnavailable as RuntimeUnavailable,
    SampleError as SampleError,
    SeveralFaces as SeveralFaces,
    SFaceFileError as SFaceFileError,
    TooManyFaces as TooManyFaces,
    UnknownLayer as UnknownLayer,
    VisavisError as VisavisError,
    printable as printable,
)
from .files import (
    PrivateFiles as PrivateFiles,
    open_regular_file as open_regular_file,
    parse_toml as parse_toml,
    read_regular_file as read_regular_file,
    replace_file as replace_file,
    replacing as replacing,
    unfinished as unfinished,
)
from .image import (
    Limits as Limits,
    Photo as Photo,
    decode_image as decode_image,
)
from .image_formats import (
    FORMATS_IN_WORDS as FORMATS_IN_WORDS,
    IMAGE_SUFFIXES as IMAGE_SUFFIXES,
    data_uri as data_uri,
    is_named_as_photo as is_named_as_photo,
    jpeg as jpeg,
    png as png,
)
from .loading import load as load
from .network import (
    EmbeddingNet as EmbeddingNet,
    build_network as build_network,
    fuse_batch_norm as fuse_batch_norm,
    new_network as new_network,
    tensors_of as tensors_of,
)
from .photo_files import image_file as image_file, is_folder as is_folder
from .pipeline import ALL_FACES as ALL_FACES, FaceEmbedder as FaceEmbedder
from .progress import (
    LINE_EVERY_S as LINE_EVERY_S,
    Advance as Advance,
    Job as Job,
    Progress as Progress,
    ProgressBar as ProgressBar,
    TimeLeft as TimeLeft,
    duration as duration,
    no_progress as no_progress,
    progress_bar as progress_bar,
    show_progress as show_progress,
)
from .quality import (
    MEASURES as MEASURES,
    require_a_common_part as require_a_common_part,
    require_quality as require_quality,
)
from .runtime.choice import RuntimeName as RuntimeName, RuntimeOptions as RuntimeOptions
from .runtime.export import (
    BAR as BAR,
    N_CHIPS as N_CHIPS,
    ExportFormat as ExportFormat,
    embedding_graph as embedding_graph,
    export as export,
)
from .runtime.runtime import CoreThreads as CoreThreads, n_cores as n_cores
from .runtime.torch import computes_in_bf16 as computes_in_bf16
from .types import (
    LEAST_VISIBLE as LEAST_VISIBLE,
    PRECISIONS as PRECISIONS,
    QUALITY_CHOICES as QUALITY_CHOICES,
    Box as Box,
    Chip as Chip,
    Chips as Chips,
    Embedding as Embedding,
    EmbeddingBatch as EmbeddingBatch,
    Face as Face,
    FaceChoice as FaceChoice,
    FaceSelector as FaceSelector,
    Grade as Grade,
    ModelIdentity as ModelIdentity,
    Pixels as Pixels,
    Precision as Precision,
    Quality as Quality,
    QualityChoice as QualityChoice,
    Sample as Sample,
    Timings as Timings,
)
from .weights.bundle import (
    BUILT_IN as BUILT_IN,
    BUILT_IN_MODELS as BUILT_IN_MODELS,
    Bundle as Bundle,
    bundle_folder as bundle_folder,
    copy_bundle as copy_bundle,
    int8_graph_of as int8_graph_of,
    is_built_in as is_built_in,
    new_card as new_card,
    read_bundle as read_bundle,
    require_new_folder as require_new_folder,
    serialize_tensors as serialize_tensors,
    sha256_of as sha256_of,
    write_bundle as write_bundle,
)
from .weights.card import (
    Alignment as Alignment,
    Architecture as Architecture,
    Calibration as Calibration,
    DetectorFacts as DetectorFacts,
    ModelCard as ModelCard,
    Preprocessing as Preprocessing,
    Provenance as Provenance,
    ScoreKind as ScoreKind,
    chosen_point as chosen_point,
)
from .weights.card_parts import (
    CalibrationData as CalibrationData,
    LogLikelihoodRatio as LogLikelihoodRatio,
    Measure as Measure,
    OperatingPoint as OperatingPoint,
    QualityPenalty as QualityPenalty,
    TrainingRecord as TrainingRecord,
    percent as percent,
    rate_in_words as rate_in_words,
)
from .weights.dlib import import_dlib as import_dlib
from .weights.sface import import_sface as import_sface
