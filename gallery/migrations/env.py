"""Alembic's entry: run the migrations on the connection that `schema_versions.py` gives, in its transaction."""

from alembic import context

from gallery.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
