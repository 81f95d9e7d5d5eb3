from .errors import (
    AlreadyEnrolled as AlreadyEnrolled,
    AlreadyExists as AlreadyExists,
    AnotherPerson as AnotherPerson,
    ClaimUnavailable as ClaimUnavailable,
    EnrolmentRefused as EnrolmentRefused,
    GalleryError as GalleryError,
    IdempotencyConflict as IdempotencyConflict,
    InvalidValue as InvalidValue,
    NoSuchGallery as NoSuchGallery,
    NoSuchPerson as NoSuchPerson,
    NoSuchTemplate as NoSuchTemplate,
    SchemaMismatch as SchemaMismatch,
    StoreUnavailable as StoreUnavailable,
    VersionConflict as VersionConflict,
)
from .opening import open_store as open_store, upgrade_store as upgrade_store
from .schema_versions import SchemaUpgrade as SchemaUpgrade
from .store import Store as Store
from .types import (
    Candidate as Candidate,
    Changes as Changes,
    Claim as Claim,
    Consent as Consent,
    GalleryFacts as GalleryFacts,
    IdempotencyKey as IdempotencyKey,
    Identification as Identification,
    NewTemplate as NewTemplate,
    Person as Person,
    PersonFacts as PersonFacts,
    Receipt as Receipt,
    TemplateBlock as TemplateBlock,
    TemplateFacts as TemplateFacts,
)
