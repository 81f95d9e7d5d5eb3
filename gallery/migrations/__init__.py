"""The steps between the versions of a store's schema, run by Alembic."""
