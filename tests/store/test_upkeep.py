"""The upkeep of databases, and databases that cannot be used."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import URL, Connection, delete, insert, select

from execd.cli import main
from execd.errors import CannotServe, StorageFull
from execd.store import schema, upkeep
from execd.store.engine import FILE, database_url, open_engine
from execd.store.journals import Batch, append
from execd.store.schema import HEAD, revisions
from execd.store.store import Store
from execd.store.tables import journal, metadata, usage


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    """A connection in a transaction that writes."""
    engine = open_engine(url)
    with engine.execution_options(writes=True).begin() as connection:
        yield connection
    engine.dispose()


def test_the_newest_revision_is_the_one_that_the_code_wants() -> None:
    assert revisions()[-1] == HEAD


@pytest.mark.parametrize("revision", revisions())
def test_every_released_schema_becomes_the_newest_with_what_it_holds(database: URL, revision: str) -> None:
    with connected(database) as connection:
        schema.upgrade(connection, revision)
        connection.execute(insert(usage).values(tenant="somebody", day="2026-01-01", cpu_ms=7))
    assert upkeep.upgrade(database) == (revision, HEAD)
    with connected(database) as connection:
        assert connection.execute(select(usage.c.cpu_ms)).scalars().all() == [7]
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_database_that_is_as_it_should_be(database: URL) -> None:
    assert upkeep.upgrade(database) == (None, HEAD)
    found = upkeep.check(database)
    assert (found.revision, found.problems) == (HEAD, ())
    assert found.size > 4096


def test_one_without_a_schema(database: URL) -> None:
    found = upkeep.check(database)
    assert found.revision is None
    assert "execd db upgrade" in found.problems[0]


def test_one_of_a_newer_execd(database: URL) -> None:
    upkeep.upgrade(database)
    with connected(database) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotServe, match="newer execd"):
        upkeep.upgrade(database)
    assert "9999" in upkeep.check(database).problems[0]


def test_one_of_something_else(database: URL) -> None:
    with connected(database) as connection:
        connection.exec_driver_sql("CREATE TABLE accounts (id INTEGER)")
    with pytest.raises(CannotServe, match="something else"):
        upkeep.upgrade(database)
    with connected(database) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar_one() == 0


def remove_all(connection: Connection) -> None:
    """Remove every journal."""
    connection.execute(delete(journal))


async def test_what_was_removed_gives_its_space_back_while_a_service_runs(tmp_path: Path) -> None:
    url = database_url(None, tmp_path)
    with Store.open(url, "node") as store:
        await store.write(lambda connection: append(connection, "run_1", Batch(1, [os.urandom(200_000)] * 20)))
        await store.write(remove_all)
        before, after = upkeep.vacuum(url)
        assert before > 4_000_000
        assert after < 400_000
        await store.write(lambda connection: append(connection, "run_2", Batch(1, [b"still works"])))
    assert (tmp_path / FILE).stat().st_size < 400_000


class TestUnusable:
    """Databases that cannot be used: said in one sentence, and nothing is harmed."""

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"no database at all, but long enough to look like one" * 100)
        before = (tmp_path / FILE).read_bytes()
        for work in (upkeep.upgrade, upkeep.check):
            with pytest.raises(CannotServe, match="its file is damaged"):
                work(database_url(None, tmp_path))
        assert (tmp_path / FILE).read_bytes() == before

    def test_a_file_with_a_hole(self, tmp_path: Path) -> None:
        url = database_url(None, tmp_path)
        with connected(url) as connection:
            schema.upgrade(connection)
            append(connection, "run_1", Batch(1, [bytes(100_000)] * 20))
        with sqlite3.connect(tmp_path / FILE) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
        with (tmp_path / FILE).open("r+b") as file:
            file.seek(8 * 4096)
            file.write(b"\xff" * 64 * 4096)
        try:
            problems = upkeep.check(url).problems
        except CannotServe as refusal:
            problems = (str(refusal),)
        assert problems

    def test_one_that_another_program_holds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("execd.store.engine._BUSY_SECONDS", 0.1)
        url = database_url(None, tmp_path)
        holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotServe, match="another program holds it"):
            upkeep.upgrade(url)
        holder.close()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CannotServe, match="let the service's user write"):
            upkeep.upgrade(database_url(None, tmp_path / "gone"))

    def test_a_server_that_is_not_there(self) -> None:
        with pytest.raises(CannotServe, match="see that the server runs"):
            upkeep.upgrade(database_url("postgresql://127.0.0.1:1/execd", Path("/")))

    @pytest.mark.parametrize("given", ["mysql://host/name", "no url at all", "sqlite"])
    def test_a_url_that_means_nothing(self, given: str) -> None:
        with pytest.raises(CannotServe, match="EXECD_DATABASE_URL"):
            database_url(given, Path("/"))

    async def test_one_that_is_full(self, tmp_path: Path) -> None:
        with Store.open(database_url(None, tmp_path), "node") as store:
            await store.write(lambda connection: append(connection, "run_1", Batch(1, [b"kept"])))

            def fill(connection: Connection) -> None:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
                append(connection, "run_2", Batch(1, [bytes(100_000)]))

            with pytest.raises(StorageFull, match="full"):
                await store.write(fill)
            found = await store.read(lambda connection: connection.execute(select(journal.c.data)).scalars().all())
            assert found == [b"kept"]


class TestCommand:
    """`execd db`."""

    def run(self, folder: Path, command: str, *options: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["db", command, "--data-dir", str(folder), *options])
        return done.exit_code, done.output.strip()

    def test_where_there_is_none(self, tmp_path: Path) -> None:
        for command in ("upgrade", "check", "vacuum"):
            code, said = self.run(tmp_path, command)
            assert code == 1
            assert said == f"Error: there is no database: {tmp_path / FILE}; EXECD_DATA_DIR says where it is"
        assert list(tmp_path.iterdir()) == []

    def test_of_a_service(self, database: URL, tmp_path: Path) -> None:
        given = ("--database-url", database.render_as_string(hide_password=False))
        assert self.run(tmp_path, "check", *given)[0] == 1
        assert self.run(tmp_path, "upgrade", *given) == (0, f"schema none is now {HEAD}")
        assert self.run(tmp_path, "upgrade", *given) == (0, f"schema {HEAD}")
        code, said = self.run(tmp_path, "check", *given)
        assert code == 0
        assert said.endswith("nothing is wrong with it")
        assert self.run(tmp_path, "vacuum", *given)[0] == 0
