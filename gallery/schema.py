"""The tables of a store, the same in both databases. `migrations/` creates them, and changes those of older ones."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from embedder import MEASURES

SCHEMA_REVISION = "0001"  # of the newest file in migrations/versions

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A time with a time zone; UTC in the store, which in SQLite has no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Convert to UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the same
        """Restore the time zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


WholeNumber = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up none but INTEGER keys
CallersName = Text().with_variant(Text(collation="C"), "postgresql")  # ordered by code points in both stores

# One row. A gallery starts with the version after those of all forgotten ones, so no version is ever given twice.
versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("highest_forgotten", BigInteger, nullable=False),
)

galleries = Table(
    "galleries",
    metadata,
    Column("id", WholeNumber, primary_key=True),
    Column("name", CallersName, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("first_version", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

people = Table(
    "people",
    metadata,
    Column("id", WholeNumber, primary_key=True),
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    Column("person", CallersName, nullable=False),
    Column("note", Text),
    Column("consent_reference", Text),
    Column("consent_given_on", Date),
    Column("forget_at", UtcTime, index=True),
    Column("created_at", UtcTime, nullable=False),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("gallery_id", "person"),
    sqlite_autoincrement=True,
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("slot", WholeNumber, primary_key=True),
    Column("is_free", Boolean, nullable=False),
    Column("embedding", LargeBinary, nullable=False),  # float32, little-endian; zeros if the slot is free
)
Index("ix_embeddings_free", embeddings.c.slot, sqlite_where=embeddings.c.is_free, postgresql_where=embeddings.c.is_free)

templates = Table(
    "templates",
    metadata,
    Column("number", WholeNumber, primary_key=True),  # rises with each template, so pages are taken by it
    Column("id", Text, nullable=False, unique=True),
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("model_digest", Text, nullable=False),
    Column("slot", ForeignKey("embeddings.slot"), nullable=False, unique=True),
    *(Column(measure, Double, nullable=False) for measure in MEASURES),
    Column("enrolled_at", UtcTime, nullable=False),
    Column("request_id", Text),
    Index(None, "gallery_id", "model_digest", "number"),
    sqlite_autoincrement=True,
)

# What replicas read to bring their indexes up to date. No caller's id, because it stays when a person is forgotten.
changes = Table(
    "changes",
    metadata,
    Column("id", WholeNumber, primary_key=True),
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the gallery's version after the write
    Column("kind", Text, nullable=False),  # added, removed, or altered: the time to forget the person is another
    Column("template_id", Text, nullable=False),
    Index(None, "gallery_id", "sequence"),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), primary_key=True),
    Column("key_hash", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("person_id", ForeignKey("people.id", ondelete="SET NULL"), index=True),
    Column("answer", Text),  # JSON; none once the person is forgotten
    Column("created_at", UtcTime, nullable=False),
)
