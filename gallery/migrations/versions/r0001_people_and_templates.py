"""Create the tables of galleries, people, templates, changes and idempotency."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
time = sa.DateTime(timezone=True)
MEASURES = (
    "eye_distance_px",
    "sharpness",
    "blockiness",
    "brightness",
    "contrast",
    "clipped",
    "turn",
    "detector_score",
    "eyes_visible",
    "mouth_visible",
)
PERSONAL = (
    ("embeddings", "embedding"),
    ("people", "person"),
    ("people", "note"),
    ("people", "consent_reference"),
    ("idempotency", "answer"),
)


def upgrade() -> None:
    """Create all tables."""
    _create_versions()
    _create_galleries()
    _create_people()
    _create_embeddings()
    _create_templates()
    _create_changes()
    _create_idempotency()
    if op.get_bind().dialect.name == "postgresql":
        _keep_out_of_statistics()


def _create_versions() -> None:
    table = op.create_table(
        "versions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("highest_forgotten", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
    )
    op.bulk_insert(table, [{"id": 1, "highest_forgotten": 0}])


def _create_galleries() -> None:
    op.create_table(
        "galleries",
        sa.Column("id", number, nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("first_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_galleries"),
        sa.UniqueConstraint("name", name="uq_galleries_name"),
        sqlite_autoincrement=True,
    )


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("id", number, nullable=False),
        sa.Column("gallery_id", number, nullable=False),
        sa.Column("person", name, nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("consent_reference", sa.Text()),
        sa.Column("consent_given_on", sa.Date()),
        sa.Column("forget_at", time),
        sa.Column("created_at", time, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("gallery_id", "person", name="uq_people_gallery_id_person"),
        _of_gallery("people"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_people_forget_at", "people", ["forget_at"])


def _create_embeddings() -> None:
    op.create_table(
        "embeddings",
        sa.Column("slot", number, nullable=False),
        sa.Column("is_free", sa.Boolean(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_embeddings"),
    )
    is_free = sa.text("is_free")
    op.create_index("ix_embeddings_free", "embeddings", ["slot"], sqlite_where=is_free, postgresql_where=is_free)


def _create_templates() -> None:
    op.create_table(
        "templates",
        sa.Column("number", number, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("gallery_id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("model_digest", sa.Text(), nullable=False),
        sa.Column("slot", number, nullable=False),
        *(sa.Column(measure, sa.Double(), nullable=False) for measure in MEASURES),
        sa.Column("enrolled_at", time, nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="pk_templates"),
        sa.UniqueConstraint("id", name="uq_templates_id"),
        sa.UniqueConstraint("slot", name="uq_templates_slot"),
        sa.ForeignKeyConstraint(["slot"], ["embeddings.slot"], "fk_templates_slot"),
        _of_gallery("templates"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "fk_templates_person_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_templates_person_id", "templates", ["person_id"])
    op.create_index(
        "ix_templates_gallery_id_model_digest_number", "templates", ["gallery_id", "model_digest", "number"]
    )


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", number, nullable=False),
        sa.Column("gallery_id", number, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
        _of_gallery("changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_gallery_id_sequence", "changes", ["gallery_id", "sequence"])


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("gallery_id", number, nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("person_id", number),
        sa.Column("answer", sa.Text()),
        sa.Column("created_at", time, nullable=False),
        sa.PrimaryKeyConstraint("gallery_id", "key_hash", name="pk_idempotency"),
        _of_gallery("idempotency"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "fk_idempotency_person_id", ondelete="SET NULL"),
    )
    op.create_index("ix_idempotency_person_id", "idempotency", ["person_id"])


def _keep_out_of_statistics() -> None:
    """ANALYZE copies values of columns into its statistics, where they would outlive a person."""
    for table, column in PERSONAL:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")


def _of_gallery(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["gallery_id"], ["galleries.id"], f"fk_{table}_gallery_id", ondelete="CASCADE")
