"""The schema: created in an empty database, refused if it is another one's, and what the tables of the code say."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from gallery import SchemaMismatch, SchemaUpgrade, open_store, upgrade_store
from gallery.opening import open_backend
from gallery.schema import SCHEMA_REVISION, metadata


def _execute(url: str, statement: str, **values: str) -> None:
    backend = open_backend(url)
    with backend.engine.begin() as connection:
        connection.execute(text(statement), values)
    backend.close()


def _set_revision(url: str, revision: str) -> None:
    _execute(url, "UPDATE alembic_version SET version_num = :revision", revision=revision)


def test_the_migrations_end_at_the_revision_of_the_code() -> None:
    config = Config()
    config.set_main_option("script_location", "gallery:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


def test_the_migrations_make_the_tables_of_the_code(url: str) -> None:
    open_store(url).close()
    backend = open_backend(url)
    with backend.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    backend.close()


@pytest.mark.parametrize(("revision", "advice"), [("9999", "install the newer visavis"), ("0000", "gallery upgrade")])
def test_a_newer_and_an_older_schema_are_refused(url: str, revision: str, advice: str) -> None:
    open_store(url).close()
    _set_revision(url, revision)
    with pytest.raises(SchemaMismatch, match=advice):
        open_store(url)


def test_a_store_that_has_lost_its_schema_is_refused(url: str) -> None:
    open_store(url).close()
    _execute(url, "DELETE FROM alembic_version")
    for opens in (open_store, upgrade_store):
        with pytest.raises(SchemaMismatch, match="it is damaged; restore a backup"):
            opens(url)


def test_a_newer_schema_is_not_upgraded(url: str) -> None:
    open_store(url).close()
    _set_revision(url, "9999")
    with pytest.raises(SchemaMismatch):
        upgrade_store(url)


def test_an_upgrade_tells_what_it_did(url: str) -> None:
    assert upgrade_store(url) == SchemaUpgrade(None, SCHEMA_REVISION)
    assert upgrade_store(url) == SchemaUpgrade(SCHEMA_REVISION, SCHEMA_REVISION)


def test_a_database_of_something_else_is_refused(url: str) -> None:
    _execute(url, "CREATE TABLE recipes (id INTEGER)")
    with pytest.raises(SchemaMismatch, match="no store of visavis"):
        open_store(url)


def test_an_empty_database_is_opened_by_many_at_once(url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        for store in threads.map(lambda _: open_store(url), range(8)):
            store.close()
    with open_store(url) as store:
        assert store.create_gallery("staff").version == 1


def test_a_store_in_a_folder_with_odd_characters_is_created(tmp_path: Path) -> None:
    folder = tmp_path / "100% #1 ü"
    folder.mkdir()
    with open_store(f"sqlite:///{folder}/gallery.db") as store:
        store.create_gallery("staff")
    assert [path.name for path in folder.iterdir()] == ["gallery.db"]
