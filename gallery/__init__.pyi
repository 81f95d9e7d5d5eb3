from .claims import (
    claim_for as claim_for,
    fpir_of as fpir_of,
    largest_gallery as largest_gallery,
    strictest_fpir as strictest_fpir,
)
from .directory import EnrolKeywords as EnrolKeywords, Galleries as Galleries
from .errors import (
    AlreadyEnrolled as AlreadyEnrolled,
    AlreadyExists as AlreadyExists,
    AnotherPerson as AnotherPerson,
    ClaimUnavailable as ClaimUnavailable,
    EnrolmentRefused as EnrolmentRefused,
    GalleryError as GalleryError,
    GalleryTooLarge as GalleryTooLarge,
    IdempotencyConflict as IdempotencyConflict,
    InvalidValue as InvalidValue,
    NoSuchGallery as NoSuchGallery,
    NoSuchPerson as NoSuchPerson,
    NoSuchTemplate as NoSuchTemplate,
    PhotoRefusal as PhotoRefusal,
    SchemaMismatch as SchemaMismatch,
    StoreUnavailable as StoreUnavailable,
    VersionConflict as VersionConflict,
)
from .exchange import (
    DLIB_MODEL as DLIB_MODEL,
    ExportSummary as ExportSummary,
    ImportSummary as ImportSummary,
    PortablePerson as PortablePerson,
    export_gallery as export_gallery,
    import_people as import_people,
    read_encodings as read_encodings,
    read_export as read_export,
)
from .identification import (
    DEFAULT_FPIR as DEFAULT_FPIR,
    DEFAULT_LIMIT as DEFAULT_LIMIT,
    MOST_CANDIDATES as MOST_CANDIDATES,
    IdentifyOptions as IdentifyOptions,
    identify as identify,
    penalties_of as penalties_of,
)
from .index import (
    NearPerson as NearPerson,
    TemplateIndex as TemplateIndex,
)
from .link_rule import GroupingError as GroupingError
from .opening import open_store as open_store, upgrade_store as upgrade_store
from .replica import GalleryReplica as GalleryReplica
from .schema_versions import SchemaUpgrade as SchemaUpgrade
from .store import Store as Store
from .types import (
    Candidate as Candidate,
    Claim as Claim,
    Consent as Consent,
    Enrolment as Enrolment,
    GalleryFacts as GalleryFacts,
    GallerySearch as GallerySearch,
    IdempotencyKey as IdempotencyKey,
    Identification as Identification,
    Identified as Identified,
    IdentifiedFace as IdentifiedFace,
    NewTemplate as NewTemplate,
    Person as Person,
    PersonFacts as PersonFacts,
    Receipt as Receipt,
    TemplateBlock as TemplateBlock,
    TemplateFacts as TemplateFacts,
)
from .verification import PersonComparison as PersonComparison
