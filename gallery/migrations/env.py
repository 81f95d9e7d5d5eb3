"""Alembic's entry: run the migrations on the connection that `schema_versions.py` gives, in its transaction."""

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], target_metadata=given["metadata"])
context.run_migrations()
