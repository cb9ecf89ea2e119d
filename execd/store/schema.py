"""The schema of a database: which one it has, and how it comes to have the newest.

Alembic is only loaded where something is to be done: it would cost every start a tenth of a second.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from execd.errors import CannotServe
from execd.store.tables import metadata

HEAD = "0003"
"""The newest revision; a test compares it with the migrations."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def revision_of(connection: Connection) -> str | None:
    """The revision that the database has, None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def upgrade(connection: Connection, target: str = "head") -> str | None:
    """Bring the database to the newest schema, within the connection's transaction; returns the revision that it had.
    Raises CannotServe for one that a newer execd has made, or that is somebody else's."""
    before = revision_of(connection)
    if before == HEAD:
        return before
    _check_known(connection, before)

    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_MIGRATIONS))
    with EnvironmentContext(
        Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs(target, revision), destination_rev=target
    ) as environment:
        environment.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        environment.run_migrations()
    return before


def revisions() -> list[str]:
    """All revisions, from the oldest on."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_MIGRATIONS))
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def _check_known(connection: Connection, before: str | None) -> None:
    if before is None and inspect(connection).get_table_names():
        raise CannotServe("the database holds tables of something else; name another one by EXECD_DATABASE_URL")
    if before is not None and before not in revisions():
        raise CannotServe(f"the database was made by a newer execd (schema {before}, not {HEAD}); upgrade this one")
